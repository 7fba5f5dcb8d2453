import type { ChangeAccount, DeleteUser, NewContact, NewUser as NewUserGiven, SessionTokens } from "@messenger/contracts";
import { checkUsername, emailKey, InvalidName, phoneKey, usernameKey, keyOr } from "@messenger/core";
import { tokenHash } from "@messenger/runtime";
import {
  type AccountRow,
  changeAccount,
  changeSignIn,
  countErasable,
  createInvitedUser,
  createUser,
  findAccount,
  findInvitation,
  findRole,
  findTaken,
  findUserByName,
  type NewUser,
  noteAudit,
  type PublicUser,
  rememberNetwork,
  screenStrangers,
  type UniqueUserField,
} from "@messenger/store";
import type { ApiSettings, Context } from "../context.ts";
import { neighbourhoodOf, networkOf } from "../networks.ts";
import { Refused } from "../refused.ts";
import type { Identity } from "../tokens.ts";
import { actorOf } from "./audit.ts";
import { type Contacts, signInOf } from "./contacts.ts";
import type { Erasure } from "./erasure.ts";
import { checkPassword } from "./password-rules.ts";
import { checkMayRegister } from "./registration.ts";
import type { SignUpLimit } from "./sign-up-limit.ts";
import { startSession } from "./start-session.ts";

const isTaken = (field: UniqueUserField): Refused => new Refused("taken", `this ${field.replace("_", " ")} is taken`);
const isDeleted = (): never => {
  throw new Refused("unauthorized", "the account was deleted");
};
const isNotGood = (): Refused => new Refused("registration_closed", "the invitation is unknown, expired or already used");
const noSuchUser = (): Refused => new Refused("no_such_user", "User not found.");

/**
 * The names of a new user, in the forms they are shown and compared in; where addresses have to be verified, without
 * them. @throws {Refused} validation_error
 */
function namesOf(given: NewUserGiven, addresses: ApiSettings["signUpAddresses"]): Omit<NewUser, "passwordHash"> {
  const { username, full_name } = given;
  const { phone_number, email } = addresses === "claimed" ? given : {};
  if (addresses === "claimed") {
    const named = username !== undefined && phone_number !== undefined;
    const mailed = username === undefined && phone_number === undefined && email !== undefined && full_name !== undefined;
    if (!named && !mailed) {
      throw new Refused("validation_error", "give username, phone_number and password, or email, full_name and password");
    }
  } else if (username === undefined) {
    throw new Refused(
      "validation_error",
      "give username and password: an e-mail address or phone number can be used to sign in after it is verified",
    );
  }
  try {
    if (username !== undefined) checkUsername(username);
    return {
      username: username ?? null,
      usernameKey: username === undefined ? null : usernameKey(username),
      phoneNumber: phone_number ?? null,
      phoneKey: phone_number === undefined ? null : phoneKey(phone_number),
      email: email ?? null,
      emailKey: email === undefined ? null : emailKey(email),
      fullName: full_name ?? null,
    };
  } catch (error) {
    if (error instanceof InvalidName) throw new Refused("validation_error", error.message);
    throw error;
  }
}

/** What a new user has to show to be theirs. */
function contactsOf({ email, phone_number }: NewUserGiven): NewContact[] {
  return [
    ...(email === undefined ? [] : [{ type: "email" as const, recipient: email }]),
    ...(phone_number === undefined ? [] : [{ type: "sms" as const, recipient: phone_number }]),
  ];
}

interface MadeUser {
  id: number;
  username: string | null;
  tokens: SessionTokens;
}

export interface Users {
  /**
   * Makes an account, and signs in. @throws {Refused} validation_error, registration_closed, taken, too_many_sign_ups,
   * no_such_channel
   */
  create(given: NewUserGiven, ip: string): Promise<MadeUser>;
  /** @throws {Refused} no_such_user */
  findByName(name: string): Promise<PublicUser>;
  readAccount(by: Identity): Promise<AccountRow>;
  /** What is not given stays as it is. */
  changeAccount(by: Identity, given: ChangeAccount): Promise<AccountRow>;
  /**
   * Has a user sign in by the address of a contact that is verified, or by none. @throws {Refused} no_such_contact,
   * not_verified, taken, validation_error
   */
  changeSignIn(by: Identity, field: "email" | "phone_number", contact: number | null): Promise<AccountRow>;
  /** Deletes an account: one's own, or any as an admin. @throws {Refused} forbidden, no_such_user */
  delete(by: Identity, given: DeleteUser): Promise<void>;
  /** Deletes a bot. @throws {Refused} no_such_user */
  deleteBot(id: number): Promise<void>;
  /** Deletes one's own, and says what that erased, signed. */
  deleteOwn(by: Identity): Promise<string>;
}

