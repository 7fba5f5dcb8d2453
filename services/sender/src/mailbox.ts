import type { Delivery } from "@messenger/broker";
import type { Clock } from "@messenger/core";
import type { MailboxRow } from "@messenger/store";
import { hold } from "./held.ts";
import { Lane, type LaneDeps } from "./lane.ts";

export interface MailboxDeps extends LaneDeps {
  clock: Clock;
  /**
   * Reads an inbox and its active endpoints; null where it does not exist. Tries until it succeeds; rejects
   * only when the sender stops.
   */
  load(inbox: number): Promise<MailboxRow | null>;
  /** Counts how often another sender may have had the inbox's partition, and may have taken leases. */
  timesMissed(inbox: number): number;
}

/**
 * What a sender knows of an inbox: a lane for each active endpoint. Until it has read them, and whenever an
 * event or a wake says that what it knows may be old, broker messages wait in it, in their order and
 * unacknowledged.
 */
export class Mailbox {
  readonly #deps: MailboxDeps;
  readonly #inbox: number;
  #version = -1;
  /** `timesMissed` when the endpoints were read. */
  #timesMissed = -1;
  /** One for each endpoint: few, so a list takes less memory than a map, and is as fast. */
  #lanes: Lane[] = [];
  #waiting: Delivery[] = [];
  /** What came before the endpoints are read, and is handed on after that. */
  #beingLoadedFor: Delivery[] = [];
  #loading: Promise<void> | undefined;
  #loadWanted = false;

  constructor(deps: MailboxDeps, inbox: number) {
    this.#deps = deps;
    this.#inbox = inbox;
  }

  get lanes(): Iterable<Lane> {
    return this.#lanes;
  }

  /** It can be dropped from memory, and loaded again when it is needed. */
  get forgettable(): boolean {
    return this.#loading === undefined && this.#lanes.every((lane) => lane.forgettable);
  }

  /**
   * Has lanes that only wait for a permit give that up, so that it can soon be dropped from memory. Returns
   * whether there was one.
   */
  evict(): boolean {
    const evictable = this.#lanes.filter((lane) => lane.evictable);
    for (const lane of evictable) lane.evict();
    return evictable.length > 0;
  }

  receive(delivery: Delivery): void {
    this.#waiting.push(delivery);
    if (this.#loading !== undefined) return;
    this.#dispatchKnown();
    if (this.#waiting.length > 0) void this.reload();
  }

  /** Reads the endpoints, with a statement that starts after this call; then hands on what waits. */
  reload(): Promise<void> {
    if (this.#loading !== undefined) {
      this.#loadWanted = true;
      return this.#loading;
    }
    this.#loading = this.#load()
      .catch((error: unknown) => this.#deps.onFault(error))
      .finally(() => {
        this.#loading = undefined;
        if (this.#loadWanted) void this.reload(); // asked for after the last look
      });
    return this.#loading;
  }

  /** (8) Resolves once no push is in flight but under the endpoint's lease. */
  async secure(): Promise<void> {
    await this.#loading;
    await Promise.all(this.#lanes.map((lane) => lane.secure()));
  }

  disconnect(): void {
    this.#waiting = [];
    this.#beingLoadedFor = [];
    for (const lane of this.#lanes) lane.disconnect();
  }

  async #load(): Promise<void> {
    do {
      this.#loadWanted = false;
      this.#beingLoadedFor = this.#waiting;
      this.#waiting = [];
      const readAt = this.#deps.clock.monotonic();
      const timesMissed = this.#deps.timesMissed(this.#inbox);
      const row = await this.#deps.load(this.#inbox);
      this.#timesMissed = timesMissed;
      this.#adopt(row, readAt);
      const deliveries = this.#beingLoadedFor;
      this.#beingLoadedFor = [];
      for (const delivery of deliveries) this.#dispatch(delivery, row);
      this.#dispatchKnown();
    } while (this.#loadWanted || this.#waiting.length > 0);
  }

  /**
   * Hands on what waits, up to the first that needs the endpoints read anew: a wake, (4) an event from after
   * they changed, or (8) of after others had them.
   */
  #dispatchKnown(): void {
    for (;;) {
      const message = this.#waiting[0]?.message;
      if (message === undefined || message.type === "wake" || message.version > this.#version) return;
      if (this.#deps.timesMissed(this.#inbox) !== this.#timesMissed) return;
      this.#dispatch(this.#waiting.shift() as Delivery);
    }
  }

  #adopt(row: MailboxRow | null, readAt: number): void {
    this.#version = row?.version ?? Number.POSITIVE_INFINITY;
    const endpoints = new Map((row?.endpoints ?? []).map((endpoint) => [endpoint.id, endpoint]));
    this.#lanes = this.#lanes.filter((lane) => {
      if (endpoints.has(lane.endpointId)) return true;
      lane.retire();
      // One that still pushes is kept: should the endpoint come back, its next push waits for that one to end.
      return lane.busy;
    });
    for (const endpoint of endpoints.values()) {
      const lane = this.#lanes.find(({ endpointId }) => endpointId === endpoint.id);
      // Without room for more, as `push` makes it: it is rarely more than one.
      if (lane === undefined) this.#lanes = [...this.#lanes, new Lane(this.#deps, this, endpoint, readAt)];
      else lane.adopt(endpoint, readAt);
    }
  }

  #dispatch(delivery: Delivery, row?: MailboxRow | null): void {
    const { message } = delivery;
    if (this.#lanes.length === 0) {
      delivery.ack();
      return;
    }
    const held = hold(delivery, this.#lanes.length);
    for (const lane of this.#lanes) {
      if (message.type === "event") lane.offer(held, message);
      else lane.wake(held, isLevel(row, lane.endpointId));
    }
  }
}

function isLevel(row: MailboxRow | null | undefined, endpointId: number): boolean {
  const endpoint = row?.endpoints.find((candidate) => candidate.id === endpointId);
  return row != null && endpoint !== undefined && !endpoint.due && endpoint.cursor >= row.head;
}
