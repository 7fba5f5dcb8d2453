import type { InboxEvent } from "@messenger/core";
import type { SenderStore } from "@messenger/sender";
import {
  type AppendedBatch,
  type AppendResult,
  type EndpointRow,
  leaseMs,
  type NewMessage,
  type ClearAnswer,
  type Progress,
  type ProgressAnswer,
} from "@messenger/store";
import { EPOCH, type Process, type World } from "./world.ts";

export interface Endpoint {
  id: number;
  inbox: number;
  address: string;
  kinds: readonly string[];
  secret: string;
  cursor: number;
  failures: number;
  serverErrors: number;
  rejections: number;
  rejectedAt: number | null;
  failingSince: number | null;
  retryAt: number | null;
  leaseBy: string | null;
  /** When the sender that has the lease took it. */
  leasedAt: number;
  generation: number;
  active: boolean;
  /** Dead letters of it are to be pushed again. */
  replaying: boolean;
  /** When it went off. */
  offAt: number;
  /** When its session ended, if it has. */
  loggedOutAt: number;
}

/** What no simulated owner changes. */
/** Of an endpoint that takes several pushes at once. */
const WINDOW = 3;
const SETTINGS = { signingKey: null, headers: null, isThin: false };

interface Inbox {
  id: number;
  head: number;
  version: number;
  events: InboxEvent[];
}

interface OutboxRow {
  id: number;
  inboxIds: readonly number[];
  dueAt: number;
}

/**
 * The database's tables, and its statements with what they promise: each happens at one moment, as the row
 * locks of the real ones make it appear to the rows it is about. The real statements are held against the
 * same promises by the conformance suite of the store, on PostgreSQL.
 */
export interface Store {
  readonly inboxes: ReadonlyMap<number, Inbox>;
  readonly endpoints: ReadonlyMap<number, Endpoint>;
  readonly outbox: ReadonlyMap<number, OutboxRow>;
  /** By the endpoint's id and the seq: when it was put aside, and whether it is to be pushed again. */
  readonly deadLetters: ReadonlyMap<string, { at: number; asked: boolean }>;
  away: boolean;
  /** Remembers how it was now, and every two seconds while things go wrong, so that it can fail over to that. */
  keepHistory(): void;
  addInbox(): Inbox;
  /** A log-in: makes an endpoint, or revives it, past all that others of its inbox took. */
  logIn(inbox: number, address: string, kinds: readonly string[], secret: string): Endpoint;
  logOut(endpoint: number): void;
  /** Pushes of it that may be in flight at the same time. */
  mostInFlight(endpoint: Endpoint | undefined): number;
  /** Sets a cursor back. */
  replay(endpoint: number, cursor: number): void;
  /**
   * Has all dead letters of an endpoint pushed again, and events that were taken as if they were some: real ones
   * are rare, as it takes minutes until there is one. Returns their seqs.
   */
  askAgain(endpoint: number, more: readonly number[]): readonly number[];
  append(messages: readonly NewMessage[]): AppendedBatch;
  deleteOutbox(ids: readonly number[]): void;
  repair(partitions: readonly number[], of: number): void;
  /**
   * Comes back as it was some seconds before, as a replica that lacked the last transactions does, and is
   * repaired before anybody uses it. Returns when it was so, and the ids of the messages that it lost.
   */
  failOver(): { asOf: number; lost: readonly string[] };
  /** What a sender has of the store, over its network. */
  forSender(process: Process): SenderStore;
}

const RELAY = "relay";
const OUTBOX_DUE_MS = 5_000;
const DEFER_MS = 1_000;
const SNAPSHOT_EVERY_MS = 2_000;
const SNAPSHOTS = 5;
const INCARNATION = 2 ** 32;

