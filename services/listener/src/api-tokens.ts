import type { Clock } from "@messenger/core";
import { tokenHash } from "@messenger/runtime";
import type { ApiTokenHolder } from "@messenger/store";
import { LRUCache } from "lru-cache";
import type { Identity } from "./tokens.ts";

/** What an API token begins with. */
export const API_TOKEN_PREFIX = "mt_";

const API_TOKEN = /^mt_[\w-]{43}$/u;

/** Finds whose an API token is. */
export interface ApiTokens {
  /** Undefined where it is none that can be used. Does not know of tokens that ended within the last half minute. */
  find(token: string): Promise<Identity | undefined>;
}

/** So long a token is believed to be what it was: revocations are heard of beside that. */
const REMEMBERED_MS = 30_000;
const MAX_REMEMBERED = 10_000;

export function createApiTokens(deps: {
  /** Also notes that it is used. */
  use(hash: Uint8Array): Promise<ApiTokenHolder | null>;
  clock: Clock;
}): ApiTokens {
  const { clock } = deps;
  const known = new LRUCache<string, { identity: Identity; until: number; expiresAt: number }>({ max: MAX_REMEMBERED });

  return {
    async find(token) {
      if (!API_TOKEN.test(token)) return undefined;
      const hash = tokenHash(token);
      const key = Buffer.from(hash).toString("latin1");
      const remembered = known.get(key);
      if (remembered !== undefined && remembered.until > clock.monotonic() && remembered.expiresAt > clock.now()) {
        return remembered.identity;
      }
      const found = await deps.use(hash);
      known.delete(key);
      if (found === null) return undefined;
      const { expiresAt, ...identity } = found;
      known.set(key, { identity, until: clock.monotonic() + REMEMBERED_MS, expiresAt: expiresAt.getTime() });
      return identity;
    },
  };
}
