import { createPrivateKey, createPublicKey, generateKeyPairSync } from "node:crypto";
import type { ChangeEndpoint, NewEndpoint, ReplayEndpoint } from "@messenger/contracts";
import { formatPublicKey, formatSecret, refusalOfHeaders, SECRET_BYTES } from "@messenger/channels";
import {
  answerContext,
  endpointHeadersContext,
  KNOWN_KINDS,
  signingKeyContext,
  sleep,
  webhookSecretContext,
} from "@messenger/core";
import { newToken } from "@messenger/runtime";
import {
  askProbe,
  type AttemptRow,
  changeEndpoint,
  createEndpoint,
  type DeadLetterRow,
  deleteEndpoint,
  disableEndpoint,
  enableEndpoint,
  type EndpointsChanged,
  findEndpoint,
  listAttempts,
  listDeadLetters,
  listEndpoints,
  OFF_BY_OWNER,
  type OwnedEndpoint,
  type Probe,
  type ProbeResult,
  readProbe,
  replay,
  replayDeadLetters,
  type ReplayFrom,
  rotateSecret,
  type SealedForAddress,
  settleChallenge,
  UNVERIFIED,
} from "@messenger/store";
import type { Context } from "../context.ts";
import { Refused } from "../refused.ts";
import type { Identity } from "../tokens.ts";
import { cursorOf, type PageRequest, placeOfNumber, readCursor } from "./pages.ts";

/** An endpoint, with what is unsealed for its owner. */
export type OpenedEndpoint = Omit<OwnedEndpoint, "headers" | "signingKey" | "inbox"> & {
  channel: string | null;
  headerNames: readonly string[];
  /** Verifies signatures of `v1a`; null where there are none. */
  publicKey: string | null;
};

type Opened<Row extends { answer: Uint8Array | null }> = Omit<Row, "answer"> & { answer: string | null };

interface AttemptsRequest extends PageRequest {
  since?: string;
  until?: string;
  outcome?: string;
  status?: number;
  type?: string;
  message_id?: string;
}

interface Listed<Row> {
  rows: readonly Row[];
  nextCursor: string | null;
}

/** A user's endpoints. All of it throws no_such_endpoint for one that is not the user's. */
export interface Endpoints {
  list(by: Identity): Promise<readonly OpenedEndpoint[]>;
  /** @throws {Refused} unusable_address, taken, full, no_such_event */
  create(by: Identity, given: NewEndpoint): Promise<{ endpoint: OpenedEndpoint; secret: string }>;
  read(by: Identity, id: number): Promise<OpenedEndpoint>;
  /** @throws {Refused} unusable_address, taken */
  change(by: Identity, id: number, change: ChangeEndpoint): Promise<OpenedEndpoint>;
  delete(by: Identity, id: number): Promise<void>;
  /** @throws {Refused} unusable_address, not_verified, probed_lately, no_probe */
  test(by: Identity, id: number): Promise<Opened<ProbeResult>>;
  /** @throws {Refused} unusable_address, probed_lately, no_probe */
  verify(by: Identity, id: number): Promise<OpenedEndpoint>;
  /** @throws {Refused} unusable_address, not_verified, full */
  enable(by: Identity, id: number): Promise<OpenedEndpoint>;
  disable(by: Identity, id: number): Promise<OpenedEndpoint>;
  rotateSecret(by: Identity, id: number, previousValidS: number | undefined): Promise<{ secret: string; previousUntil: Date }>;
  replay(by: Identity, id: number, given: ReplayEndpoint): Promise<{ after: number; events: number }>;
  attempts(by: Identity, id: number, request: AttemptsRequest): Promise<Listed<Opened<AttemptRow>>>;
  deadLetters(by: Identity, id: number, request: PageRequest): Promise<Listed<DeadLetterRow>>;
  /** Returns how many. */
  replayDeadLetters(by: Identity, id: number, since: string | undefined): Promise<number>;
  /** @throws {Refused} no_such_dead_letter */
  replayDeadLetter(by: Identity, id: number, seq: number): Promise<number>;
}

const DEFAULTS = { kinds: ["message.created"], isThin: false, timeoutS: 15, maxPerSecond: null, maxInFlight: 1 };
const DAY_S = 86_400;
const MAX_ADDRESS_BYTES = 2_000;
const PAGE = 50;
/** A probe is made within a second or so, and takes as long as the endpoint may; a request is answered before that. */
const PROBE_WITHIN_MS = 8_000;
const PROBE_EVERY_MS = 150;
const GONE_FOR_OTHERS = "this address answered 410 Gone to somebody else in the last day: it is asked again after that";

const noSuchEndpoint = (): Refused => new Refused("no_such_endpoint", "there is no such endpoint, or it is not yours");

