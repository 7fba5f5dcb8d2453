import { createHash } from "node:crypto";
import { systemClock, systemRandom } from "@messenger/core";
import { beforeEach, describe, expect, it } from "vitest";
import { createTokens, type RefreshToken, type Tokens } from "./tokens.ts";

const [OLD, NEW, FOREIGN] = ["old", "new", "foreign"].map((name) => createHash("sha256").update(name).digest()) as [
  Buffer,
  Buffer,
  Buffer,
];
const ADA = { userId: 7, sessionId: 70, name: "ada", role: "user" } as const;

let now: number;
beforeEach(() => {
  now = Date.UTC(2026, 0, 2);
});

/** The tokens of a listener that has these secrets, the current one first. */
function tokensOf(keys: readonly Uint8Array[], ttlSeconds = 3_600): Tokens {
  return createTokens({ keys, ttlSeconds, clock: { ...systemClock, now: () => now }, random: systemRandom });
}

describe("an access token", () => {
  it("says whose it is to every listener that knows its secret, as the current or an earlier one, and to no other", async () => {
    const token = await tokensOf([OLD]).sign(ADA);
    expect(await tokensOf([OLD]).verify(token)).toEqual(ADA);
    expect(await tokensOf([NEW, OLD]).verify(token)).toEqual(ADA);
    expect(await tokensOf([NEW]).verify(token)).toBeUndefined();
    expect(await tokensOf([OLD]).verify(await tokensOf([NEW, OLD]).sign(ADA))).toBeUndefined();
  });

  it("is valid for its time and not a second longer, whether it was seen before or not", async () => {
    const tokens = tokensOf([OLD], 60);
    const token = await tokens.sign(ADA);
    now += 59_000;
    expect(await tokens.verify(token)).toEqual(ADA);
    now += 1_000;
    expect(await tokens.verify(token)).toBeUndefined();
    expect(await tokensOf([OLD], 60).verify(token)).toBeUndefined();
  });

  it("is taken from a listener whose clock is some seconds ahead", async () => {
    now += 4_000;
    const token = await tokensOf([OLD]).sign(ADA);
    now -= 4_000;
    expect(await tokensOf([OLD]).verify(token)).toEqual(ADA);
  });

  it("that was made to live longer than tokens live now is valid no longer than they are, seen before or not", async () => {
    const token = await tokensOf([OLD], 3_600).sign(ADA);
    const seen = tokensOf([OLD], 60);
    expect(await seen.verify(token)).toEqual(ADA);
    now += 60_000;
    expect(await tokensOf([OLD], 60).verify(token)).toBeUndefined();
    expect(await seen.verify(token)).toBeUndefined();
  });
});

describe("a refresh token", () => {
  it("is read by every listener that knows its secret, and by no other", () => {
    const { token, hash } = tokensOf([OLD]).newRefreshToken(70);
    for (const keys of [[OLD], [NEW, OLD], [OLD, NEW]]) {
      expect(tokensOf(keys).readRefreshToken(token)).toEqual({ token, sessionId: 70, hash });
    }
    expect(tokensOf([NEW, FOREIGN]).readRefreshToken(token)).toBeUndefined();
  });

  it("is refused with any character changed, and in another spelling of the same bytes", () => {
    const tokens = tokensOf([OLD]);
    const { token } = tokens.newRefreshToken(70);
    for (let n = 0; n < token.length; n += 1) {
      const changed = `${token.slice(0, n)}${token[n] === "A" ? "B" : "A"}${token.slice(n + 1)}`;
      expect(tokens.readRefreshToken(changed)).toBeUndefined();
    }
    // The last of 43 characters has two bits that belong to no byte.
    const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    const last = alphabet.indexOf(token.slice(-1));
    const respelt = token.slice(0, -1) + alphabet[last ^ 1];
    expect(Buffer.from(respelt.slice(-43), "base64url")).toEqual(Buffer.from(token.slice(-43), "base64url"));
    for (const other of [respelt, `${token}=`, ` ${token}`, `${token}\n`]) {
      expect(tokens.readRefreshToken(other)).toBeUndefined();
    }
  });

  it("has the same successors at every listener, whichever secret is the current one there, the one that is given out first", () => {
    const { token } = tokensOf([OLD]).newRefreshToken(70);
    const successorsAt = (keys: readonly Uint8Array[]) => {
      const tokens = tokensOf(keys);
      return tokens.nextRefreshTokens(tokens.readRefreshToken(token) as RefreshToken);
    };
    const [before, after] = [successorsAt([OLD, NEW]), successorsAt([NEW, OLD])];
    expect(after).toEqual(before.toReversed());
    expect(successorsAt([OLD])).toEqual([before[0]]);
    expect(tokensOf([NEW]).readRefreshToken(after[0].token)).toEqual(after[0]);
  });
});
