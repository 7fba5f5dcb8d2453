import type { SessionTokens } from "@messenger/contracts";
import { formatSecret, refusalOf, SECRET_BYTES } from "@messenger/channels";
import { SealError, webhookSecretContext } from "@messenger/core";
import { newToken } from "@messenger/runtime";
import { askProbe, beginSession, type BegunSession, endSession, UNVERIFIED } from "@messenger/store";
import type { Context } from "../context.ts";
import { Refused } from "../refused.ts";
import type { Identity } from "../tokens.ts";

/** A refresh token that is not used for so long is no longer valid. */
export const REFRESH_DAYS = 90;

/** What the endpoint of a log-in takes, unless it is changed. */
const LOGIN_KINDS = ["message.created"];

export interface StartedSession {
  sessionId: number;
  tokens: SessionTokens;
  /** Signs the pushes to the session's address, if it has one. */
  webhookSecret: string | null;
  /** Why nothing is pushed to that address; null where it is. */
  addressRefusal: string | null;
}

/** An access token, with what belongs to it. */
export async function sessionTokens(context: Context, identity: Identity, refreshToken: string): Promise<SessionTokens> {
  return {
    access_token: await context.tokens.sign(identity),
    refresh_token: refreshToken,
    token_type: "Bearer",
    expires_in: context.tokens.ttlSeconds,
  };
}

/** Signs a user in; with an address, messages are pushed there from now on. */
export async function startSession(
  context: Context,
  user: Omit<Identity, "sessionId">,
  device: {
    /** Of the password that was given; null where the account was made just now. */
    passwordHash: string | null;
    name?: string | null;
    publicKey: string | null;
    address: string | null;
  },
): Promise<StartedSession> {
  const { keyring, guard, random } = context;
  let refreshToken = "";
  const address = device.address?.trim() ?? null;
  const refusal = address === null ? null : (refusalOf(address, guard) ?? null);
  const begin = (renewSecret: boolean): Promise<BegunSession | null> =>
    beginSession(context.db, {
      userId: user.userId,
      passwordHash: device.passwordHash,
      refreshHash(sessionId) {
        const refresh = context.tokens.newRefreshToken(sessionId);
        refreshToken = refresh.token;
        return refresh.hash;
      },
      refreshDays: REFRESH_DAYS,
      deviceName: device.name ?? null,
      publicKey: device.publicKey,
      endpoint:
        address === null
          ? null
          : {
              address,
              kinds: LOGIN_KINDS,
              sealSecret: (inbox) =>
                keyring.webhookSecrets.seal(webhookSecretContext(inbox, address), random.bytes(SECRET_BYTES)),
              refusal,
              mustProve: context.settings.loginAddresses === "verified",
              renewSecret,
            },
    });
  /**
   * The secret that the endpoint has now; undefined where it was sealed under a secret of the deployment that
   * is no longer known.
   */
  const unseal = (secret: NonNullable<BegunSession["secret"]>): Uint8Array | undefined => {
    try {
      return keyring.webhookSecrets.unseal(webhookSecretContext(secret.inbox, address as string), secret.sealed);
    } catch (error) {
      if (error instanceof SealError) return undefined;
      throw error;
    }
  };
  let begun = await begin(false);
  let secret = begun?.secret == null ? undefined : unseal(begun.secret);
  if (begun?.secret != null && secret === undefined) {
    context.publisher.wake(await endSession(context.db, user.userId, begun.sessionId));
    begun = await begin(true);
    if (begun?.secret != null) secret = unseal(begun.secret);
  }
  if (begun === null)
    throw new Refused("unauthorized", "the account was deleted or suspended, or its password changed, meanwhile");
  context.publisher.wake(begun.changed);
  const { unverified } = begun;
  if (unverified !== null) {
    // Where too many were asked for lately, the next log-in asks again, or the user does.
    await askProbe(
      context.db,
      { ...unverified, address: address as string },
      { id: context.ids.next(), kind: "challenge", token: newToken(random) },
    );
  }
  const { sessionId } = begun;
  return {
    sessionId,
    tokens: await sessionTokens(context, { ...user, sessionId }, refreshToken),
    webhookSecret: secret === undefined ? null : formatSecret(secret),
    addressRefusal: unverified === null ? refusal : `${UNVERIFIED} yet: it has to answer a challenge`,
  };
}
