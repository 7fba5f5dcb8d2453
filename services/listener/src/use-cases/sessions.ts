import type { LoginKeys } from "@messenger/core";
import type { ChangePassword, ChangeSession, DeleteTotp, Login, SessionTokens, StartSession } from "@messenger/contracts";
import {
  changePassword,
  changeSession,
  confirmSession,
  type Credentials,
  endSession,
  findAccount,
  findCredentials,
  findPasswordHash,
  isFamiliarNetwork,
  isFreshSession,
  listSessions,
  NO_PASSWORD,
  rememberNetwork,
  rotateRefresh,
  type SessionRow,
} from "@messenger/store";
import type { Context } from "../context.ts";
import { neighbourhoodOf, networkOf } from "../networks.ts";
import { Refused } from "../refused.ts";
import type { Identity } from "../tokens.ts";
import { createLoginThrottle } from "./login-throttle.ts";
import { checkPassword } from "./password-rules.ts";
import { createSecondFactor } from "./second-factor.ts";
import { REFRESH_DAYS, sessionTokens, type StartedSession, startSession } from "./start-session.ts";
import { findFirst, typedNames } from "./typed-names.ts";

/** What an index of PostgreSQL can hold, with something to spare. */
const MAX_ADDRESS_BYTES = 2_000;
/** For so long after its beginning, a session stands in for the password of an account that has none. */
const FRESH_MINUTES = 15;

export interface Sessions {
  /**
   * Signs in, and has messages pushed to an address.
   * @throws {Refused} validation_error, wrong_credentials, code_needed, suspended, too_many_attempts
   */
  logIn(given: Login, ip: string): Promise<StartedSession & { userId: number }>;
  /** Signs in, without an address. @throws {Refused} wrong_credentials, code_needed, suspended, too_many_attempts */
  start(given: StartSession, ip: string): Promise<StartedSession & { userId: number }>;
  /** Ends a session; `username` must be its user's. @throws {Refused} validation_error */
  logOut(of: Identity, username: string): Promise<void>;
  /** @throws {Refused} unauthorized */
  refresh(token: string): Promise<SessionTokens>;
  list(by: Identity): Promise<readonly SessionRow[]>;
  /** @throws {Refused} no_such_session */
  change(by: Identity, id: number, change: ChangeSession): Promise<SessionRow>;
  /** @throws {Refused} no_such_session */
  endOne(by: Identity, id: number): Promise<void>;
  /** @throws {Refused} wrong_password, too_many_attempts, taken */
  beginTotp(by: Identity, password: string, ip: string): Promise<{ secret: string; uri: string }>;
  /** @throws {Refused} wrong_code, too_many_attempts, taken */
  confirmTotp(by: Identity, code: string, ip: string): Promise<readonly string[]>;
  /** @throws {Refused} wrong_password, wrong_code, too_many_attempts */
  deleteTotp(by: Identity, given: DeleteTotp, ip: string): Promise<void>;
  /** That somebody who is signed in gave their password again, and a code where there is an authenticator. @throws {Refused} wrong_password, wrong_code, too_many_attempts */
  checkAll(by: Identity, given: { password: string; totp_code?: string }, ip: string): Promise<string>;
  /** That somebody who is signed in gave their password again: returns its hash. @throws {Refused} wrong_password, too_many_attempts */
  checkPassword(by: Identity, password: string, ip: string): Promise<string>;
  /** Lets this session do what is for administrators, for a while. @throws {Refused} wrong_password, wrong_code, too_many_attempts */
  confirm(by: Identity, given: { password: string; totp_code?: string }, ip: string): Promise<void>;
  /** Ends all other sessions. @throws {Refused} validation_error, wrong_password, too_many_attempts */
  changePassword(by: Identity, given: ChangePassword, ip: string): Promise<void>;
}