export function createStore(world: World, onChange: () => void): Store {
  let inboxes = new Map<number, Inbox>();
  let endpoints = new Map<number, Endpoint>();
  let outbox = new Map<number, OutboxRow>();
  let messages = new Map<string, AppendResult & { status: "appended" }>();
  let deadLetters = new Map<string, { at: number; asked: boolean }>();
  /** Goes on after a fail-over, so that no number is given out twice. */
  let outboxIds = 0;
  let endpointIds = 0;
  let incarnation = 0;
  const snapshots: { at: number; tables: ReturnType<typeof copy> }[] = [];
  const copy = () => structuredClone({ inboxes, endpoints, outbox, messages, deadLetters });

  function takeSnapshots(): void {
    snapshots.push({ at: now(), tables: copy() });
    if (snapshots.length > SNAPSHOTS) snapshots.shift();
    world.scheduler.after(SNAPSHOT_EVERY_MS, () => {
      if (world.faulty) takeSnapshots();
    });
  }
  const now = (): number => world.scheduler.now;
  const boxOf = (id: number): Inbox => inboxes.get(id) as Inbox;

  const lettersOf = (id: number): string[] => [...deadLetters.keys()].filter((key) => key.startsWith(`${id}/`));

  function cover(inboxIds: readonly number[]): number {
    outboxIds += 1;
    outbox.set(outboxIds, { id: outboxIds, inboxIds, dueAt: now() + OUTBOX_DUE_MS });
    return outboxIds;
  }

  function isTakeable(endpoint: Endpoint, by: string): boolean {
    return endpoint.retryAt === null || endpoint.retryAt <= now() || endpoint.leaseBy === by || endpoint.leaseBy === RELAY;
  }

  const mostInFlight = (endpoint: Endpoint | undefined): number =>
    world.windowed && endpoint !== undefined && endpoint.id % 2 === 0 ? WINDOW : 1;

  function rowOf(endpoint: Endpoint): EndpointRow {
    const { id, inbox, address, kinds, secret, cursor, failures, serverErrors, rejections, rejectedAt, failingSince } = endpoint;
    const standing = { failures, serverErrors, rejections, rejectedAt, failingSince };
    const due = endpoint.retryAt !== null;
    const generation = endpoint.generation + incarnation;
    return {
      id,
      inbox,
      userId: inbox,
      address,
      kinds,
      secret,
      previousSecret: null,
      ...SETTINGS,
      timeoutS: world.timeoutS,
      // Every third one.
      maxPerSecond: world.rated && id % 3 === 0 ? 4 : null,
      maxInFlight: mostInFlight(endpoint),
      cursor,
      ...standing,
      due,
      replaying: endpoint.replaying,
      generation,
    };
  }

  function deleteOutbox(ids: readonly number[]): void {
    for (const id of ids) outbox.delete(id);
    onChange();
  }

  /** An inbox's endpoints changed: whoever knows them must read them anew. */
  function change(endpoint: Endpoint): void {
    boxOf(endpoint.inbox).version += 1;
    endpoint.generation += 1;
    cover([endpoint.inbox]);
    onChange();
  }

  /** A change clears a due time, but not a lease that a sender has, nor one for dead letters. */
  function leaseOf(endpoint: Endpoint): Pick<Endpoint, "retryAt" | "leaseBy"> {
    const { retryAt, leaseBy } = endpoint;
    const isLive = leaseBy !== null && leaseBy !== RELAY && retryAt !== null && retryAt > now();
    return isLive ? { retryAt, leaseBy } : { retryAt: endpoint.replaying ? now() : null, leaseBy: null };
  }

  function lease(endpoint: Endpoint, by: string): void {
    if (endpoint.leaseBy !== by) endpoint.leasedAt = now();
    endpoint.retryAt = now() + leaseMs(world.timeoutS);
    endpoint.leaseBy = by;
  }

  const isBehind = ({ cursor, inbox, replaying }: Endpoint): boolean => replaying || cursor < boxOf(inbox).head;

  function makeDue(isConcerned: (inbox: number) => boolean, inMs: number): void {
    for (const endpoint of endpoints.values()) {
      if (!endpoint.active || endpoint.retryAt !== null || !isConcerned(endpoint.inbox)) continue;
      if (isBehind(endpoint)) endpoint.retryAt = now() + inMs;
    }
  }

  function recordOne(by: string, report: Progress): ProgressAnswer | null {
    const endpoint = endpoints.get(report.endpoint);
    if (endpoint === undefined || endpoint.generation + incarnation !== report.generation) return null;
    const takeable = isTakeable(endpoint, by);
    if (report.cursor >= endpoint.cursor) {
      endpoint.failures = report.failures;
      endpoint.serverErrors = report.serverErrors;
      endpoint.rejections = report.rejections;
      endpoint.rejectedAt = report.rejectedAt;
      endpoint.failingSince = report.failures > 0 ? (endpoint.failingSince ?? (world.dated ? EPOCH : 0) + now()) : null;
    }
    endpoint.cursor = Math.max(endpoint.cursor, report.cursor);
    if (report.off !== null || !endpoint.active) {
      if (endpoint.active) endpoint.offAt = now();
      endpoint.active = false;
      endpoint.retryAt = null;
      endpoint.leaseBy = null;
    } else if (report.retryInMs !== null && takeable) {
      endpoint.retryAt = now() + report.retryInMs;
      endpoint.leaseBy = null;
    } else if (report.renew && endpoint.leaseBy === by) {
      endpoint.retryAt = now() + leaseMs(world.timeoutS);
    } else if (report.ensureDue) {
      endpoint.retryAt ??= now();
    }
    for (const { seq } of report.deadLetters) deadLetters.set(`${endpoint.id}/${seq}`, { at: now(), asked: false });
    for (const seq of report.replayed) deadLetters.delete(`${endpoint.id}/${seq}`);
    if (report.replayDone) endpoint.replaying = false;
    const { cursor, retryAt, leaseBy, active } = endpoint;
    return { cursor, due: retryAt !== null, leased: leaseBy === by, active };
  }

  return {
    keepHistory: () => takeSnapshots(),
    get inboxes() {
      return inboxes;
    },
    get endpoints() {
      return endpoints;
    },
    mostInFlight,
    get outbox() {
      return outbox;
    },
    get deadLetters() {
      return deadLetters;
    },
    away: false,
    addInbox() {
      const inbox = { id: inboxes.size + 1, head: 0, version: 0, events: [] };
      inboxes.set(inbox.id, inbox);
      return inbox;
    },
    logIn(inbox, address, kinds, secret) {
      const all = [...endpoints.values()].filter((endpoint) => endpoint.inbox === inbox);
      const cursor = Math.max(0, ...all.map((endpoint) => endpoint.cursor));
      const standing = { failures: 0, serverErrors: 0, rejections: 0, rejectedAt: null, failingSince: null };
      const found = all.find((endpoint) => endpoint.address === address);
      const fresh = {
        cursor,
        ...standing,
        retryAt: null,
        leaseBy: null,
        leasedAt: 0,
        replaying: found?.replaying ?? false,
        active: true,
        offAt: Number.POSITIVE_INFINITY,
        loggedOutAt: Number.POSITIVE_INFINITY,
      };
      if (found === undefined) endpointIds += 1;
      const endpoint = found ?? { id: endpointIds, inbox, address, kinds, secret, generation: 0, ...fresh };
      endpoints.set(endpoint.id, endpoint);
      if (found !== undefined) {
        const failures = Math.min(found.failures, 1);
        Object.assign(found, { ...fresh, cursor: found.active ? found.cursor : cursor, failures, ...leaseOf(found) });
      }
      change(endpoint);
      return endpoint;
    },
    logOut(id) {
      const endpoint = endpoints.get(id) as Endpoint;
      Object.assign(endpoint, { active: false, offAt: now(), loggedOutAt: now(), ...leaseOf(endpoint) });
      change(endpoint);
    },
    replay(id, cursor) {
      const endpoint = endpoints.get(id) as Endpoint;
      for (const key of lettersOf(id)) if (Number(key.split("/")[1]) > cursor) deadLetters.delete(key);
      Object.assign(endpoint, { cursor, ...leaseOf(endpoint) });
      change(endpoint);
    },
    askAgain(id, more) {
      const endpoint = endpoints.get(id) as Endpoint;
      for (const seq of more) if (seq <= endpoint.cursor) deadLetters.set(`${id}/${seq}`, { at: now(), asked: false });
      const keys = lettersOf(id);
      for (const key of keys) (deadLetters.get(key) as { asked: boolean }).asked = true;
      const { retryAt, leaseBy } = leaseOf(endpoint);
      Object.assign(endpoint, { replaying: true, retryAt: retryAt ?? now(), leaseBy });
      change(endpoint);
      return keys.map((key) => Number(key.split("/")[1]));
    },
    append(batch) {
      const events: AppendedBatch["events"][number][] = [];
      const results = batch.map((message): AppendResult => {
        const before = messages.get(message.id);
        if (before !== undefined) return { status: "repeat", message: before.message, content: message.content };
        const recipients = "user" in message.to ? [inboxes.get(message.to.user)] : [...inboxes.values()];
        const createdAt = new Date(now()).toISOString();
        for (const inbox of recipients) {
          if (inbox === undefined) return { status: "no-receiver" };
          inbox.head += 1;
          const event = {
            inbox: inbox.id,
            seq: inbox.head,
            version: inbox.version + incarnation,
            id: message.id,
            // Some that endpoints do not take, and pass over.
            kind: message.senderId === 0 ? ("message.sent" as const) : ("message.created" as const),
            messageId: message.id,
            conversation: 1,
            createdAt,
          };
          inbox.events.push({ ...event, version: 0, content: message.content, sealed: true });
          events.push(event);
          world.note(`inbox ${inbox.id} has ${inbox.head} (…${message.id.slice(-4)})`);
        }
        const result = { status: "appended" as const, message: { id: message.id, seq: 0, conversation: 1, createdAt } };
        messages.set(message.id, result);
        return result;
      });
      const outboxId = events.length === 0 ? null : cover([...new Set(events.map((event) => event.inbox))]);
      onChange();
      return { results, events, outboxId };
    },
    deleteOutbox,
    repair(partitions, of) {
      makeDue((inbox) => partitions.includes(inbox % of), 0);
    },
    failOver() {
      const before = new Map([...endpoints.values()].map(({ id, active }) => [id, active]));
      const known = [...messages.keys()];
      // What came after it never was.
      snapshots.length = world.chance.integer(1, snapshots.length);
      const { at, tables } = snapshots.at(-1) as (typeof snapshots)[number];
      ({ inboxes, endpoints, outbox, messages, deadLetters } = structuredClone(tables));
      incarnation += INCARNATION;
      for (const endpoint of endpoints.values()) {
        if (!endpoint.active && before.get(endpoint.id) === true) endpoint.offAt = now();
        endpoint.cursor = Math.min(endpoint.cursor, boxOf(endpoint.inbox).head);
      }
      makeDue(() => true, 0);
      onChange();
      return { asOf: at, lost: known.filter((id) => !messages.has(id)) };
    },
    forSender: (process) => ({
      loadMailboxes: (wanted) =>
        process.call("load mailboxes", () =>
          wanted.flatMap((id) => {
            const inbox = inboxes.get(id);
            if (inbox === undefined) return [];
            const active = [...endpoints.values()].filter((endpoint) => endpoint.inbox === id && endpoint.active);
            return [{ inbox: id, head: inbox.head, version: inbox.version + incarnation, endpoints: active.map(rowOf) }];
          }),
        ),
      readEvents: (wanted, maxBytes) =>
        process.call("read the log", () =>
          wanted.map(({ inbox, after, limit }) => {
            let bytes = 0;
            return boxOf(inbox)
              .events.slice(after, after + limit)
              .filter(({ content }) => {
                const before = bytes;
                bytes += content.length;
                return before < maxBytes;
              })
              .map((event) => ({ ...event, version: incarnation }));
          }),
        ),
      readAsked: (id) =>
        process.call("read dead letters", () => {
          const endpoint = endpoints.get(id);
          if (endpoint === undefined) return [];
          return lettersOf(id)
            .filter((key) => deadLetters.get(key)?.asked === true)
            .map((key) => Number(key.split("/")[1]))
            .filter((seq) => seq <= endpoint.cursor)
            .toSorted((one, other) => one - other)
            .slice(0, 2)
            .map((seq) => {
              const event = boxOf(endpoint.inbox).events[seq - 1];
              return { seq, event: event && { ...event, version: incarnation } };
            });
        }),
      takeLeases: (by, ids) =>
        process.call("take leases", () =>
          ids.map((id) => {
            const endpoint = endpoints.get(id);
            if (endpoint?.active !== true) return null;
            const taken = isTakeable(endpoint, by);
            world.note(`${by} ${taken ? "takes" : "does not get"} the lease of ${endpoint.address}`);
            if (taken) {
              lease(endpoint, by);
            }
            return { taken, endpoint: rowOf(endpoint) };
          }),
        ),
      holdLeases: (by, ids) =>
        process.call("hold leases", () =>
          ids.map((id) => {
            const endpoint = endpoints.get(id);
            if (endpoint === undefined || !isTakeable(endpoint, by)) return false;
            world.note(`${by} holds the lease of ${endpoint.address}`);
            lease(endpoint, by);
            return true;
          }),
        ),
      endLeases: (by, ids) =>
        process.call("end leases", () => {
          for (const id of ids) {
            const endpoint = endpoints.get(id);
            if (endpoint?.leaseBy !== by) continue;
            world.note(`${by} ends the lease of ${endpoint.address}`);
            endpoint.retryAt = endpoint.active ? now() : null;
            endpoint.leaseBy = null;
          }
          onChange();
        }),
      deferInboxes: (wanted) =>
        process.call("defer inboxes", () => {
          for (const endpoint of endpoints.values()) {
            const isConcerned = wanted.includes(endpoint.inbox) && isBehind(endpoint);
            if (!isConcerned || endpoint.leaseBy !== RELAY) continue;
            endpoint.retryAt = null;
            endpoint.leaseBy = null;
          }
          makeDue((inbox) => wanted.includes(inbox), DEFER_MS);
          onChange();
        }),
      clearLevel(by, ids) {
        return process.call("give leases back", () => {
          const answers = ids.map((id): ClearAnswer => {
            const endpoint = endpoints.get(id);
            if (endpoint?.leaseBy !== by) return "lost";
            if (isBehind(endpoint)) return "kept";
            endpoint.retryAt = null;
            endpoint.leaseBy = null;
            world.note(`${by} gives back the lease of ${endpoint.address}`);
            return "cleared";
          });
          onChange();
          return answers;
        });
      },
      recordProgress: (by, progress) =>
        process.call("record progress", () => {
          const answers = progress.map((report) => recordOne(by, report));
          onChange();
          return answers;
        }),
      takeOutbox: (limit) =>
        process.call("take the outbox", () => {
          const due = [...outbox.values()].filter((row) => row.dueAt <= now()).slice(0, limit);
          for (const row of due) row.dueAt = now() + OUTBOX_DUE_MS;
          return due.map(({ id, inboxIds }) => ({ id, inboxIds }));
        }),
      deleteOutbox: (ids) => process.call("delete outbox rows", () => deleteOutbox(ids)),
      takeDue: (limit) =>
        process.call("take what is due", () => {
          const due = [...endpoints.values()].filter(({ retryAt, active }) => active && retryAt !== null && retryAt <= now());
          return due.slice(0, limit).map((endpoint) => {
            lease(endpoint, RELAY);
            return endpoint.inbox;
          });
        }),
      takeProbes: () => Promise.resolve([]), // nobody asks for one
      sendScheduled: () => Promise.resolve([]),
      noteProviderId: () => Promise.resolve(),
      tellOwners: () => Promise.resolve({ told: [], hasMore: false }),
      announceChannels: () => Promise.resolve(),
      endProbe: () => Promise.resolve(),
      settleChallenge: () => Promise.resolve(null),
      prune: () => Promise.resolve(),
    }),
  };
}
