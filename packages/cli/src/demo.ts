import { Presets, SingleBar } from "cli-progress";
import { findOrStartInstance } from "./demo-instance.ts";
import { type Arrival, startReceiver } from "./demo-receiver.ts";
import { percentiles } from "./percentiles.ts";

const MESSAGES = 1_000;
/** So many of them at once, by several clients; the others one by one, each after the one before has arrived. */
const BURST = 500;
const CONNECTIONS = 8;
const ARRIVE_WITHIN_MS = 30_000;

interface SignedIn {
  id: number;
  name: string;
  token: string;
}

async function call(url: string, body: object, token?: string): Promise<Record<string, unknown>> {
  const response = await fetch(url, {
    method: "POST",
    headers: {
      "content-type": "application/json",
      accept: "application/json",
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
    },
    body: JSON.stringify(body),
    signal: AbortSignal.timeout(15_000),
  });
  const answer = (await response.json()) as Record<string, unknown>;
  if (!response.ok) throw new Error(`POST ${new URL(url).pathname} was answered ${response.status}: ${String(answer["detail"])}`);
  return answer;
}

async function register(base: string, name: string): Promise<SignedIn> {
  const phone_number = `+${Math.floor(Math.random() * 1e14)}`;
  const made = await call(`${base}/api/users/`, { username: name, phone_number, password: `password of ${name}` });
  return { id: made["user_id"] as number, name, token: made["access_token"] as string };
}

/** Sends messages `from` to `to`; remembers when each was answered. */
function createSending(base: string, from: SignedIn, to: SignedIn) {
  const bar = new SingleBar({ format: "  sending   {bar} {value}/{total}", hideCursor: true }, Presets.shades_classic);
  const answeredAt = new Map<string, number>();

  async function sendOne(n: number): Promise<string> {
    const message = {
      message: `Message ${n} of ${MESSAGES}`,
      sender_id: from.id,
      sender_username: from.name,
      receiver_id: to.id,
      send_date: new Date().toISOString(),
    };
    const answer = await call(`${base}/api/messages/`, message, from.token);
    const id = answer["message_id"] as string;
    answeredAt.set(id, performance.now());
    bar.increment();
    return id;
  }

  return {
    answeredAt,
    start: () => bar.start(MESSAGES, 0),
    stop: () => bar.stop(),
    sendOne,
    /** As fast as `CONNECTIONS` clients can. */
    async sendBurst(count: number): Promise<void> {
      let n = 0;
      const client = async (): Promise<void> => {
        while (n < count) await sendOne((n += 1));
      };
      await Promise.all(Array.from({ length: CONNECTIONS }, client));
    },
  };
}

interface Findings {
  missing: number;
  repeats: number;
  unsigned: number;
  outOfOrder: number;
  /** From answer to arrival, in ms, of the messages that were sent one by one. */
  latencies: number[];
}

function examine(
  answeredAt: ReadonlyMap<string, number>,
  arrivals: readonly Arrival[],
  onTheirOwn: ReadonlySet<string>,
): Findings {
  const first = new Map<string, Arrival>();
  for (const arrival of arrivals) if (!first.has(arrival.id)) first.set(arrival.id, arrival);
  const inOrder = [...first.values()];
  return {
    missing: [...answeredAt.keys()].filter((id) => !first.has(id)).length,
    repeats: arrivals.length - first.size,
    unsigned: arrivals.filter((arrival) => !arrival.verified).length,
    outOfOrder: inOrder.filter((arrival, n) => n > 0 && arrival.seq !== (inOrder[n - 1] as Arrival).seq + 1).length,
    // A push can arrive before its sender has read the answer: it took no time then.
    latencies: [...onTheirOwn].flatMap((id) => {
      const arrived = first.get(id)?.at;
      return arrived === undefined ? [] : [Math.max(0, arrived - (answeredAt.get(id) ?? arrived))];
    }),
  };
}

const mark = (good: boolean): string => (good ? "✓" : "✗");

/** Shows the main job: two users, an endpoint, a thousand messages, and what arrived. */
export async function demo(env: NodeJS.ProcessEnv): Promise<number> {
  const instance = await findOrStartInstance(env);
  const receiver = await startReceiver();
  try {
    process.stdout.write(
      `\n${instance.started ? "Started a fresh Messenger" : "Found a running Messenger"} at ${instance.url}\n\n`,
    );
    const run = Date.now().toString(36);
    const sender = await register(instance.url, `demo-ada-${run}`);
    const recipient = await register(instance.url, `demo-bob-${run}`);
    const login = await call(`${instance.url}/api/login/`, {
      username: recipient.name,
      password: `password of ${recipient.name}`,
      user_address: receiver.url,
      public_key: "none",
    });
    receiver.verifyWith(login["webhook_secret"] as string);
    process.stdout.write(`  ${sender.name} sends to ${recipient.name}, who receives at ${receiver.url}\n\n`);

    const sending = createSending(instance.url, sender, recipient);
    const onTheirOwn = new Set<string>();
    sending.start();
    try {
      await sending.sendBurst(BURST);
      await receiver.arrived(new Set(sending.answeredAt.keys()), ARRIVE_WITHIN_MS);
      for (let n = BURST + 1; n <= MESSAGES; n += 1) {
        const id = await sending.sendOne(n);
        onTheirOwn.add(id);
        await receiver.arrived(new Set([id]), ARRIVE_WITHIN_MS);
      }
    } finally {
      sending.stop();
    }
    return report(examine(sending.answeredAt, receiver.arrivals, onTheirOwn));
  } finally {
    await receiver.close();
    await instance.close();
  }
}

function report(found: Findings): number {
  const { missing, repeats, unsigned, outOfOrder } = found;
  const { p50, p99, max } = percentiles(found.latencies);
  const good = missing + unsigned + outOfOrder === 0;
  process.stdout.write(`
  ${mark(missing === 0)} ${MESSAGES - missing} of ${MESSAGES} messages arrived (${repeats} repeats)
  ${mark(unsigned === 0)} ${unsigned === 0 ? "every push has a valid signature" : `${unsigned} pushes have no valid signature`}
  ${mark(outOfOrder === 0)} ${outOfOrder === 0 ? "all in order" : `${outOfOrder} out of order`}

  from answer to arrival, when idle: p50 ${p50.toFixed(1)} ms, p99 ${p99.toFixed(1)} ms, at most ${max.toFixed(1)} ms
`);
  return good ? 0 : 1;
}
