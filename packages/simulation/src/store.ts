import type { InboxEvent } from "@messenger/core";
import type { SenderStore } from "@messenger/sender";
import {
  type AppendedBatch,
  type AppendResult,
  type EndpointRow,
  LEASE_MS,
  type NewMessage,
  type Progress,
  type ProgressAnswer,
} from "@messenger/store";
import type { Process, World } from "./world.ts";

export interface Endpoint {
  id: number;
  inbox: number;
  address: string;
  kinds: readonly string[];
  secret: Uint8Array;
  cursor: number;
  failures: number;
  serverErrors: number;
  rejections: number;
  rejectedBefore: boolean;
  failingSince: number | null;
  retryAt: number | null;
  leaseBy: string | null;
  generation: number;
  active: boolean;
  /** When it went off. */
  offAt: number;
}

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
 * The database's tables, and its statements with what they promise: each happens at one moment, as the row locks of the real ones make it appear to
 * the rows it is about. The real statements are held against the same promises by the conformance suite of the store, on PostgreSQL.
 */
export interface Store {
  readonly inboxes: ReadonlyMap<number, Inbox>;
  readonly endpoints: ReadonlyMap<number, Endpoint>;
  readonly outbox: ReadonlyMap<number, OutboxRow>;
  readonly deadLetters: ReadonlySet<string>;
  away: boolean;
  addInbox(): Inbox;
  /** A log-in: makes an endpoint, or revives it, past all that others of its inbox took. */
  logIn(inbox: number, address: string, kinds: readonly string[], secret: Uint8Array): Endpoint;
  logOut(endpoint: number): void;
  /** Sets a cursor back. */
  replay(endpoint: number, cursor: number): void;
  append(messages: readonly NewMessage[]): AppendedBatch;
  deleteOutbox(ids: readonly number[]): void;
  repair(partition: number, partitions: number): void;
  /** What a sender has of the store, over its network. */
  forSender(process: Process): SenderStore;
}

const RELAY = "relay";
const OUTBOX_DUE_MS = 5_000;

