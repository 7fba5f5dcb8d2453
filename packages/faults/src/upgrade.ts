import { spawn } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";
import {
  createEmptyDatabase,
  deleteNamespace,
  deploymentSettings,
  fillWithOldMessages,
  makePeople,
  patiently,
  printed,
  type ServiceProcess,
  startCommand,
  startPostgres,
  startRabbit,
  startService,
  startSteadyLoad,
  testNamespace,
  waitFor,
} from "@messenger/testkit";
import { startReceiver } from "./receiver.ts";
import { createTimeline } from "./timeline.ts";

export interface UpgradeOptions {
  /** A checkout of the earlier version, with its packages installed. */
  from: string;
  /** How many messages the database has before. */
  messages: number;
  onLine: (line: string) => void;
}

export interface UpgradeResult {
  answered: number;
  repeats: number;
  migrateSeconds: number;
}

const PARTITIONS = 16;
const SECRET = "a secret of the upgrade, of more than 32 bytes";
const PEOPLE = 20;
const PER_SECOND = 200;
const INBOXES = 100_000;
/** For how long each pair of versions runs. */
const EACH_MS = 10_000;
const BUSY_MS = 30 * 60_000;

type Version = "older" | "newer";

/**
 * Upgrades a deployment with a large database under load, while something else takes a core: the schema
 * first, then newer processes beside the older ones, the older ones alone again, and the newer ones alone.
 * Every request must be answered 200, and every message must arrive.
 */
export async function runUpgrade({ from, messages, onLine }: UpgradeOptions): Promise<UpgradeResult> {
  const timeline = createTimeline(onLine);
  const [postgres, rabbit] = [await startPostgres(), await startRabbit()];
  const database = await createEmptyDatabase(postgres.url);
  const namespace = testNamespace();
  const receiver = await startReceiver();
  const running = new Set<ServiceProcess>();
  const faults: string[] = [];
  let closing = false;
  const listeners = new Map<Version, { process: ServiceProcess; url: string }>();
  const senders = new Map<Version, ServiceProcess>();
  const settings = {
    ...deploymentSettings({
      databaseUrl: database.url,
      amqpUrl: rabbit.url,
      namespace,
      partitions: PARTITIONS,
      secret: SECRET,
    }),
    LOG_LEVEL: "info",
    DRAIN_SECONDS: "3", // as in compose
  };
  const rootOf = (version: Version): string | undefined => (version === "older" ? from : undefined);

  async function migrate(version: Version): Promise<number> {
    const startedAt = performance.now();
    const root = rootOf(version);
    const command = startCommand(["migrate"], { DATABASE_URL: database.url }, root === undefined ? {} : { root });
    running.add(command);
    const code = await command.exited;
    running.delete(command);
    if (code !== 0) throw new Error(`the ${version} migrate ended with ${code}: ${command.output}`);
    return (performance.now() - startedAt) / 1000;
  }

  /** A process that ends by itself, or not well, is a fault. */
  function watch(version: Version, name: string, process: ServiceProcess): void {
    running.add(process);
    void process.exited.then((code) => {
      if (closing || (!running.has(process) && code === 0)) return;
      faults.push(`the ${version} ${name} ended with ${code}: ${process.output.slice(-500)}`);
    });
  }

  async function start(version: Version): Promise<void> {
    const [sender, listener] = [
      startService("sender", settings, rootOf(version)),
      startService("listener", settings, rootOf(version)),
    ];
    watch(version, "sender", sender);
    watch(version, "listener", listener);
    await printed(sender, /"msg":"pushing"/u);
    senders.set(version, sender);
    listeners.set(version, { process: listener, url: await printed(listener, /"url":"(http:[^"]+)"/u) });
    timeline.note(`the ${version} listener and sender run`);
  }

  /** Nobody asks a listener that is about to stop, as with a proxy that waits for it. */
  async function stop(version: Version): Promise<void> {
    const [listener, sender] = [listeners.get(version), senders.get(version)];
    listeners.delete(version);
    await sleep(1_000);
    for (const process of [listener?.process, sender]) {
      if (process === undefined) continue;
      running.delete(process); // it is meant to end
      await process.kill("SIGTERM");
    }
    timeline.note(`the ${version} ones have stopped`);
  }

  try {
    await migrate("older");
    timeline.note(`filling the database with ${messages} messages`);
    await patiently(database.url, (db) => fillWithOldMessages(db, messages, Math.min(messages, INBOXES)));
    await start("older");
    const people = await makePeople(listeners.get("older")?.url as string, receiver.url, PEOPLE);
    let n = 0;
    const count = (): string =>
      `${load.answered.size} answered, ${load.failed} failed: ${JSON.stringify(Object.fromEntries(load.reasons))}`;
    const load = startSteadyLoad({
      perSecond: PER_SECOND,
      next() {
        n += 1;
        const urls = [...listeners.values()].map(({ url }) => url);
        const pick = <T>(all: readonly T[], by: number): T => all[by % all.length] as T;
        return { url: pick(urls, n), from: pick(people, n), to: pick(people, n * 7 + 1) };
      },
    });
    const busy = spawn(process.execPath, ["-e", `const until = Date.now() + ${BUSY_MS}; while (Date.now() < until);`]);
    let migrateSeconds: number;
    try {
      await sleep(EACH_MS);
      timeline.note(`${count()}; the schema is upgraded`);
      migrateSeconds = await migrate("newer");
      timeline.note(`${count()}; that took ${migrateSeconds.toFixed(1)} s`);
      const turns: [typeof start, Version][] = [
        [start, "newer"],
        [stop, "newer"],
        [start, "newer"],
        [stop, "older"],
        [start, "older"],
        [stop, "older"],
      ];
      for (const [turn, version] of turns) {
        await sleep(EACH_MS);
        // By those that run now: what comes next would deliver what they cannot.
        const due = [...load.answered];
        await waitFor(() => due.every((id) => receiver.taken.has(id)), { what: "all to arrive", timeoutMs: 120_000 });
        await turn(version);
        timeline.note(count());
      }
      await sleep(EACH_MS);
    } finally {
      busy.kill("SIGKILL");
      await load.stop();
    }
    timeline.note(count());
    const missing = (): string[] => [...load.answered].filter((id) => !receiver.taken.has(id));
    await waitFor(() => missing().length === 0, { what: "all to arrive", timeoutMs: 120_000 }).catch(() => undefined); // said below
    const problems = [
      ...faults,
      ...(load.failed > 0 ? [count()] : []),
      ...(missing().length > 0 ? [`${missing().length} answered messages did not arrive`] : []),
      ...receiver.findDisorder(() => true).slice(0, 5),
    ];
    if (problems.length > 0) throw new Error(`${problems.join("; ")}\n${timeline.lines.join("\n")}`);
    return { answered: load.answered.size, repeats: receiver.repeats, migrateSeconds };
  } finally {
    closing = true;
    for (const process of running) await process.kill("SIGKILL");
    await receiver.close();
    await deleteNamespace(rabbit.url, namespace, PARTITIONS);
    await database.drop();
    await rabbit.stop();
    await postgres.stop();
  }
}
