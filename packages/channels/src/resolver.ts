import { Resolver } from "node:dns/promises";
import { readFileSync } from "node:fs";
import { isIP, SocketAddress } from "node:net";
import { type Clock, sleep } from "@messenger/core";
import { LRUCache } from "lru-cache";
import { getDomain } from "tldts";
import type { ResolvedAddress } from "./address-guard.ts";

/** Resolves names without threads: any number of them whose servers do not answer hold up no others. */
export interface NameResolver {
  /** @throws an error whose `code` says why: `ENOTFOUND`, or `EDNSTIMEOUT` where no server answered in time. */
  resolve: (hostname: string) => Promise<readonly ResolvedAddress[]>;
}

export interface NameResolverOptions {
  clock: Clock;
  /** `address` or `address:port` of name servers; those of the system if there are none. */
  servers?: readonly string[] | undefined;
  /** The text of the system's files, for tests. */
  hosts?: string;
  resolvConf?: string;
}

/** One look-up may take so long, whatever it has to ask. Connecting may take 5 s in all. */
const TOTAL_MS = 4_000;
/** For an answer of one name server; then the next one is asked, or the same again. */
const TRY_MS = 1_500;
const TRIES = 2;
/** An answer is kept for its TTL, but not for longer, and a failure so long. */
const KEEP_AT_MOST_MS = 5 * 60_000;
const KEEP_FAILURE_MS = 5_000;
const CACHED_NAMES = 10_000;
/** Look-ups under way for the names of one registrable domain: they have the same name servers. */
const PER_DOMAIN = 4;
/** Those that wait for that; more are refused. */
const WAITING_PER_DOMAIN = 64;

interface Found {
  addresses: readonly ResolvedAddress[];
  ttlMs: number;
}

interface Kept {
  result: readonly ResolvedAddress[] | Error;
  until: number;
}

const failure = (code: string, hostname: string): Error => Object.assign(new Error(`${hostname}: ${code}`), { code });

function readIfThere(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return ""; // a system without it
  }
}