/** Accounts. */
export function createUsers(
  context: Context,
  deps: { signUps: SignUpLimit; erasure: Pick<Erasure, "erase">; contacts: Pick<Contacts, "check" | "create" | "read"> },
): Users {
  const { db, log, passwords, receipts, settings } = context;
  const { signUps, erasure, contacts } = deps;

  /** @throws {Refused} no_such_contact, not_verified */
  async function verifiedAddress(
    by: Identity,
    field: "email" | "phone_number",
    id: number,
  ): Promise<{ value: string; key: string }> {
    const contact = await contacts.read(by, id);
    const signIn = signInOf(contact);
    if (signIn?.field !== field) {
      throw new Refused("no_such_contact", `you have no such contact of the type ${field === "email" ? "email" : "sms"}`);
    }
    if (!contact.isVerified) throw new Refused("not_verified", "the address is not verified: send its code, and confirm it");
    return signIn;
  }

  return {
    async create(given, ip) {
      const { password } = given;
      checkMayRegister(settings, given);
      const names = namesOf(given, settings.signUpAddresses);
      checkPassword(password, [names.username, given.email, given.phone_number, names.fullName], settings);
      const toVerify = settings.signUpAddresses === "verified" ? contactsOf(given) : [];
      const invitation = settings.registration === "invited" ? tokenHash(given.invitation ?? "") : undefined;
      const made = await signUps.attempt(ip, async () => {
        // What costs little before what costs more: statements, and then the hash. The database has the last word.
        passwords.checkRoom({ network: networkOf(ip), urgency: "sign-up" });
        for (const contact of toVerify) await contacts.check(contact);
        if (invitation !== undefined && !(await findInvitation(db, invitation))) throw isNotGood();
        const taken = await findTaken(db, names);
        if (taken !== undefined) return { taken };
        const user = { ...names, passwordHash: await passwords.hash(password, networkOf(ip)) };
        return invitation === undefined ? createUser(db, user) : createInvitedUser(db, user, invitation);
      });
      if (made === null) throw isNotGood();
      if ("taken" in made) throw isTaken(made.taken);
      await rememberNetwork(db, made.id, neighbourhoodOf(ip));
      const user = { userId: made.id, name: names.username ?? names.email ?? "", role: "user" as const };
      const { tokens, sessionId } = await startSession(context, user, { passwordHash: null, publicKey: null, address: null });
      for (const contact of toVerify) {
        // The account is there: where that fails, the user adds the contact.
        await contacts.create({ ...user, sessionId }, contact).catch((error: unknown) => {
          log.warn({ err: error, user: made.id, type: contact.type }, "a contact of a new account could not be made");
        });
      }
      return { id: made.id, username: names.username, tokens };
    },
    async findByName(name) {
      const key = keyOr(usernameKey, name);
      const user = key === null ? null : await findUserByName(db, key);
      if (user === null) throw noSuchUser();
      return user;
    },
    async readAccount({ userId }) {
      return (await findAccount(db, userId)) ?? isDeleted();
    },
    async changeAccount({ userId }, given) {
      const {
        full_name: fullName,
        found_by_email: foundByEmail,
        found_by_phone: foundByPhone,
        message_requests: messageRequests,
        ...told
      } = given;
      if (messageRequests !== undefined) await screenStrangers(db, userId, messageRequests);
      return (await changeAccount(db, userId, { fullName, foundByEmail, foundByPhone, ...told })) ?? isDeleted();
    },
    async changeSignIn(by, field, contactId) {
      const given = contactId === null ? null : await verifiedAddress(by, field, contactId);
      const changed = await changeSignIn(db, by.userId, field, given);
      if (changed === null) return isDeleted();
      if (changed === "no-name") {
        throw new Refused("validation_error", "this account has no user name: it is known by its e-mail address alone");
      }
      if ("taken" in changed) throw isTaken(changed.taken);
      return changed;
    },
    async delete(by, { user_id: id }) {
      // Not by the token: an admin that was demoted is none at once.
      if (id !== by.userId && (await findRole(db, by.userId)) !== "admin") {
        throw new Refused("forbidden", "only an admin deletes another user's account");
      }
      if (id !== by.userId) await noteAudit(db, actorOf(by), "user.erased", id);
      await erasure.erase(id);
    },
    deleteBot: (id) => erasure.erase(id),
    async deleteOwn(by) {
      const erased = await countErasable(db, by.userId);
      await erasure.erase(by.userId);
      return receipts.sign(by.userId, { erased });
    },
  };
}
