import {
  answerContext,
  contactCodeContext,
  contactSecretContext,
  contactTokenContext,
  endpointHeadersContext,
  type Keyring,
  resetCodeContext,
  type Sealer,
  signingKeyContext,
  totpContext,
  webhookSecretContext,
} from "@messenger/core";
import { sql } from "kysely";
import type { Db } from "./database.ts";
import { groupRequestContext, inviteContext, titleContext } from "./groups.ts";
import { reportContext } from "./moderation.ts";

type Row = Readonly<Record<string, number | string>>;
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
  { ...notification, column: "recipient", context: ownId },
  { ...notification, column: "data", context: ownId },
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
const MOST_PASSES = 100;

/** What is done with a slice of a column. */
interface Slice {
  looked: number;
  /** How many were sealed under a secret of before; what somebody else was changing is among them, and stays as it is for now. */
  old: number;
  /** The key of the last one; undefined at the end. */
  last: Row | undefined;
}

async function resealSlice(db: Db, column: SealedColumn, sealer: Sealer, after: Row | undefined): Promise<Slice> {
  const names = Object.keys(column.key);
  const values = sql.ref(column.column);
  const keys = sql.join(names.map((name) => sql.ref(name)));
  // A time stamp as text, which has its microseconds.
  const shown = [...names, ...(column.more ?? [])].map((name) =>
    column.key[name] === "timestamptz" ? sql`${sql.ref(name)}::text as ${sql.ref(name)}` : sql.ref(name),
  );
  const beyond =
    after === undefined
      ? sql`true`
      : sql`(${keys}) > (${sql.join(names.map((name) => sql`${after[name]}::${sql.raw(column.key[name] as string)}`))})`;
  const { rows } = await sql<Row & { sealed: Buffer | null }>`
    select ${sql.join(shown)},
      case when substring(${values} from 1 for ${sealer.mark.length}::integer) <> ${sealer.mark} then ${values} end as sealed
    from ${sql.table(column.table)} where ${beyond} order by ${keys} limit ${AT_ONCE}
  `.execute(db);
  const old = rows.flatMap(({ sealed, ...row }) => {
    if (sealed === null || sealed.length === 0) return [];
    const context = column.context(row);
    return [{ row, sealed, anew: sealer.seal(context, sealer.unseal(context, sealed)) }];
  });
  if (old.length > 0) {
    const lists = names.map((name) => sql`${old.map(({ row }) => row[name])}::${sql.raw(`${column.key[name] as string}[]`)}`);
    const isGiven = sql.join(
      names.map((name) => sql`t.${sql.ref(name)} = g.${sql.ref(name)}`),
      sql` and `,
    );
    const isFree = sql.join(
      names.map((name) => sql`t.${sql.ref(name)} = f.${sql.ref(name)}`),
      sql` and `,
    );
    // It waits for nobody, so that nobody waits for it: what somebody else has locked has its turn later.
    await sql`
      with given as (
        select * from unnest(${sql.join(lists)}, ${old.map(({ sealed }) => sealed)}::bytea[], ${old.map(({ anew }) => anew)}::bytea[])
          as g(${keys}, sealed, anew)
      ),
      free as (
        select ${sql.join(names.map((name) => sql`t.${sql.ref(name)}`))}, g.anew
        from ${sql.table(column.table)} t join given g on ${isGiven} and t.${values} = g.sealed
        for update of t skip locked
      )
      update ${sql.table(column.table)} t set ${values} = f.anew from free f where ${isFree}
    `.execute(db);
  }
  const last = rows.length < AT_ONCE ? undefined : (rows.at(-1) as Row);
  return { looked: rows.length, old: old.length, last };
}

/** How far it has come: of a column, rows that were looked at, and those that were sealed under a secret of before. */
export interface Resealing {
  column: string;
  looked: number;
  old: number;
}

/**
 * Seals anew what is sealed under a secret of before, beside processes at work, until it finds nothing more of it. It can
 * be broken off, and run again. `pause` is called after each slice, with how long that took in milliseconds.
 * @throws {SealError} where something is sealed under a secret that is not known.
 */
export async function resealAll(
  db: Db,
  keyring: Keyring,
  hooks: { onProgress(progress: Resealing): void; pause(ms: number): Promise<void> },
): Promise<void> {
  for (const column of SEALED_COLUMNS) {
    const sealer = keyring[column.sealer];
    const progress: Resealing = { column: `${column.table}.${column.column}`, looked: 0, old: 0 };
    for (let passes = 1; ; passes += 1) {
      let old = 0;
      let after: Row | undefined;
      do {
        const began = performance.now();
        const slice = await resealSlice(db, column, sealer, after);
        old += slice.old;
        after = slice.last;
        if (passes === 1) progress.looked += slice.looked;
        progress.old = Math.max(progress.old, old);
        hooks.onProgress(progress);
        await hooks.pause(performance.now() - began);
      } while (after !== undefined);
      if (old === 0) break;
      if (passes >= MOST_PASSES) throw new Error(`${progress.column}: something is being written under a secret of before`);
    }
  }
}