export function createStore(world: World, onChange: () => void): Store {
  const inboxes = new Map<number, Inbox>();
  const endpoints = new Map<number, Endpoint>();
  const outbox = new Map<number, OutboxRow>();
  const messages = new Map<string, AppendResult & { status: "appended" }>();
  const deadLetters = new Set<string>();
  let outboxIds = 0;
  const now = (): number => world.scheduler.now;
  const boxOf = (id: number): Inbox => inboxes.get(id) as Inbox;

  function cover(inboxIds: readonly number[]): number {
    outboxIds += 1;
    outbox.set(outboxIds, { id: outboxIds, inboxIds, dueAt: now() + OUTBOX_DUE_MS });
    return outboxIds;
  }

  function isTakeable(endpoint: Endpoint, by: string): boolean {
    return endpoint.retryAt === null || endpoint.retryAt <= now() || endpoint.leaseBy === by || endpoint.leaseBy === RELAY;
  }

  function rowOf(endpoint: Endpoint): EndpointRow {
    const { id, inbox, address, kinds, secret, cursor, failures, serverErrors, rejections, rejectedBefore, failingSince } =
      endpoint;
    const standing = { failures, serverErrors, rejections, rejectedBefore, failingSince };
    const due = endpoint.retryAt !== null;
    return { id, inbox, address, kinds, secret, previousSecret: null, cursor, ...standing, due, generation: endpoint.generation };
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

  function recordOne(by: string, report: Progress): ProgressAnswer | null {
    const endpoint = endpoints.get(report.endpoint);
    if (endpoint === undefined || endpoint.generation !== report.generation) return null;
    const takeable = isTakeable(endpoint, by);
    if (report.cursor >= endpoint.cursor) {
      endpoint.failures = report.failures;
      endpoint.serverErrors = report.serverErrors;
      endpoint.rejections = report.rejections;
      endpoint.rejectedBefore = report.rejectedBefore;
      endpoint.failingSince = report.failures > 0 ? (endpoint.failingSince ?? now()) : null;
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
      endpoint.retryAt = now() + LEASE_MS;
    } else if (report.ensureDue) {
      endpoint.retryAt ??= now();
    }
    for (const { seq } of report.deadLetters) deadLetters.add(`${endpoint.id}/${seq}`);
    const { cursor, retryAt, leaseBy, active } = endpoint;
    return { cursor, due: retryAt !== null, leased: leaseBy === by, active };
  }

  return {
    inboxes,
    endpoints,
    outbox,
    deadLetters,
    away: false,
    addInbox() {
      const inbox = { id: inboxes.size + 1, head: 0, version: 0, events: [] };
      inboxes.set(inbox.id, inbox);
      return inbox;
    },
    logIn(inbox, address, kinds, secret) {
      const all = [...endpoints.values()].filter((endpoint) => endpoint.inbox === inbox);
      const cursor = Math.max(0, ...all.map((endpoint) => endpoint.cursor));
      const standing = { failures: 0, serverErrors: 0, rejections: 0, rejectedBefore: false, failingSince: null };
      const fresh = { cursor, ...standing, retryAt: null, leaseBy: null, active: true, offAt: Number.POSITIVE_INFINITY };
      const found = all.find((endpoint) => endpoint.address === address);
      const endpoint = found ?? { id: endpoints.size + 1, inbox, address, kinds, secret, generation: 0, ...fresh };
      endpoints.set(endpoint.id, Object.assign(endpoint, fresh));
      change(endpoint);
      return endpoint;
    },
    logOut(id) {
      const endpoint = endpoints.get(id) as Endpoint;
      endpoint.active = false;
      endpoint.offAt = now();
      endpoint.retryAt = null;
      endpoint.leaseBy = null;
      change(endpoint);
    },
    replay(id, cursor) {
      const endpoint = endpoints.get(id) as Endpoint;
      endpoint.cursor = cursor;
      endpoint.retryAt = null;
      endpoint.leaseBy = null;
      change(endpoint);
    },
    append(batch) {
      const events: AppendedBatch["events"][number][] = [];
      const results = batch.map((message): AppendResult => {
        const before = messages.get(message.id);
        if (before !== undefined) return { status: "repeat", message: before.message, content: message.content };
        const inbox = inboxes.get(message.receiverId);
        if (inbox === undefined) return { status: "no-receiver" };
        inbox.head += 1;
        const createdAt = new Date(now()).toISOString();
        const event = {
          inbox: inbox.id,
          seq: inbox.head,
          version: inbox.version,
          id: message.id,
          // Some that endpoints do not take, and pass over.
          kind: message.senderId === 0 ? ("message.sent" as const) : ("message.created" as const),
          messageId: message.id,
          conversation: 1,
          createdAt,
        };
        inbox.events.push({ ...event, version: 0, content: message.content, sealed: true });
        events.push(event);
        const result = { status: "appended" as const, message: { id: message.id, seq: inbox.head, conversation: 1, createdAt } };
        messages.set(message.id, result);
        return result;
      });
      const outboxId = events.length === 0 ? null : cover([...new Set(events.map((event) => event.inbox))]);
      onChange();
      return { results, events, outboxId };
    },
    deleteOutbox,
    repair(partition, partitions) {
      for (const endpoint of endpoints.values()) {
        if (!endpoint.active || endpoint.retryAt !== null || endpoint.inbox % partitions !== partition) continue;
        if (endpoint.cursor < boxOf(endpoint.inbox).head) endpoint.retryAt = now();
      }
    },
    forSender: (process) => ({
      loadMailboxes: (wanted) =>
        process.call("load mailboxes", () =>
          wanted.flatMap((id) => {
            const inbox = inboxes.get(id);
            if (inbox === undefined) return [];
            const active = [...endpoints.values()].filter((endpoint) => endpoint.inbox === id && endpoint.active);
            return [{ inbox: id, head: inbox.head, version: inbox.version, endpoints: active.map(rowOf) }];
          }),
        ),
      readEvents: (wanted, limit) =>
        process.call("read the log", () => wanted.map(({ inbox, after }) => boxOf(inbox).events.slice(after, after + limit))),
      takeLeases: (by, ids) =>
        process.call("take leases", () =>
          ids.map((id) => {
            const endpoint = endpoints.get(id);
            if (endpoint?.active !== true) return null;
            const taken = isTakeable(endpoint, by);
            if (taken) {
              endpoint.retryAt = now() + LEASE_MS;
              endpoint.leaseBy = by;
            }
            return { taken, endpoint: rowOf(endpoint) };
          }),
        ),
      clearLevel(by, ids) {
        return process.call("give leases back", () => {
          const cleared = new Set<number>();
          for (const id of ids) {
            const endpoint = endpoints.get(id);
            if (endpoint?.active !== true || endpoint.leaseBy !== by) continue;
            const head = boxOf(endpoint.inbox).head;
            if (endpoint.cursor < head) continue;
            endpoint.retryAt = null;
            endpoint.leaseBy = null;
            cleared.add(id);
          }
          onChange();
          return cleared;
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
            endpoint.retryAt = now() + LEASE_MS;
            endpoint.leaseBy = RELAY;
            return endpoint.inbox;
          });
        }),
      prune: () => Promise.resolve(),
    }),
  };
}
