import {
  answerContext,
  contactCodeContext,
  contactSecretContext,
  contactTokenContext,
  endpointHeadersContext,
  type Keyring,
  resetCodeContext,
  SealError,
  type Sealer,
  signingKeyContext,
  totpContext,
  webhookSecretContext,
} from "@messenger/core";
import { sql } from "kysely";
import type { Db } from "./database.ts";
import { groupRequestContext, inviteContext, titleContext } from "./groups.ts";
import { reportContext } from "./moderation.ts";

type Row = Readonly<Record<string, number | string | boolean>>;
type Sealed = Exclude<keyof Keyring, "tokenKeys" | "checks" | "bundles">;

/** A column of what is sealed. */
interface SealedColumn {
  table: string;
  column: string;
  /** The primary key: columns, and their types. */
  key: Readonly<Record<string, "bigint" | "integer" | "uuid" | "timestamptz">>;
  /** Columns beside the key that say what it is sealed under. */
  more?: readonly string[];
  sealer: Sealed;
  context(row: Row): string;
}

const endpoint = { table: "endpoints", key: { id: "bigint" }, more: ["inbox_id", "address"], sealer: "webhookSecrets" } as const;
const contact = { table: "contacts", key: { id: "bigint" }, more: ["user_id", "address"] } as const;
const notification = { table: "notifications", key: { id: "uuid" }, sealer: "contents" } as const;
const report = { table: "reports", key: { id: "bigint" }, more: ["message_id", "reporter_id"], sealer: "contents" } as const;
const ownId = ({ id }: Row): string => String(id);

/** Every column of the database whose values are sealed. */
export const SEALED_COLUMNS: readonly SealedColumn[] = [
  { ...notification, column: "recipient", context: ownId },
  { ...notification, column: "data", context: ownId },
  { table: "messages", column: "content", key: { id: "uuid" }, sealer: "contents", context: ownId },
  {
    table: "message_versions",
    column: "content",
    key: { message_id: "uuid", version: "integer" },
    sealer: "contents",
    context: (row) => String(row["message_id"]),
  },
  {
    table: "events",
    column: "data",
    key: { inbox_id: "bigint", seq: "bigint" },
    more: ["id"],
    sealer: "contents",
    context: ownId,
  },
  {
    table: "conversations",
    column: "title",
    key: { id: "bigint" },
    sealer: "contents",
    context: ({ id }) => titleContext(Number(id)),
  },
  {
    table: "conversations",
    column: "request",
    key: { id: "bigint" },
    sealer: "contents",
    context: () => groupRequestContext,
  },
  {
    table: "invites",
    column: "token",
    key: { id: "uuid" },
    sealer: "contents",
    context: ({ id }) => inviteContext(String(id)),
  },
  {
    table: "attempts",
    column: "answer",
    key: { endpoint_id: "bigint", seq: "bigint", at: "timestamptz" },
    sealer: "contents",
    context: (row) => answerContext(Number(row["endpoint_id"]), Number(row["seq"])),
  },
  {
    table: "probes",
    column: "answer",
    key: { id: "uuid" },
    more: ["endpoint_id"],
    sealer: "contents",
    context: (row) => answerContext(Number(row["endpoint_id"]), 0),
  },
  { ...endpoint, column: "secret", context: (row) => ofEndpoint(webhookSecretContext, row) },
  { ...endpoint, column: "previous_secret", context: (row) => ofEndpoint(webhookSecretContext, row) },
  { ...endpoint, column: "headers", context: (row) => ofEndpoint(endpointHeadersContext, row) },
  { ...endpoint, column: "signing_key", context: (row) => ofEndpoint(signingKeyContext, row) },
  {
    ...contact,
    column: "secret",
    sealer: "webhookSecrets",
    context: (row) => contactSecretContext(Number(row["user_id"]), String(row["address"])),
  },
  { ...contact, column: "token", sealer: "contents", context: (row) => contactTokenContext(Number(row["user_id"])) },
  { ...contact, column: "code", sealer: "contents", context: ({ id }) => contactCodeContext(Number(id)) },
  { ...report, column: "content", context: (row) => String(row["message_id"]) },
  {
    ...report,
    column: "comment",
    context: (row) => reportContext(String(row["message_id"]), Number(row["reporter_id"])),
  },
  {
    table: "totp",
    column: "secret",
    key: { user_id: "bigint" },
    sealer: "webhookSecrets",
    context: (row) => totpContext(Number(row["user_id"])),
  },
  {
    table: "password_resets",
    column: "code",
    key: { user_id: "bigint" },
    sealer: "contents",
    context: (row) => resetCodeContext(Number(row["user_id"])),
  },
];

