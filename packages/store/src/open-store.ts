import { Kysely, PGliteDialect, PostgresDialect, type PostgresPool, type PostgresPoolClient } from "kysely";
import pg from "pg";
import type { Database, Db } from "./database.ts";
import { exclusive } from "./exclusive-driver.ts";
import { cannotTell, IDENTITY, recoverIfFailedOver } from "./fail-over.ts";
import { PreparingClient } from "./preparing-client.ts";

/** Connections to the database, and who waits for one. */
export interface Connections {
  busy: number;
  idle: number;
  waiting: number;
}

/** An open database. */
export interface Store {
  readonly db: Db;
  readonly embedded: boolean;
  /** Undefined where it is embedded: it has none. */
  connections(): Connections | undefined;
  /** Waits for running statements and closes all connections. */
  close(): Promise<void>;
}

export interface StoreOptions {
  /** `postgres://user:password@host:port/database`, or `pglite:<folder>` for an embedded database in that folder. */
  url: string;
  /** Connections at most; an embedded database has one. */
  maxConnections?: number;
  /**
   * How long a statement may take, and a connection may be silent beside that for 1 s; 30 s by default, 0 for
   * any time.
   */
  statementTimeoutMs?: number;
  /** How long a statement may wait for a lock; as long as it may take by default. */
  lockTimeoutMs?: number;
  /** Told that the database had come back older, and that this was dealt with: so many endpoints are due. */
  onFailOver?(endpoints: number): void;
  /** Told of a connection that broke while idle; the pool replaces it. */
  onError?(error: Error): void;
}

const CONNECT_TIMEOUT_MS = 5_000;
/** No statement of ours takes long; one that does is stuck, and must not hold its locks for ever. */
const STATEMENT_TIMEOUT_MS = 30_000;
/** Longer than a statement may take, its answer is waited for. */
const SILENT_MS = 1_000;
/** The system's own first probe of a silent connection comes after two hours. */
const KEEP_ALIVE_AFTER_MS = 10_000;
/**
 * Our statements find few rows by their keys, and what they look for is in memory or on an SSD. With the
 * default, which is made for disks that turn, Postgres read all of `inboxes` for every batch (1.0 ms of 3.4
 * for 64 messages to 10,000 inboxes).
 */
const PLANNER = "set random_page_cost = 1.1";
const UNDEFINED_TABLE = "42P01";
const INT8 = 20;
const INT8_ARRAY = 1016;

type TypeId = Parameters<typeof pg.types.getTypeParser>[0];

/** All our int8 values are ids and counts within 2^53; a larger one is a fault, not something to round. */
function parseInt8(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value)) throw new RangeError(`an int8 beyond 2^53: ${text}`);
  return value;
}

const parseInt8Array = (text: string): number[] => (text === "{}" ? [] : text.slice(1, -1).split(",").map(parseInt8));

/** Of the text form, which is the only one that either driver asks for. */
const INTEGER_PARSERS: Record<number, (text: string) => number | number[]> = { [INT8]: parseInt8, [INT8_ARRAY]: parseInt8Array };

function openPostgres(options: StoreOptions): Store {
  const statementTimeoutMs = options.statementTimeoutMs ?? STATEMENT_TIMEOUT_MS;
  const types = {
    getTypeParser(oid: TypeId, format?: string) {
      return (INTEGER_PARSERS[oid] as never) ?? pg.types.getTypeParser(oid, format as never);
    },
  };
  const pool = new pg.Pool({
    Client: PreparingClient,
    connectionString: options.url,
    max: options.maxConnections ?? 10,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    query_timeout: statementTimeoutMs === 0 ? 0 : statementTimeoutMs + SILENT_MS,
    application_name: "messenger",
    keepAlive: true,
    keepAliveInitialDelayMillis: KEEP_ALIVE_AFTER_MS,
    types,
    ...beforeUse((client) => prepareConnection(client, { ...options, statementTimeoutMs })),
  });
  pool.on("error", (error) => options.onError?.(error));
  // The pool listens to connections that are idle only. One that breaks while it is in use fails its statement, and would end the process besides.
  pool.on("connect", (client) => client.on("error", () => undefined));
  const db = new Kysely<Database>({ dialect: new PostgresDialect({ pool }) });
  return {
    db,
    embedded: false,
    connections: () => ({ busy: pool.totalCount - pool.idleCount, idle: pool.idleCount, waiting: pool.waitingCount }),
    close: () => db.destroy(),
  };
}

/**
 * What the pool does with a new connection before it hands it out: it waits for the promise, though its types
 * do not say so.
 */
function beforeUse(onConnect: (client: pg.ClientBase) => Promise<void>): object {
  return { onConnect };
}

/**
 * Settings that a proxy between may not know at connecting are made by a statement. Then looks whether the
 * database is the one it was.
 */
async function prepareConnection(client: pg.ClientBase, options: StoreOptions & { statementTimeoutMs: number }): Promise<void> {
  const { statementTimeoutMs: ms, lockTimeoutMs = 0 } = options;
  await client.query(
    `set statement_timeout = ${ms}; set idle_in_transaction_session_timeout = ${ms}; set lock_timeout = ${lockTimeoutMs}; ${PLANNER}`,
  );
  if (!(await isAnother(client))) return;
  // On this connection, before anybody can use it.
  const own = new Kysely<Database>({ dialect: new PostgresDialect({ pool: poolOf(client) }) });
  const endpoints = await recoverIfFailedOver(own);
  if (endpoints !== undefined) options.onFailOver?.(endpoints);
}

/**
 * Whether another PostgreSQL answers than before. False where that cannot be seen: the database is new, or
 * the user may not ask.
 */
async function isAnother(client: pg.ClientBase): Promise<boolean> {
  try {
    const { rows } = await client.query<{ another: boolean | null }>(
      `select value <> ${IDENTITY} as another from meta where key = 'identity'`,
    );
    return rows[0]?.another === true;
  } catch (error) {
    if (cannotTell(error) || (error as { code?: unknown }).code === UNDEFINED_TABLE) return false;
    throw error;
  }
}

/** A pool of one connection, which stays open. */
function poolOf(client: pg.ClientBase): PostgresPool {
  const held = { query: client.query.bind(client), release: () => undefined } as unknown as PostgresPoolClient;
  return { connect: () => Promise.resolve(held), end: () => Promise.resolve(), options: {} };
}

async function openEmbedded(folder: string): Promise<Store> {
  // Loaded only when it is used: it is large.
  const { PGlite } = await import("@electric-sql/pglite");
  const pglite = await PGlite.create(folder, { parsers: INTEGER_PARSERS });
  // A checkpoint gives the space of the log back, and does not keep it for the next burst.
  await pglite.exec("set wal_recycle = off");
  const dialect = new PGliteDialect({ pglite });
  const db = new Kysely<Database>({
    dialect: {
      createDriver: () => exclusive(dialect.createDriver()),
      createQueryCompiler: () => dialect.createQueryCompiler(),
      createAdapter: () => dialect.createAdapter(),
      createIntrospector: (on) => dialect.createIntrospector(on),
    },
  });
  return {
    db,
    embedded: true,
    connections: () => undefined,
    async close() {
      await db.destroy();
      if (!pglite.closed) await pglite.close();
    },
  };
}

/**
 * Opens a store; does not migrate it. @throws when the embedded folder cannot be opened; Postgres is
 * connected to at the first statement.
 */
export async function openStore(options: StoreOptions): Promise<Store> {
  if (options.url.startsWith("pglite:")) return openEmbedded(options.url.slice("pglite:".length));
  return openPostgres(options);
}
