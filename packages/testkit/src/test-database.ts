import { randomBytes } from "node:crypto";
import { migrate, openStore, type Store } from "@messenger/store";
import pg from "pg";

export interface TestDatabase {
  url: string;
  store: Store;
  /** Closes the store and drops the database. */
  drop(): Promise<void>;
}

async function admin(url: string, statement: string): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    await client.query(statement);
  } finally {
    await client.end();
  }
}

/** A database of the test's own on this server, with nothing in it. */
export async function createEmptyDatabase(serverUrl: string, encoding?: "SQL_ASCII"): Promise<TestDatabase> {
  const name = `test_${randomBytes(6).toString("hex")}`;
  const options = encoding === undefined ? "" : ` encoding '${encoding}' locale 'C' template template0`;
  await admin(serverUrl, `create database ${name}${options}`);
  const url = new URL(serverUrl);
  url.pathname = `/${name}`;
  const store = await openStore({ url: url.href });
  return {
    url: url.href,
    store,
    async drop() {
      await store.close();
      await admin(serverUrl, `drop database ${name} with (force)`);
    },
  };
}

/** The same, migrated. */
export async function createTestDatabase(serverUrl: string): Promise<TestDatabase> {
  const database = await createEmptyDatabase(serverUrl);
  await migrate(database.store.db);
  return database;
}

/** A name for a test's own exchanges and queues. */
export function testNamespace(): string {
  return `test-${randomBytes(6).toString("hex")}`;
}
