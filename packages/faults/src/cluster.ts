import { existsSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import {
  type BreakableServer,
  createTestDatabase,
  deploymentSettings,
  findUncovered,
  needProgram,
  printed,
  type Proxy,
  readUsage,
  type ServiceProcess,
  type NameAnswer,
  startNameServer,
  startPostgres,
  startProxy,
  startRabbit,
  startService,
  testNamespace,
  type Uncovered,
  waitFor,
} from "@messenger/testkit";
import { sql } from "kysely";
import type { Timeline } from "./timeline.ts";

const PARTITIONS = 8;
const SECRET = "a secret of the fault campaign, of more than 32 bytes";
/** Where packages put libfaketime, which gives a process a clock of its own, read from a file. */
const FAKETIMES = ["/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64", "/usr/lib"].map(
  (folder) => `${folder}/faketime/libfaketime.so.1`,
);
/** So that a heap that grows is one that leaks. */
const NODE_OPTIONS = "--max-old-space-size=160";
/** What a process may take to stop: it is gone within 15 s, on a machine that keeps up. */
const STOP_WITHIN_MS = 20_000;

/** A place for a process, which is started again when it ends: with its own way to each server, and its own clock. */
export interface Member {
  readonly name: string;
  readonly kind: "listener" | "sender";
  readonly process: ServiceProcess;
  /** Of a listener: where it listens; undefined while it is away. */
  readonly url: string | undefined;
  readonly toDatabase: Proxy;
  readonly toBroker: Proxy;
  /** Sets its clock so far ahead of, or behind, the machine's. */
  stepClock(seconds: number): Promise<void>;
  /** Has it stop in good order, and starts it again. */
  restart(): Promise<void>;
}

export interface Cluster {
  readonly postgres: BreakableServer;
  readonly rabbit: BreakableServer;
  readonly members: readonly Member[];
  /** What the name server says of every name; at first that it is this machine, for a second. */
  nameAnswer: NameAnswer;
  readonly restarts: number;
  /** Processes that ended by themselves, or did not when they were told to. */
  readonly faults: readonly string[];
  urls(): string[];
  /** Of each process: which it is, and its resident bytes. */
  memory(): Promise<Record<string, { pid: number; bytes: number }>>;
  /** The ids of all messages in the database. */
  messageIds(): Promise<ReadonlySet<string>>;
  /** Where the endpoints stand that have not taken all of these messages, a line for each. */
  describe(messages: readonly string[]): Promise<string[]>;
  /** Stops the senders, looks for events that nothing covers, and starts them again. */
  findUncovered(): Promise<Uncovered[]>;
  close(): Promise<void>;
}

function findFaketime(): string {
  const found = FAKETIMES.find((path) => existsSync(path));
  if (found === undefined) throw new Error(`libfaketime is at none of ${FAKETIMES.join(", ")}`);
  return found;
}

/** Lets a process that was stopped go on; one that has ended stays so. */
export function resume(pid: number): void {
  try {
    process.kill(pid, "SIGCONT");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}

export async function openCluster(
  timeline: Timeline,
  counts: { listeners: number; senders: number; canRollBack?: boolean },
): Promise<Cluster> {
  await needProgram("faketime", "faketime");
  const faketime = findFaketime();
  const [postgres, rabbit] = [await startPostgres({ canRollBack: counts.canRollBack }), await startRabbit()];
  const database = await createTestDatabase(postgres.url);
  const namespace = testNamespace();
  const folder = await mkdtemp(join(tmpdir(), "messenger-faults-"));
  const proxies: Proxy[] = [];
  const places: Place[] = [];
  const faults: string[] = [];
  let nameAnswer: NameAnswer = { address: "127.0.0.1", ttl: 1 };
  const nameServer = await startNameServer(() => nameAnswer);
  let restarts = 0;

  async function proxyTo(serverUrl: string): Promise<{ proxy: Proxy; url: string }> {
    const url = new URL(serverUrl);
    const proxy = await startProxy({ host: url.hostname, port: Number(url.port) });
    proxies.push(proxy);
    url.hostname = "127.0.0.1";
    url.port = String(proxy.port);
    return { proxy, url: url.href };
  }

  type Place = Member & { start(): Promise<void>; stop(): Promise<void> };

  async function open(kind: "listener" | "sender", n: number): Promise<Place> {
    const name = `${kind}-${n}`;
    const [toDatabase, toBroker] = [await proxyTo(database.url), await proxyTo(rabbit.url)];
    const clock = join(folder, name);
    await writeFile(clock, "+0s\n");
    const settings = {
      ...deploymentSettings({
        databaseUrl: toDatabase.url,
        amqpUrl: toBroker.url,
        namespace,
        partitions: PARTITIONS,
        secret: SECRET,
      }),
      DNS_SERVERS: nameServer.address,
      NODE_OPTIONS,
      LD_PRELOAD: faketime,
      FAKETIME_TIMESTAMP_FILE: clock,
      FAKETIME_NO_CACHE: "1",
      DONT_FAKE_MONOTONIC: "1",
    };
    let process: ServiceProcess;
    let url: string | undefined;
    let wanted = false;
    /** Raised by each start: of two, the later one has the place. */
    let life = 0;
    let restarted: Promise<void> = Promise.resolve();

    async function start(): Promise<void> {
      wanted = true;
      const mine = (life += 1);
      // Until it runs: the database may be away just then.
      for (;;) {
        process = startService(kind, settings);
        const started = process;
        const found = await printed(started, kind === "listener" ? /"url":"(http:[^"]+)"/u : /"msg":"pushing"/u).catch(
          () => undefined,
        );
        if (!wanted || life !== mine) {
          await started.kill("SIGKILL");
          return;
        }
        if (found === undefined) {
          await started.kill("SIGKILL");
          continue;
        }
        url = kind === "listener" ? found : undefined;
        void started.exited.then((code) => {
          url = undefined;
          if (!wanted || process !== started) return;
          restarts += 1;
          // Not killed: what it said last tells why.
          const why = code === null ? "" : ` with ${code}: ${started.output.trim().split("\n").slice(-5).join("\n")}`;
          timeline.note(`${name} ended${why}, and is started again`);
          if (code !== null) faults.push(`${name} ended${why}`);
          void start();
        });
        return;
      }
    }

    return {
      name,
      kind,
      get process() {
        return process;
      },
      get url() {
        return url;
      },
      toDatabase: toDatabase.proxy,
      toBroker: toBroker.proxy,
      stepClock: (seconds) => writeFile(clock, `${seconds < 0 ? "-" : "+"}${Math.abs(seconds)}s\n`),
      start,
      restart() {
        restarted = restarted.then(stop).then(start);
        return restarted;
      },
      stop,
    };

    async function stop(): Promise<void> {
      wanted = false;
      const stopping = process;
      const ended = stopping.kill("SIGTERM").then(() => true);
      resume(stopping.pid);
      if (await Promise.race([ended, sleep(STOP_WITHIN_MS, false, { ref: false })])) return;
      faults.push(`${name} did not stop within ${STOP_WITHIN_MS / 1000} s`);
      await stopping.kill("SIGKILL");
    }
  }

  for (let n = 1; n <= counts.listeners; n += 1) places.push(await open("listener", n));
  for (let n = 1; n <= counts.senders; n += 1) places.push(await open("sender", n));
  await Promise.all(places.map((place) => place.start()));
  const senders = places.filter(({ kind }) => kind === "sender");

  return {
    postgres,
    rabbit,
    members: places,
    faults,
    get nameAnswer() {
      return nameAnswer;
    },
    set nameAnswer(value) {
      nameAnswer = value;
    },
    get restarts() {
      return restarts;
    },
    urls: () => places.map(({ url }) => url).filter((url) => url !== undefined),
    async memory() {
      const found = await Promise.all(
        places.map(
          async ({ name, process }) => [name, { pid: process.pid, bytes: (await readUsage(process.pid)).residentBytes }] as const,
        ),
      );
      return Object.fromEntries(found);
    },
    async messageIds() {
      const read = () => sql<{ id: string }>`select id from messages`.execute(database.store.db);
      const { rows } = await waitFor(read, { what: "the database to answer", timeoutMs: 60_000 });
      return new Set(rows.map(({ id }) => id));
    },
    async describe(messages) {
      const { rows } = await sql<{ line: string }>`
        select format('%s of %s at %s of %s: %s, %s failures, due %s by %s', count(*), n.address, n.cursor, b.head, n.state, n.failures,
          coalesce((n.retry_at - now())::text, 'never'), coalesce(n.lease_by, 'nobody')) as line
        from events e join inboxes b on b.id = e.inbox_id join endpoints n on n.inbox_id = b.id
        where e.id = any(${messages}::uuid[]) and n.cursor < e.seq
        group by n.id, b.id
      `.execute(database.store.db);
      return rows.map(({ line }) => line);
    },
    async findUncovered() {
      await Promise.all(senders.map((sender) => sender.stop()));
      try {
        return await waitFor(
          () => findUncovered({ db: database.store.db, amqpUrl: rabbit.url, namespace, partitions: PARTITIONS, secret: SECRET }),
          {
            what: "the queues to be read",
            timeoutMs: 60_000,
          },
        );
      } finally {
        await Promise.all(senders.map((sender) => sender.start()));
      }
    },
    async close() {
      await Promise.all(places.map((place) => place.stop()));
      for (const proxy of proxies) await proxy.close();
      await nameServer.close();
      await database.store.close();
      await postgres.stop();
      await rabbit.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}