/** @throws {Refused} validation_error */
function momentOf(name: string, text: string): Date {
  const at = new Date(text);
  if (Number.isNaN(at.getTime())) throw new Refused("validation_error", `${name} is not a moment such as 2026-11-28T09:30:00Z`);
  return at;
}

/** @throws {Refused} validation_error */
function checkKinds(kinds: readonly string[] | undefined): void {
  const unknown = kinds?.find((kind) => kind !== "*" && !KNOWN_KINDS.has(kind));
  if (unknown === undefined) return;
  throw new Refused("validation_error", `kinds: there is no ${unknown}; there are *, ${[...KNOWN_KINDS].join(", ")}`);
}

/** @throws {Refused} validation_error */
function checkHeaders(headers: Readonly<Record<string, string>> | undefined): void {
  const refusal = headers === undefined ? undefined : refusalOfHeaders(headers);
  if (refusal !== undefined) throw new Refused("validation_error", `headers: ${refusal}`);
}

/** What an endpoint is pushed, a token that makes or changes one must be able to read. @throws {Refused} missing_scope */
function requireReader({ scopes }: Identity): void {
  if (scopes === undefined || scopes.includes("messages:read")) return;
  throw new Refused("missing_scope", "endpoints are pushed messages: this API token needs the scope messages:read, too");
}

