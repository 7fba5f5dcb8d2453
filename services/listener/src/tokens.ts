import { createHash, createHmac, createSecretKey, type KeyObject, timingSafeEqual } from "node:crypto";
import type { Clock, Random } from "@messenger/core";
import { jwtVerify, SignJWT } from "jose";
import { LRUCache } from "lru-cache";

/** Who a request comes from. */
export interface Identity {
  userId: number;
  sessionId: number;
  /** The user name, or the e-mail address of a user who has none. */
  name: string;
  role: "user" | "admin";
  /** What an API token may be used for; undefined for a session, which may be used for all. */
  scopes?: readonly string[];
}

export interface Tokens {
  /** Seconds that an access token is valid. */
  readonly ttlSeconds: number;
  sign(identity: Identity): Promise<string>;
  /** Undefined where the token is not ours, was changed, or has expired. Does not know of revocations. */
  verify(token: string): Promise<Identity | undefined>;
  /** The first refresh token of a session, and the hash that is kept of it. */
  newRefreshToken(sessionId: number): RefreshToken;
  /**
   * The tokens that replace a refresh token: the one that this process gives out, and those of processes
   * whose current secret is another that is known here. Always the same ones.
   */
  nextRefreshTokens(presented: RefreshToken): readonly [RefreshToken, ...RefreshToken[]];
  /** Undefined where the token was never given out. */
  readRefreshToken(token: string): RefreshToken | undefined;
}

export interface RefreshToken {
  token: string;
  sessionId: number;
  hash: Uint8Array;
}

const ISSUER = "messenger";
const AUDIENCE = "messenger-api";
/** How far the clocks of two listeners may be apart. The end of a token is checked without it, below. */
const CLOCK_TOLERANCE_SECONDS = 5;
const CACHED_TOKENS = 10_000;
const REFRESH_BYTES = 32;
const REFRESH_TOKEN = /^((\d{1,15})\.[\w-]{43})\.([\w-]{43})$/u;

const hashOf = (token: string): Uint8Array => createHash("sha256").update(token).digest();

/**
 * Shows that a token was given out by us: so one that is not its session's current one was used before, by
 * somebody else.
 */
const macOf = (key: KeyObject, unsigned: string): Buffer => createHmac("sha256", key).update(`refresh ${unsigned}`).digest();

/**
 * Access tokens: JWT, HS256 and nothing else. The first key signs; all of them verify, so that the secret can
 * be changed.
 */
export function createTokens(options: { keys: readonly Uint8Array[]; ttlSeconds: number; clock: Clock; random: Random }): Tokens {
  const { ttlSeconds, clock, random } = options;
  const keys = options.keys.map((key) => createSecretKey(key));
  const [current, ...others] = keys;
  if (current === undefined) throw new Error("tokens need a key");
  const verified = new LRUCache<string, { identity: Identity; expiresAt: number }>({ max: CACHED_TOKENS });

  async function verifyAnew(token: string): Promise<{ identity: Identity; expiresAt: number } | undefined> {
    for (const key of keys) {
      try {
        const { payload } = await jwtVerify(token, key, {
          algorithms: ["HS256"],
          issuer: ISSUER,
          audience: AUDIENCE,
          requiredClaims: ["sub", "sid", "exp"],
          clockTolerance: CLOCK_TOLERANCE_SECONDS,
          maxTokenAge: ttlSeconds, // revocations are remembered no longer, should it have been longer before
          currentDate: new Date(clock.now()),
        });
        const { sub, sid, name, role, iat, exp } = payload;
        const userId = Number(sub);
        if (
          !/^[1-9]\d*$/u.test(sub as string) ||
          !Number.isSafeInteger(userId) ||
          !Number.isSafeInteger(sid) ||
          typeof sid !== "number" ||
          typeof name !== "string" ||
          iat === undefined ||
          exp === undefined
        )
          return undefined;
        const identity: Identity = { userId, sessionId: sid, name, role: role === "admin" ? "admin" : "user" };
        // It is remembered until then, so it must not outlive the revocations either.
        return { identity, expiresAt: Math.min(exp, iat + ttlSeconds) * 1000 };
      } catch {
        // Not under this key: perhaps under the one before.
      }
    }
    return undefined;
  }

  function makeRefreshToken(key: KeyObject, sessionId: number, bytes: Uint8Array): RefreshToken {
    const unsigned = `${sessionId}.${Buffer.from(bytes).toString("base64url")}`;
    const token = `${unsigned}.${macOf(key, unsigned).toString("base64url")}`;
    return { token, sessionId, hash: hashOf(token) };
  }

  /** The key that a refresh token was made with; undefined where it is none of ours. */
  function keyOf(token: string): KeyObject | undefined {
    const [, unsigned = "", , mac = ""] = REFRESH_TOKEN.exec(token) ?? [];
    // Compared as text: other spellings of the same bytes are other tokens.
    return keys.find((key) => {
      const expected = macOf(key, unsigned).toString("base64url");
      return mac.length === expected.length && timingSafeEqual(Buffer.from(mac), Buffer.from(expected));
    });
  }

  return {
    ttlSeconds,
    sign({ userId, sessionId, name, role }) {
      const issuedAt = Math.floor(clock.now() / 1000);
      return new SignJWT({ sid: sessionId, name, role })
        .setProtectedHeader({ alg: "HS256", typ: "JWT" })
        .setIssuer(ISSUER)
        .setAudience(AUDIENCE)
        .setSubject(String(userId))
        .setIssuedAt(issuedAt)
        .setExpirationTime(issuedAt + ttlSeconds)
        .sign(current);
    },
    async verify(token) {
      const found = verified.get(token) ?? (await verifyAnew(token));
      if (found === undefined || found.expiresAt <= clock.now()) return undefined;
      verified.set(token, found);
      return found.identity;
    },
    newRefreshToken: (sessionId) => makeRefreshToken(current, sessionId, random.bytes(REFRESH_BYTES)),
    nextRefreshTokens({ token, sessionId }) {
      const next = createHmac("sha256", keyOf(token) ?? current)
        .update(`next ${token}`)
        .digest();
      const under = (key: KeyObject): RefreshToken => makeRefreshToken(key, sessionId, next);
      return [under(current), ...others.map(under)];
    },
    readRefreshToken(token) {
      const match = REFRESH_TOKEN.exec(token);
      if (match === null || keyOf(token) === undefined) return undefined;
      return { token, sessionId: Number(match[2]), hash: hashOf(token) };
    },
  };
}
