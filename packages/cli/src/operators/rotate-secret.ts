import { sleep, systemClock } from "@messenger/core";
import { isCurrentSecret, resealAll, type Resealing } from "@messenger/store";
import { keyringOf, withAnyDatabase } from "../database.ts";

/**
 * The last step of changing the deployment's secret, beside processes that use the new one: seals anew what is sealed under
 * one of before, so that nothing needs that any more. Half of the time it does nothing, for those who work.
 */
export async function rotateSecret(env: NodeJS.ProcessEnv): Promise<number> {
  return withAnyDatabase(env, async ({ db }, folder) => {
    const keyring = await keyringOf(env, folder);
    if (!(await isCurrentSecret(db, keyring.checks.current))) {
      throw new Error("MESSENGER_SECRET is not the secret that this Messenger uses: restart its processes with it first");
    }
    const done = new Map<string, Resealing>();
    let shown = "";
    await resealAll(db, keyring, {
      onProgress(progress) {
        if (shown !== "" && shown !== progress.column) print(done.get(shown));
        shown = progress.column;
        done.set(shown, { ...progress });
      },
      pause: (ms) => sleep(systemClock, ms),
    });
    print(done.get(shown));
    const old = [...done.values()].reduce((sum, progress) => sum + progress.old, 0);
    process.stdout.write(
      `${old} values were sealed anew; nothing is sealed under a secret of before. Empty MESSENGER_SECRET_PREVIOUS, and restart ` +
        "all processes (in compose: messenger forget-secrets). Access tokens that were signed under it end with that.\n",
    );
    return 0;
  });
}

function print(progress: Resealing | undefined): void {
  if (progress === undefined) return;
  const { column, looked, old } = progress;
  process.stdout.write(`${column.padEnd(26)}${String(looked).padStart(10)} looked at${String(old).padStart(10)} sealed anew\n`);
}
