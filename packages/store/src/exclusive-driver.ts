import type { DatabaseConnection, Driver } from "kysely";

/**
 * Hands out a driver's only connection to one user at a time. Kysely's PGlite driver gives the same
 * connection to everybody at once, so that a statement from elsewhere would run inside whichever transaction
 * is open, and be undone with it.
 */
export function exclusive(driver: Driver): Driver {
  let last: Promise<void> = Promise.resolve();
  const release = new WeakMap<DatabaseConnection, () => void>();

  return {
    init: (options) => driver.init(options),
    async acquireConnection(options) {
      const before = last;
      let done: () => void = () => undefined;
      last = new Promise((resolve) => {
        done = resolve;
      });
      await before;
      try {
        const connection = await driver.acquireConnection(options);
        release.set(connection, done);
        return connection;
      } catch (error) {
        done();
        throw error;
      }
    },
    async releaseConnection(connection, options) {
      await driver.releaseConnection(connection, options);
      release.get(connection)?.();
    },
    beginTransaction: (connection, settings) => driver.beginTransaction(connection, settings),
    commitTransaction: (connection) => driver.commitTransaction(connection),
    rollbackTransaction: (connection) => driver.rollbackTransaction(connection),
    destroy: (options) => driver.destroy(options),
  };
}