/** Signing in and out. */
export function createSessions(context: Context): Sessions {
  const { db, passwords, publisher, revocations, settings } = context;
  const throttle = createLoginThrottle(context.clock);
  const secondFactor = createSecondFactor(context);

  /** Returns whether it could still be used. */
  async function end(userId: number, sessionId: number): Promise<boolean> {
    const changed = await endSession(db, userId, sessionId);
    publisher.wake(changed);
    if (changed !== null) revocations.add(sessionId);
    return changed !== null;
  }

  const noSuchSession = (): Refused => new Refused("no_such_session", "there is no such session, or it is not yours");

  /** @throws {Refused} wrong_credentials, code_needed, suspended, too_many_attempts */
  async function authenticate(username: string, password: string, code: string | undefined, ip: string): Promise<Credentials> {
    const names = typedNames(username, settings.phoneRegion);
    const [keys] = names as [LoginKeys];
    const nameKey = keys.usernameKey ?? keys.emailKey ?? username;
    if (throttle.checkRemembered(ip, nameKey)) passwords.checkRoom({ network: networkOf(ip), urgency: "log-in" });
    const found = await findFirst(names, (one) => findCredentials(db, one));
    const isFamiliar = found !== null && (await isFamiliarNetwork(db, found.id, neighbourhoodOf(ip)));
    // By id, so that an account has no more guesses for each of its names.
    const account = found === null ? nameKey : String(found.id);
    throttle.remember(nameKey, { ip, account, isFamiliar });
    const from = { network: networkOf(ip), urgency: isFamiliar ? ("familiar" as const) : ("log-in" as const) };
    let isCodeWrong = false;
    const user = await throttle.attempt({ ip, account, isFamiliar }, async () => {
      if (!(await passwords.matches(found?.passwordHash ?? null, password, from)) || found === null) return null;
      const second = await secondFactor.check(found.id, code);
      isCodeWrong = second === "wrong"; // which counts as a password that is
      return isCodeWrong ? null : { ...found, isCodeNeeded: second === "needed" };
    });
    if (isCodeWrong) {
      throw new Refused(
        "code_needed",
        "this is not the code that your authenticator shows now, or it was used before: wait for the next one",
      );
    }
    if (user === null) throw new Refused("wrong_credentials", "Incorrect username or password.");
    if (user.isSuspended) throw new Refused("suspended", "this account is suspended: ask whoever runs this Messenger");
    if (user.isCodeNeeded) throw new Refused("code_needed", "give the code that your authenticator shows, too, as totp_code");
    await rememberNetwork(db, user.id, neighbourhoodOf(ip));
    throttle.remember(nameKey, { ip, account, isFamiliar: true });
    return user;
  }

  /**
   * Returns the hash of the password, where it is that of the user. Whoever has a session and not the password has no
   * more guesses than anybody else. Of an account without a password, a session that began lately stands in for it.
   *
   * @throws {Refused} wrong_password, too_many_attempts
   */
  async function matchPassword({ userId, sessionId }: Identity, password: string, ip: string): Promise<string> {
    const hash = await findPasswordHash(db, userId);
    if (hash === NO_PASSWORD) {
      if (await isFreshSession(db, sessionId, FRESH_MINUTES)) return hash;
      const detail = `this account has no password: sign in anew, and do this within ${FRESH_MINUTES} minutes`;
      throw new Refused("wrong_password", detail);
    }
    const isRight = await throttle.attempt({ ip, account: String(userId), isFamiliar: true }, async () =>
      (await passwords.matches(hash, password, { network: networkOf(ip), urgency: "familiar" })) ? true : null,
    );
    if (isRight === null || hash === null) throw new Refused("wrong_password", "the password is wrong");
    return hash;
  }

  /** A code that is wrong counts as a log-in that failed does. @throws {Refused} wrong_code, too_many_attempts */
  async function guessing<Result>(userId: number, ip: string, run: () => Promise<Result>): Promise<Result> {
    let wrong: Refused | undefined;
    const result = await throttle.attempt({ ip, account: String(userId), isFamiliar: true }, async () => {
      try {
        return { value: await run() };
      } catch (error) {
        if (!(error instanceof Refused) || error.code !== "wrong_code") throw error;
        wrong = error;
        return null;
      }
    });
    if (result === null) throw wrong as Refused;
    return result.value;
  }

  async function checkAll(
    by: Identity,
    { password, totp_code: code }: { password: string; totp_code?: string },
    ip: string,
  ): Promise<string> {
    const hash = await matchPassword(by, password, ip);
    await guessing(by.userId, ip, async () => {
      if ((await secondFactor.check(by.userId, code)) === "fine") return;
      throw new Refused("wrong_code", "the code of the authenticator is missing or wrong, or was used");
    });
    return hash;
  }

  return {
    async logIn({ username, password, totp_code: code, user_address: address, public_key: publicKey }, ip) {
      if (Buffer.byteLength(address) > MAX_ADDRESS_BYTES) {
        throw new Refused("validation_error", `user_address has at most ${MAX_ADDRESS_BYTES} bytes of UTF-8`);
      }
      const { id: userId, name, role, passwordHash } = await authenticate(username, password, code, ip);
      const device = { passwordHash, publicKey, address };
      return { userId, ...(await startSession(context, { userId, name, role }, device)) };
    },
    async start({ username, password, totp_code: code, device_name, public_key: publicKey = null }, ip) {
      const { id: userId, name, role, passwordHash } = await authenticate(username, password, code, ip);
      const device = { passwordHash, name: device_name ?? null, publicKey, address: null };
      return { userId, ...(await startSession(context, { userId, name, role }, device)) };
    },
    async logOut({ userId, sessionId }, username) {
      const named = await findFirst(typedNames(username, settings.phoneRegion), (one) => findCredentials(db, one));
      if (named?.id !== userId) {
        throw new Refused("validation_error", "username is not the name of the user who is signed in");
      }
      await end(userId, sessionId);
    },
    list: ({ userId }) => listSessions(db, userId),
    async change({ userId }, id, { device_name: deviceName = null, public_key: publicKey = null }) {
      const changed = await changeSession(db, userId, id, { deviceName, publicKey });
      if (changed === null) throw noSuchSession();
      return changed;
    },
    async beginTotp(by, password, ip) {
      await matchPassword(by, password, ip);
      return secondFactor.begin(by);
    },
    confirmTotp: (by, code, ip) => guessing(by.userId, ip, () => secondFactor.confirm(by, code)),
    async deleteTotp(by, { password, code }, ip) {
      await checkAll(by, { password, totp_code: code }, ip);
      await secondFactor.delete(by);
    },
    checkAll,
    async confirm(by, given, ip) {
      await checkAll(by, given, ip);
      await confirmSession(db, by.sessionId);
    },
    checkPassword: matchPassword,
    async endOne({ userId }, id) {
      if (!(await end(userId, id))) throw noSuchSession();
    },
    async changePassword(by, { current_password: current, password }, ip) {
      const { userId, sessionId } = by;
      const account = await findAccount(db, userId);
      if (account === null) throw new Refused("unauthorized", "the account was deleted");
      checkPassword(password, [account.username, account.email, account.phoneNumber, account.fullName], context.settings);
      const before = await matchPassword(by, current, ip);
      const passwordHash = await passwords.hash(password, networkOf(ip));
      const changed = await changePassword(db, userId, { before, passwordHash, except: sessionId });
      if (changed === null) throw new Refused("wrong_password", "the password was changed meanwhile");
      publisher.wake(changed.changed);
      for (const ended of changed.ended) revocations.add(ended);
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