/** The names of a hosts file, with their addresses. */
function parseHosts(text: string): Map<string, ResolvedAddress[]> {
  const hosts = new Map<string, ResolvedAddress[]>();
  for (const line of text.split("\n")) {
    const [address = "", ...names] = line.replace(/#.*/u, "").trim().split(/\s+/u);
    const family = isIP(address);
    if (family === 0) continue;
    for (const name of names) {
      const found = hosts.get(name.toLowerCase()) ?? [];
      found.push({ address, family: family === 6 ? 6 : 4 });
      hosts.set(name.toLowerCase(), found);
    }
  }
  return hosts;
}

/** The suffixes that are tried behind a name, as in a resolv.conf; the last line of its kind counts. */
function parseSearch(text: string): readonly string[] {
  const lines = text.split("\n").map((line) => line.trim().split(/\s+/u));
  const last = lines.findLast(([keyword]) => keyword === "search" || keyword === "domain");
  return (last ?? []).slice(1, 7).map((suffix) => suffix.replace(/\.$/u, ""));
}

/**
 * Asks the system's name servers by c-ares. A name in the hosts file is not asked for. A name without a dot
 * is tried with the system's search suffixes first, one with a dot after itself. What else the system may ask
 * (mDNS, for one) is not.
 */
export function createNameResolver(options: NameResolverOptions): NameResolver {
  const { clock } = options;
  const hosts = parseHosts(options.hosts ?? readIfThere("/etc/hosts"));
  const suffixes = parseSearch(options.resolvConf ?? readIfThere("/etc/resolv.conf"));
  const servers = new Resolver({ timeout: TRY_MS, tries: TRIES });
  if (options.servers !== undefined && options.servers.length > 0) servers.setServers(options.servers);
  const kept = new LRUCache<string, Kept>({ max: CACHED_NAMES });
  const underWay = new Map<string, Promise<readonly ResolvedAddress[]>>();
  const domains = new Map<string, { running: number; waiting: (() => void)[] }>();

  /** Waits for a place among the look-ups of a domain. Returns what gives it back. */
  async function enter(domain: string, hostname: string): Promise<() => void> {
    const place = domains.get(domain) ?? { running: 0, waiting: [] };
    domains.set(domain, place);
    if (place.running < PER_DOMAIN) place.running += 1;
    else {
      if (place.waiting.length >= WAITING_PER_DOMAIN) throw failure("EDNSTIMEOUT", hostname);
      await new Promise<void>((resolve) => place.waiting.push(resolve));
    }
    return () => {
      const next = place.waiting.shift();
      if (next !== undefined) next();
      else place.running -= 1;
      if (place.running === 0) domains.delete(domain);
    };
  }

  /** Both kinds of address of one name; undefined where it has none. */
  async function ask(name: string): Promise<Found | undefined> {
    const [four, six] = await Promise.allSettled([servers.resolve4(name, { ttl: true }), servers.resolve6(name, { ttl: true })]);
    const of = (answer: typeof four, family: 4 | 6): { address: string; family: 4 | 6; ttl: number }[] =>
      answer.status === "fulfilled" ? answer.value.map(({ address, ttl }) => ({ address, ttl, family })) : [];
    const records = [...of(four, 4), ...of(six, 6)];
    if (records.length > 0) {
      const ttlMs = Math.min(...records.map(({ ttl }) => ttl)) * 1000;
      return { addresses: records.map(({ address, family }) => ({ address, family })), ttlMs };
    }
    for (const { reason } of [four, six].filter((answer) => answer.status === "rejected")) {
      const { code } = reason as { code?: unknown };
      if (code === "ETIMEOUT" || code === "ECONNREFUSED" || code === "ESERVFAIL") throw failure("EDNSTIMEOUT", name);
    }
    return undefined;
  }

  async function look(hostname: string): Promise<Found> {
    const withSuffixes = suffixes.map((suffix) => `${hostname}.${suffix}`);
    const names = hostname.includes(".") ? [hostname, ...withSuffixes] : [...withSuffixes, hostname];
    for (const name of names) {
      const found = await ask(name);
      if (found !== undefined) return found;
    }
    throw failure("ENOTFOUND", hostname);
  }

  /** The look-up itself may go on when its time is up: until then it has its place. */
  async function resolveAnew(hostname: string): Promise<readonly ResolvedAddress[]> {
    const done = new AbortController();
    const late = sleep(clock, TOTAL_MS, done.signal).then((): never => {
      throw failure("EDNSTIMEOUT", hostname);
    });
    const looking = enter(getDomain(hostname) ?? hostname, hostname).then((leave) => look(hostname).finally(leave));
    looking.catch(() => undefined); // it may end after its time is up
    late.catch(() => undefined);
    try {
      const { addresses, ttlMs } = await Promise.race([looking, late]);
      kept.set(hostname, { result: addresses, until: clock.monotonic() + Math.min(ttlMs, KEEP_AT_MOST_MS) });
      return addresses;
    } catch (error) {
      kept.set(hostname, { result: error as Error, until: clock.monotonic() + KEEP_FAILURE_MS });
      throw error;
    } finally {
      done.abort();
    }
  }

  return {
    resolve(given) {
      const hostname = given.toLowerCase().replace(/\.$/u, "");
      const host = hosts.get(hostname);
      if (host !== undefined) return Promise.resolve(host);
      if (hostname === "localhost" || hostname.endsWith(".localhost")) return Promise.resolve(LOOPBACK); // RFC 6761, 6.3
      const before = kept.get(hostname);
      if (before !== undefined && before.until > clock.monotonic()) {
        return before.result instanceof Error ? Promise.reject(before.result) : Promise.resolve(before.result);
      }
      const found = underWay.get(hostname);
      if (found !== undefined) return found;
      const looking = resolveAnew(hostname).finally(() => underWay.delete(hostname));
      underWay.set(hostname, looking);
      return looking;
    },
  };
}

/**
 * @throws {Error} where this is not the address of a name server, such as `192.0.2.53`, `192.0.2.53:5353` or
 * `[2001:db8::53]:53`.
 */
export function checkNameServer(text: string): void {
  const host = /^\[?([^\]]+)\]?:\d+$/u.exec(text)?.[1] ?? "";
  // By itself, `parse` takes 192.0.2 for an address.
  if (isIP(text) !== 0 || (isIP(host) !== 0 && SocketAddress.parse(text) !== undefined)) return;
  throw new Error(`${text} is not the address of a name server such as 192.0.2.53 or 192.0.2.53:5353`);
}

const LOOPBACK: readonly ResolvedAddress[] = [
  { address: "127.0.0.1", family: 4 },
  { address: "::1", family: 6 },
];
