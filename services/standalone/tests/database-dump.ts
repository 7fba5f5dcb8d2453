import { createKeyring, SealError, systemRandom } from "@messenger/core";
import { type Db, SEALED_COLUMNS } from "@messenger/store";
import { sql } from "kysely";

/**
 * All text that is in a database, in lower case: each value as text, bytes as they are, and what is sealed as it is unsealed
 * by the deployment's secret.
 */
export async function dump(db: Db, secret: string): Promise<string> {
  const keyring = createKeyring({ secret, random: systemRandom });
  const found: string[] = [];

  /** Nothing of what was erased, and is sealed no more. */
  function unsealed(table: string, row: Record<string, unknown>, column: string, value: Buffer): string {
    const known = SEALED_COLUMNS.find((one) => one.table === table && one.column === column);
    if (known === undefined || value.length === 0) return "";
    try {
      return keyring[known.sealer].unseal(known.context(row as Record<string, string>), value).toString("latin1");
    } catch (error) {
      if (!(error instanceof SealError)) throw error;
      throw new Error(`${table}.${column} is not sealed under what it is said to be`, { cause: error });
    }
  }

  const { rows: tables } = await sql<{ name: string }>`
    select tablename as name from pg_tables where schemaname = 'public'
  `.execute(db);
  for (const { name } of tables) {
    const { rows } = await sql<Record<string, unknown>>`select * from ${sql.table(name)}`.execute(db);
    for (const row of rows) {
      for (const [column, value] of Object.entries(row)) {
        found.push(
          Buffer.isBuffer(value)
            ? `${name}.${column} ${value.toString("latin1").replaceAll("\n", " ")}${unsealed(name, row, column, value).replaceAll("\n", " ")}`
            : JSON.stringify(value),
        );
      }
    }
  }
  return found.join("\n").toLowerCase();
}