const ofEndpoint = (context: (inbox: number, address: string) => string, row: Row): string =>
  context(Number(row["inbox_id"]), String(row["address"]));

const AT_ONCE = 500;
/** Sealed bytes that are resealed by one statement, or one value. */
const MOST_BYTES = 4 * 1024 * 1024;
/** Rounds over everything, a second apart, until one finds nothing to do. */
const MOST_ROUNDS = 120;
const ROUND_PAUSE_MS = 1_000;
const MOST_LISTED = 100;

/** The result of one slice. */
interface Slice {
  looked: number;
  /** How many were sealed under a previous secret. One that somebody else has locked is among them, and stays as it is for now. */
  old: number;
  /** Keys of those that cannot be unsealed. */
  lost: readonly string[];
  /** The key of the last row; undefined at the end. */
  last: Row | undefined;
}

async function resealSlice(db: Db, column: SealedColumn, sealer: Sealer, after: Row | undefined): Promise<Slice> {
  const names = Object.keys(column.key);
  const typeOf = (name: string) => sql.raw(column.key[name] as string);
  const ofTable = (name: string) => sql`t.${sql.ref(name)}`;
  const value = ofTable(column.column);
  const keys = sql.join(names.map(ofTable));
  const shown = [...names, ...(column.more ?? [])];
  const beyond =
    after === undefined ? sql`true` : sql`(${keys}) > (${sql.join(names.map((name) => sql`${after[name]}::${typeOf(name)}`))})`;
  const isOld = sql`substring(${value} from 1 for ${sealer.mark.length}::integer) <> ${sealer.mark} and octet_length(${value}) > 0`;
  const { rows } = await sql<Row & { sealed: Buffer | null; isLast: boolean }>`
    with slice as (
      select ${sql.join([...new Set(shown)].map(ofTable))}, case when ${isOld} then ${value} end as sealed,
        row_number() over (order by ${keys}) as n,
        coalesce(sum(case when ${isOld} then octet_length(${value}) end) over (order by ${keys}), 0) as bytes
      from (select * from ${sql.table(column.table)} t where ${beyond} order by ${keys} limit ${AT_ONCE}) t
    )
    select ${sql.join(
      shown.map((name) =>
        // A time stamp as text, which has its microseconds.
        column.key[name] === "timestamptz" ? sql`t.${sql.ref(name)}::text as ${sql.ref(name)}` : ofTable(name),
      ),
    )}, t.sealed, t.n = (select max(n) from slice) and t.n < ${AT_ONCE} as "isLast"
    from slice t where t.bytes <= ${MOST_BYTES} or t.bytes = coalesce(octet_length(t.sealed), 0) order by t.n
  `.execute(db);

  const old: { row: Row; sealed: Buffer; anew: Uint8Array }[] = [];
  const lost: string[] = [];
  for (const { sealed, isLast: _, ...row } of rows) {
    if (sealed === null) continue;
    const context = column.context(row);
    try {
      old.push({ row, sealed, anew: sealer.seal(context, sealer.unseal(context, sealed)) });
    } catch (error) {
      if (!(error instanceof SealError)) throw error;
      lost.push(names.map((name) => String(row[name])).join(", "));
    }
  }
  if (old.length > 0) {
    const lists = names.map((name) => sql`${old.map(({ row }) => row[name])}::${typeOf(name)}[]`);
    const isSame = (other: string) =>
      sql.join(
        names.map((name) => sql`${ofTable(name)} = ${sql.raw(other)}.${sql.ref(name)}`),
        sql` and `,
      );
    // Skips locked rows; a later round retries them.
    await sql`
      with given as (
        select * from unnest(${sql.join(lists)}, ${old.map(({ sealed }) => sealed)}::bytea[], ${old.map(({ anew }) => anew)}::bytea[])
          as g(${sql.join(names.map((name) => sql.ref(name)))}, sealed, anew)
      ),
      free as (
        select ${keys}, g.anew from ${sql.table(column.table)} t join given g on ${isSame("g")} and ${value} = g.sealed
        for update of t skip locked
      )
      update ${sql.table(column.table)} t set ${sql.ref(column.column)} = f.anew from free f where ${isSame("f")}
    `.execute(db);
  }
  const last = rows.at(-1);
  return { looked: rows.length, old: old.length, lost, last: last === undefined || last.isLast ? undefined : last };
}

