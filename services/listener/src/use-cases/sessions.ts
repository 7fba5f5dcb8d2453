import type { Login, SessionTokens, StartSession } from "@messenger/contracts";
import {
  type Credentials,
  endSession,
  findCredentials,
  isFamiliarNetwork,
  rememberNetwork,
  rotateRefresh,
} from "@messenger/store";
import type { Context } from "../context.ts";
import { neighbourhoodOf, networkOf } from "../networks.ts";
import { Refused } from "../refused.ts";
import type { Identity } from "../tokens.ts";
import { loginKeys } from "./login-keys.ts";
import { createLoginThrottle } from "./login-throttle.ts";
import { REFRESH_DAYS, sessionTokens, type StartedSession, startSession } from "./start-session.ts";

/** What an index of PostgreSQL can hold, with something to spare. */
const MAX_ADDRESS_BYTES = 2_000;

export interface Sessions {
  /**
   * Signs in, and has messages pushed to an address.
   * @throws {Refused} validation_error, wrong_credentials, too_many_attempts
   */
  logIn(given: Login, ip: string): Promise<StartedSession & { userId: number }>;
  /** Signs in, without an address. @throws {Refused} wrong_credentials, too_many_attempts */
  start(given: StartSession, ip: string): Promise<StartedSession & { userId: number }>;
  /** Ends a session; `username` must be its user's. @throws {Refused} validation_error */
  logOut(of: Identity, username: string): Promise<void>;
  /** @throws {Refused} unauthorized */
  refresh(token: string): Promise<SessionTokens>;
}

/** Signing in and out. */
export function createSessions(context: Context): Sessions {
  const { db, passwords, publisher, revocations } = context;
  const throttle = createLoginThrottle(context.clock);

  async function end(userId: number, sessionId: number): Promise<void> {
    publisher.wake(await endSession(db, userId, sessionId));
    revocations.add(sessionId);
  }

  /** @throws {Refused} wrong_credentials, too_many_attempts */
  async function authenticate(username: string, password: string, ip: string): Promise<Credentials> {
    const keys = loginKeys(username);
    const nameKey = keys.usernameKey ?? keys.emailKey ?? username;
    if (throttle.checkRemembered(ip, nameKey)) passwords.checkRoom({ network: networkOf(ip), urgency: "log-in" });
    const found = await findCredentials(db, keys);
    const isFamiliar = found !== null && (await isFamiliarNetwork(db, found.id, neighbourhoodOf(ip)));
    // By id, so that an account has no more guesses for each of its names.
    const account = found === null ? nameKey : String(found.id);
    throttle.remember(nameKey, { ip, account, isFamiliar });
    const from = { network: networkOf(ip), urgency: isFamiliar ? ("familiar" as const) : ("log-in" as const) };
    const user = await throttle.attempt({ ip, account, isFamiliar }, async () =>
      (await passwords.matches(found?.passwordHash ?? null, password, from)) ? found : null,
    );
    if (user === null) throw new Refused("wrong_credentials", "Incorrect username or password.");
    await rememberNetwork(db, user.id, neighbourhoodOf(ip));
    throttle.remember(nameKey, { ip, account, isFamiliar: true });
    return user;
  }

  return {
    async logIn({ username, password, user_address: address, public_key: publicKey }, ip) {
      if (Buffer.byteLength(address) > MAX_ADDRESS_BYTES) {
        throw new Refused("validation_error", `user_address has at most ${MAX_ADDRESS_BYTES} bytes of UTF-8`);
      }
      const { id: userId, name, role } = await authenticate(username, password, ip);
      return { userId, ...(await startSession(context, { userId, name, role }, { publicKey, address })) };
    },
    async start({ username, password, device_name, public_key: publicKey = null }, ip) {
      const { id: userId, name, role } = await authenticate(username, password, ip);
      const device = { name: device_name ?? null, publicKey, address: null };
      return { userId, ...(await startSession(context, { userId, name, role }, device)) };
    },
    async logOut({ userId, sessionId }, username) {
      const named = await findCredentials(db, loginKeys(username));
      if (named?.id !== userId) {
        throw new Refused("validation_error", "username is not the name of the user who is signed in");
      }
      await end(userId, sessionId);
    },
    async refresh(token) {
      const refused = new Refused("unauthorized", "the refresh token is not valid: sign in again");
      const presented = context.tokens.readRefreshToken(token);
      if (presented === undefined) throw refused;
      const { sessionId } = presented;
      const [next, ...others] = context.tokens.nextRefreshTokens(presented);
      const result = await rotateRefresh(db, {
        sessionId,
        presented: presented.hash,
        successors: [next.hash, ...others.map(({ hash }) => hash)],
        refreshDays: REFRESH_DAYS,
      });
      if (result.status === "refreshed") {
        const given = others.find(({ hash }) => Buffer.compare(hash, result.refreshHash) === 0) ?? next;
        return sessionTokens(context, result, given.token);
      }
      if (result.status === "reused") await end(result.userId, sessionId);
      throw refused;
    },
  };
}
