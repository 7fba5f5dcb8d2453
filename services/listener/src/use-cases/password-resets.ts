import { timingSafeEqual } from "node:crypto";
import { recipientOf } from "@messenger/channels";
import { resetCodeContext } from "@messenger/core";
import { findProvider, findResetContact, resetPassword, sendResetCode, tryResetCode } from "@messenger/store";
import type { Context } from "../context.ts";
import { networkOf } from "../networks.ts";
import { Refused } from "../refused.ts";
import { createAttemptCounts } from "./attempt-counts.ts";
import { codeNotification, newCode } from "./codes.ts";
import { checkPassword } from "./password-rules.ts";
import { findFirst, typedNames } from "./typed-names.ts";

/** For who has forgotten their password, and has a verified e-mail address or phone. */
export interface PasswordResets {
  /** Sends a code, if there is somebody of that name and somewhere to send it; says nothing of that. @throws {Refused} too_many_attempts */
  request(name: string, ip: string): void;
  /** Ends all sessions. @throws {Refused} validation_error, wrong_code, too_many_attempts */
  confirm(given: { username: string; code: string; password: string }, ip: string): Promise<void>;
}

const WINDOW_MS = 5 * 60_000;
/** Of one network. */
const REQUESTS = 10;
const CONFIRMS = 30;
/** Sent at the same time; of more, whoever asked asks again. */
const UNDER_WAY = 16;

export function createPasswordResets(context: Context): PasswordResets {
  const { db, keyring, passwords, publisher, revocations, settings, clock, log } = context;
  const counts = createAttemptCounts(clock, WINDOW_MS);
  let underWay = 0;

  /** @throws {Refused} too_many_attempts */
  function count(key: string, most: number): void {
    if (counts.of(key) >= most) {
      throw new Refused("too_many_attempts", "too many from this network; try again later", counts.secondsLeft(key));
    }
    counts.add(key);
  }

  async function send(name: string): Promise<void> {
    const contact = await findFirst(typedNames(name, settings.phoneRegion), (keys) => findResetContact(db, keys));
    if (contact === null) return;
    const { userId, type, address } = contact;
    const scheme = address.slice(0, address.indexOf(":") + 1);
    const provider = await findProvider(db, scheme);
    if (provider === null || provider === "log") return; // it would show nobody the code
    const code = newCode();
    const to = { ...contact, recipient: recipientOf(address, scheme) ?? address, provider };
    const made = await sendResetCode(db, {
      userId,
      code: keyring.contents.seal(resetCodeContext(userId), Buffer.from(code)),
      mostInADay: settings.codesPerDay,
      notification: codeNotification(context, to, { code, isFor: "reset" }),
    });
    if (made.status === "made") publisher.wake(made.changed);
    else log.info({ user: userId, type, why: made.status }, "no code was sent for a forgotten password");
  }

  return {
    request(name, ip) {
      count(`request ${networkOf(ip)}`, REQUESTS);
      if (underWay >= UNDER_WAY) return;
      underWay += 1;
      // Not waited for: how long it takes would tell whether there is somebody of that name.
      send(name)
        .catch((error: unknown) => log.warn({ err: error }, "a code for a forgotten password could not be sent"))
        .finally(() => (underWay -= 1));
    },
    async confirm({ username, code, password }, ip) {
      count(`confirm ${networkOf(ip)}`, CONFIRMS);
      checkPassword(password, [username], settings);
      const wrong = new Refused("wrong_code", "the code is wrong, has been tried five times, or is older than 15 minutes");
      const tried = await findFirst(typedNames(username, settings.phoneRegion), (keys) => tryResetCode(db, keys));
      if (tried === null) throw wrong;
      const { userId, code: sealed } = tried;
      const right = keyring.contents.unseal(resetCodeContext(userId), sealed);
      if (right.length !== code.length || !timingSafeEqual(right, Buffer.from(code))) throw wrong;
      const passwordHash = await passwords.hash(password, networkOf(ip));
      const reset = await resetPassword(db, userId, { code: sealed, passwordHash });
      if (reset === null) throw wrong;
      publisher.wake(reset.changed);
      for (const ended of reset.ended) revocations.add(ended);
    },
  };
}