/** Keys of the deployment's own are kept as text, each sealed under its name. */
async function resealOwnKeys(db: Db, sealer: Sealer): Promise<number> {
  const { rows } = await sql<{ key: string; value: string }>`select key, value from meta`.execute(db);
  let old = 0;
  for (const { key, value } of rows) {
    const sealed = Buffer.from(value, "base64");
    if (sealed[0] !== sealer.mark[0] || sealer.isCurrent(sealed)) continue;
    try {
      const anew = Buffer.from(sealer.seal(key, sealer.unseal(key, sealed))).toString("base64");
      await sql`update meta set value = ${anew} where key = ${key} and value = ${value}`.execute(db);
      old += 1;
    } catch (error) {
      if (!(error instanceof SealError)) throw error; // it is something else that looks like it
    }
  }
  return old;
}

/** How far it has come: rows of a column that were looked at, and those that were sealed under a previous secret. */
export interface Resealing {
  column: string;
  looked: number;
  old: number;
}

/**
 * Reseals what is sealed under a previous secret, beside processes at work, until it finds nothing more of it. It can be
 * broken off, and run again. `pause` waits for so many milliseconds. Resolves with the first 100 values that no known secret
 * unseals: they stay as they are. @throws where something stays locked, or is still sealed under a previous secret.
 */
export async function resealAll(
  db: Db,
  keyring: Keyring,
  hooks: { onProgress(progress: Resealing): void; pause(ms: number): Promise<void> },
): Promise<readonly string[]> {
  for (let round = 1; ; round += 1) {
    const lost: string[] = [];
    let old = 0;
    let last = "";
    for (const column of SEALED_COLUMNS) {
      const progress: Resealing = { column: `${column.table}.${column.column}`, looked: 0, old: 0 };
      let after: Row | undefined;
      do {
        const began = performance.now();
        const slice = await resealSlice(db, column, keyring[column.sealer], after);
        after = slice.last;
        progress.looked += slice.looked;
        progress.old += slice.old;
        lost.push(...slice.lost.map((key) => `${progress.column} of ${key}`));
        await hooks.pause(performance.now() - began);
      } while (after !== undefined);
      old += progress.old;
      if (progress.old > 0) last = progress.column;
      if (round === 1 || progress.old > 0) hooks.onProgress(progress);
    }
    const ownKeys = await resealOwnKeys(db, keyring.contents);
    if (ownKeys > 0) hooks.onProgress({ column: "meta.value", looked: ownKeys, old: ownKeys });
    if (old + ownKeys === 0) return lost.slice(0, MOST_LISTED);
    if (round >= MOST_ROUNDS) {
      throw new Error(`${last}: something stays locked by another transaction, or is still sealed under a previous secret`);
    }
    if (round > 1) await hooks.pause(ROUND_PAUSE_MS);
  }
}