export function createEndpoints(context: Context): Endpoints {
  const { db, keyring, random, ids, clock, publisher, channels, settings } = context;

  function open({ headers, signingKey, inbox, ...endpoint }: OwnedEndpoint): OpenedEndpoint {
    const unseal = (what: string, sealed: Uint8Array): Buffer => keyring.webhookSecrets.unseal(what, sealed);
    const { address } = endpoint;
    const names =
      headers === null
        ? []
        : Object.keys(JSON.parse(unseal(endpointHeadersContext(inbox, address), headers).toString()) as object);
    const key =
      signingKey === null
        ? null
        : createPrivateKey({ key: unseal(signingKeyContext(inbox, address), signingKey), format: "der", type: "pkcs8" });
    return {
      ...endpoint,
      channel: channels.channelFor(address)?.name ?? null,
      headerNames: names,
      publicKey: key && formatPublicKey(createPublicKey(key)),
    };
  }

  const isFull = (): Refused => new Refused("full", `an account has at most ${settings.maxEndpoints} endpoints of its own`);

  /** What a log-in gave may be an address that nobody can be pushed to. @throws {Refused} unusable_address */
  function vet(address: string): void {
    const refusal = channels.vet(address);
    if (refusal !== undefined) throw new Refused("unusable_address", refusal);
  }

  const isTaken = (): Refused => new Refused("taken", "you have an endpoint of this address: change that one");

  /** @throws {Refused} validation_error, unusable_address */
  function readAddress(given: string): string {
    const address = given.trim();
    if (Buffer.byteLength(address) > MAX_ADDRESS_BYTES) {
      throw new Refused("validation_error", `address has at most ${MAX_ADDRESS_BYTES} bytes of UTF-8`);
    }
    vet(address);
    return address;
  }

  async function find(by: Identity, id: number): Promise<OwnedEndpoint> {
    const found = await findEndpoint(db, by.userId, id);
    if (found === null) throw noSuchEndpoint();
    return found;
  }

  /** What belongs to an address, sealed for the one that the endpoint has. */
  function sealers(given: { headers?: Record<string, string>; signatures?: readonly string[] }) {
    const { headers, signatures } = given;
    const isEmpty = headers === undefined || Object.keys(headers).length === 0;
    const lower = Object.fromEntries(Object.entries(headers ?? {}).map(([name, value]) => [name.toLowerCase(), value]));
    return {
      sealHeaders: isEmpty
        ? null
        : (inbox: number, address: string) =>
            keyring.webhookSecrets.seal(endpointHeadersContext(inbox, address), Buffer.from(JSON.stringify(lower))),
      sealSigningKey:
        signatures?.includes("v1a") === true
          ? (inbox: number, address: string) => keyring.webhookSecrets.seal(signingKeyContext(inbox, address), newSigningKey())
          : null,
    };
  }

  /** Seals what was sealed for one address for another one. */
  function resealer(to: string) {
    const again = (from: string, into: string, sealed: Uint8Array): Uint8Array =>
      keyring.webhookSecrets.seal(into, keyring.webhookSecrets.unseal(from, sealed));
    return (inbox: number, from: string, { secret, previousSecret, headers, signingKey }: SealedForAddress): SealedForAddress => {
      const [ofSecret, forSecret] = [webhookSecretContext(inbox, from), webhookSecretContext(inbox, to)] as const;
      const [ofHeaders, forHeaders] = [endpointHeadersContext(inbox, from), endpointHeadersContext(inbox, to)] as const;
      const [ofKey, forKey] = [signingKeyContext(inbox, from), signingKeyContext(inbox, to)] as const;
      return {
        secret: again(ofSecret, forSecret, secret),
        previousSecret: previousSecret && again(ofSecret, forSecret, previousSecret),
        headers: headers && again(ofHeaders, forHeaders, headers),
        signingKey: signingKey && again(ofKey, forKey, signingKey),
      };
    };
  }

  const newSigningKey = (): Uint8Array => generateKeyPairSync("ed25519").privateKey.export({ format: "der", type: "pkcs8" });

  /**
   * Has a sender push something outside of the log; null where it has not ended in time.
   *
   * @throws {Refused} probed_lately, unusable_address
   */
  async function probe(
    endpoint: { id: number; inbox: number; address: string },
    kind: Probe["kind"],
  ): Promise<ProbeResult | null> {
    const id = ids.next();
    const asked = await askProbe(db, endpoint, { id, kind, token: kind === "challenge" ? newToken(random) : null });
    if (asked === "gone") throw new Refused("unusable_address", GONE_FOR_OTHERS);
    if (asked === "too often")
      throw new Refused(
        "probed_lately",
        "it was tested, or sent a challenge, seconds ago (or your endpoints were too often in the last hour): try again in 5 s",
        5,
      );
    const startedAt = clock.monotonic();
    while (clock.monotonic() - startedAt < PROBE_WITHIN_MS && !context.closing.aborted) {
      await sleep(clock, PROBE_EVERY_MS);
      const result = await readProbe(db, id);
      if (result !== null) return result;
    }
    return null;
  }

  /** Has an address verified; where that cannot be asked for now, it is verified later. */
  async function challenge(endpoint: { id: number; inbox: number; address: string }): Promise<void> {
    try {
      await probe(endpoint, "challenge");
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      const why = error.code === "unusable_address" ? error.message : "it could not be asked just now: verify it in some seconds";
      await settleChallenge(db, endpoint, `${UNVERIFIED}: ${why}`, false);
    }
  }

  const noProbe = (): Refused =>
    new Refused("no_probe", `no answer came within ${PROBE_WITHIN_MS / 1000} s: look at the endpoint, and try again`, 5);

  function textOf(answerOf: string, answer: Uint8Array | null): string | null {
    if (answer === null) return null;
    return keyring.contents.unseal(answerOf, answer).toString().replaceAll("\0", "\ufffd");
  }

  /** Tells the senders of a change. @throws {Refused} no_such_endpoint */
  function tell<Result extends { changed: EndpointsChanged | null }>(result: Result | null): Result {
    if (result === null) throw noSuchEndpoint();
    publisher.wake(result.changed);
    return result;
  }

  /** The endpoint as it is after a change. @throws {Refused} no_such_endpoint */
  async function changedTo(by: Identity, id: number, changed: EndpointsChanged | null): Promise<OpenedEndpoint> {
    tell(changed && { changed });
    return open(await find(by, id));
  }

  return {
    list: async (by) => (await listEndpoints(db, by.userId)).map(open),
    async create(by, given) {
      requireReader(by);
      const address = readAddress(given.address);
      checkKinds(given.kinds);
      checkHeaders(given.headers);
      const secret = random.bytes(SECRET_BYTES);
      const made = await createEndpoint(db, {
        userId: by.userId,
        address,
        kinds: given.kinds ?? DEFAULTS.kinds,
        isThin: given.body === undefined ? DEFAULTS.isThin : given.body === "thin",
        timeoutS: given.timeout_s ?? DEFAULTS.timeoutS,
        maxPerSecond: given.max_per_second ?? DEFAULTS.maxPerSecond,
        maxInFlight: given.max_in_flight ?? DEFAULTS.maxInFlight,
        sealSecret: (inbox) => keyring.webhookSecrets.seal(webhookSecretContext(inbox, address), secret),
        ...sealers(given),
        after: given.after,
        beginsOff: given.enabled === false,
        most: settings.maxEndpoints,
      });
      if (made.status === "no-account") throw new Refused("unauthorized", "the account was deleted");
      if (made.status === "taken") throw isTaken();
      if (made.status === "full") throw isFull();
      if (made.status === "beyond") throw new Refused("no_such_event", "after is beyond your last event");
      await challenge({ ...made, address });
      return { endpoint: open(await find(by, made.id)), secret: formatSecret(secret) };
    },
    read: async (by, id) => open(await find(by, id)),
    async change(by, id, change) {
      requireReader(by);
      checkKinds(change.kinds);
      checkHeaders(change.headers);
      const before = await find(by, id);
      const { sealHeaders, sealSigningKey } = sealers(change);
      const move = change.address === undefined ? undefined : readAddress(change.address);
      const moves = move !== undefined && move !== before.address;
      if (moves && before.keptBy === "sessions") {
        throw new Refused("validation_error", "address: a log-in gave this one; enable the endpoint first, so that it is yours");
      }
      const keepsKey = change.signatures?.includes("v1a") === true && before.signingKey !== null;
      const changed = await changeEndpoint(db, by.userId, id, {
        ...(moves && { move: { address: move, reseal: resealer(move) } }),
        ...(change.kinds && { kinds: change.kinds }),
        ...(change.body && { isThin: change.body === "thin" }),
        ...(change.timeout_s !== undefined && { timeoutS: change.timeout_s }),
        ...(change.max_per_second !== undefined && { maxPerSecond: change.max_per_second }),
        ...(change.max_in_flight !== undefined && { maxInFlight: change.max_in_flight }),
        ...(change.headers && { sealHeaders }),
        ...(change.signatures && !keepsKey && { sealSigningKey }),
      });
      if (changed === "taken") throw isTaken();
      tell(changed && { changed });
      if (moves) await challenge({ ...before, address: move });
      return open(await find(by, id));
    },
    async delete(by, id) {
      const changed = await deleteEndpoint(db, by.userId, id);
      tell(changed && { changed });
    },
    async test(by, id) {
      const endpoint = await find(by, id);
      vet(endpoint.address);
      if (endpoint.state === "unverified") throw new Refused("not_verified", "its address is not verified: verify it first");
      const result = await probe(endpoint, "test");
      if (result === null) throw noProbe();
      return { ...result, answer: textOf(answerContext(id, 0), result.answer) };
    },
    async verify(by, id) {
      const endpoint = await find(by, id);
      vet(endpoint.address);
      if (endpoint.state === "unverified" && (await probe(endpoint, "challenge")) === null) throw noProbe();
      return open(await find(by, id));
    },
    async enable(by, id) {
      vet((await find(by, id)).address);
      const changed = await enableEndpoint(db, by.userId, id, settings.maxEndpoints);
      if (changed === "full") throw isFull();
      if (changed === "unverified") throw new Refused("not_verified", "its address is not verified: verify it first");
      return changedTo(by, id, changed);
    },
    disable: async (by, id) => changedTo(by, id, await disableEndpoint(db, by.userId, id, OFF_BY_OWNER)),
    async rotateSecret(by, id, previousValidS = DAY_S) {
      const secret = random.bytes(SECRET_BYTES);
      const sealSecret = (inbox: number, address: string): Uint8Array =>
        keyring.webhookSecrets.seal(webhookSecretContext(inbox, address), secret);
      const { previousUntil } = tell(await rotateSecret(db, by.userId, id, { sealSecret, previousValidS }));
      return { secret: formatSecret(secret), previousUntil };
    },
    async replay(by, id, { after, since, dry_run: dryRun = false }) {
      if ((after === undefined) === (since === undefined)) throw new Refused("validation_error", "give after or since");
      const from: ReplayFrom = after === undefined ? { since: momentOf("since", since as string) } : { after };
      return tell(await replay(db, by.userId, id, from, dryRun)).replay;
    },
    async attempts(by, id, request) {
      const endpoint = await find(by, id);
      const filter = {
        since: request.since === undefined ? undefined : momentOf("since", request.since),
        until: request.until === undefined ? undefined : momentOf("until", request.until),
        outcome: request.outcome,
        status: request.status,
        kind: request.type,
        messageId: request.message_id,
      };
      const place = request.cursor === undefined ? null : readCursor(request.cursor, placeOfNumber);
      const { rows, next } = await listAttempts(db, endpoint, filter, place, request.limit ?? PAGE);
      return {
        rows: rows.map((row) => ({ ...row, answer: textOf(answerContext(id, row.seq), row.answer) })),
        nextCursor: next && cursorOf(next),
      };
    },
    async deadLetters(by, id, { cursor, limit = PAGE }) {
      const endpoint = await find(by, id);
      const after = cursor === undefined ? 0 : readCursor(cursor, placeOfNumber).id;
      const rows = await listDeadLetters(db, endpoint, after, limit + 1);
      const last = rows.length > limit ? rows[limit - 1] : undefined;
      return { rows: rows.slice(0, limit), nextCursor: last === undefined ? null : cursorOf({ at: 0, id: last.seq }) };
    },
    async replayDeadLetters(by, id, since) {
      const which = since === undefined ? "all" : { since: momentOf("since", since) };
      return tell(await replayDeadLetters(db, by.userId, id, which)).count;
    },
    async replayDeadLetter(by, id, seq) {
      const { count } = tell(await replayDeadLetters(db, by.userId, id, { seq }));
      if (count === 0) throw new Refused("no_such_dead_letter", "this endpoint has no such dead letter");
      return count;
    },
  };
}
