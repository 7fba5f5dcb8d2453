import { sleep, systemClock } from "@messenger/core";
import { isCurrentSecret, resealAll } from "@messenger/store";
import { keyringOf, withAnyDatabase } from "../database.ts";

/**
 * Reseals all data under the current secret, beside processes that use it, so that no previous one is needed any more. It
 * sleeps as long as it works, to leave room for them.
 */
export async function rotateSecret(env: NodeJS.ProcessEnv): Promise<number> {
  return withAnyDatabase(env, async ({ db }, folder) => {
    const keyring = await keyringOf(env, folder);
    if (!(await isCurrentSecret(db, keyring.checks.current))) {
      throw new Error("MESSENGER_SECRET is not the secret that this Messenger uses: restart its processes with it first");
    }
    let resealed = 0;
    const lost = await resealAll(db, keyring, {
      onProgress({ column, looked, old }) {
        resealed += old;
        process.stdout.write(
          `${column.padEnd(26)}${String(looked).padStart(10)} looked at${String(old).padStart(10)} resealed\n`,
        );
      },
      pause: (ms) => sleep(systemClock, ms),
    });
    process.stdout.write(`Resealed ${resealed} values.\n`);
    if (lost.length > 0) {
      process.stderr.write(
        `No known secret unseals these (at most 100 are listed), which stay as they are:\n  ${lost.join("\n  ")}\n` +
          "Give the secret that they were sealed under as MESSENGER_SECRET_PREVIOUS, and run this again.\n",
      );
      return 1;
    }
    process.stdout.write(
      "No value needs a previous secret. Next: empty MESSENGER_SECRET_PREVIOUS (in compose: messenger forget-secrets), and restart all " +
        "processes. Access tokens that were signed under it are not valid any more then.\n",
    );
    return 0;
  });
}
