import { timingSafeEqual } from "node:crypto";
import {
  addressOf,
  type Language,
  originOfWebPush,
  packKeys,
  recipientOf,
  refusalOfKeys,
  refusalOfWebPush,
  webPushAddress,
  type WrittenScheme,
} from "@messenger/channels";
import type { ChangeContact, Contact, NewContact } from "@messenger/contracts";
import {
  contactCodeContext,
  contactSecretContext,
  contactTokenContext,
  emailKey,
  phoneKey,
  webhookSecretContext,
} from "@messenger/core";
import { newToken, tokenHash } from "@messenger/runtime";
import {
  changeContact,
  claimSignIn,
  type ContactRow,
  type ContactSettings,
  createContact,
  deleteContact,
  findContact,
  findContactByToken,
  findProvider,
  listContacts,
  renewAddress,
  sendCode as storeCode,
  tryCode,
  verifyContact,
} from "@messenger/store";
import type { Context } from "../context.ts";
import { Refused } from "../refused.ts";
import type { Identity } from "../tokens.ts";
import { codeNotification, newCode } from "./codes.ts";
import { readRecipient } from "./recipients.ts";

type ContactType = Contact["type"];

export interface OpenedContact extends Omit<ContactRow, "address" | "type" | "language"> {
  type: ContactType;
  language: Language;
  /** As it is sent to; of a browser, the origin of its push service. */
  recipient: string;
}

/** Where users are told of messages. All of it throws no_such_contact for one that is not the user's. */
export interface Contacts {
  /** What browsers subscribe with. */
  readonly pushKey: string;
  list(by: Identity): Promise<readonly OpenedContact[]>;
  /** Whether it can be made. @throws {Refused} validation_error, no_such_channel, unusable_address */
  check(given: NewContact): Promise<void>;
  /** @throws {Refused} validation_error, taken, full, no_such_channel, unusable_address */
  create(by: Identity, given: NewContact): Promise<OpenedContact>;
  read(by: Identity, id: number): Promise<OpenedContact>;
  /** @throws {Refused} validation_error */
  change(by: Identity, id: number, change: ChangeContact): Promise<OpenedContact>;
  delete(by: Identity, id: number): Promise<void>;
  /** @throws {Refused} taken, no_such_channel, suppressed, too_many_codes */
  sendCode(by: Identity, id: number): Promise<void>;
  /** @throws {Refused} wrong_code */
  verify(by: Identity, id: number, code: string): Promise<OpenedContact>;
  /** Ends the contact that a token was given out for. */
  unsubscribe(token: string): Promise<void>;
}

const SCHEMES = {
  email: "mailto:",
  sms: "sms:",
  push: "webpush:",
} as const satisfies Record<ContactType, WrittenScheme | "webpush:">;
const MAX_CONTACTS = 20;
const DEFAULTS = { showsContent: false, language: "en", windowS: 300, quietFrom: null, quietUntil: null, timeZone: "UTC" };
const delayOf = (type: ContactType): number => (type === "push" ? 5 : 60);

const noSuchContact = (): Refused => new Refused("no_such_contact", "there is no such contact, or it is not yours");

function isTimeZone(name: string): boolean {
  try {
    new Intl.DateTimeFormat("en", { timeZone: name });
    return true;
  } catch {
    return false;
  }
}

/** Minutes after midnight of `22:30`. */
const minutesOf = (time: string): number => Number(time.slice(0, 2)) * 60 + Number(time.slice(3));

/** What is given of a contact's settings, on top of what they are. @throws {Refused} validation_error */
function settingsOf(before: ContactSettings, given: ChangeContact): ContactSettings {
  const { quiet_hours: quiet } = given;
  if (quiet && !isTimeZone(quiet.time_zone)) {
    throw new Refused("validation_error", `${JSON.stringify(quiet.time_zone)} is no time zone such as Europe/Berlin`);
  }
  return {
    showsContent: given.shows_content ?? before.showsContent,
    language: given.language ?? before.language,
    delayS: given.delay_s ?? before.delayS,
    windowS: given.window_s ?? before.windowS,
    quietFrom: quiet === undefined ? before.quietFrom : quiet && minutesOf(quiet.from),
    quietUntil: quiet === undefined ? before.quietUntil : quiet && minutesOf(quiet.until),
    timeZone: quiet === undefined ? before.timeZone : (quiet?.time_zone ?? DEFAULTS.timeZone),
  };
}

/** How one signs in by the address of a contact; undefined where nobody does. */
export function signInOf({
  type,
  recipient,
}: Pick<OpenedContact, "type" | "recipient">): { field: "email" | "phone_number"; value: string; key: string } | undefined {
  if (type === "email") return { field: "email", value: recipient, key: emailKey(recipient) };
  return type === "sms" ? { field: "phone_number", value: recipient, key: phoneKey(recipient) } : undefined;
}

export function createContacts(context: Context): Contacts {
  const { db, keyring, log, random, publisher, settings, guard, pushKey } = context;

  const open = ({ address, type, language, ...row }: ContactRow): OpenedContact => ({
    ...row,
    type: type as ContactType,
    language: language as Language,
    recipient: type === "push" ? originOfWebPush(address) : (recipientOf(address, SCHEMES[type as ContactType]) ?? address),
  });

  async function find(by: Identity, id: number): Promise<ContactRow> {
    const found = await findContact(db, by.userId, id);
    if (found === null) throw noSuchContact();
    return found;
  }

  /** @throws {Refused} no_such_channel */
  async function providerOf(type: ContactType): Promise<string> {
    const provider = await findProvider(db, SCHEMES[type]);
    // What is sent nowhere can show nobody a code.
    if (provider === null || provider === "log")
      throw new Refused("no_such_channel", `nobody is set up to deliver by ${type} here`);
    return provider;
  }

  /** @throws {Refused} validation_error, unusable_address */
  function addressIn({ type, recipient, subscription }: NewContact): { address: string; keys?: Buffer } {
    if (type === "push") {
      if (subscription === undefined || recipient !== undefined) {
        throw new Refused("validation_error", "push needs the subscription of a browser, and no recipient");
      }
      const address = webPushAddress(subscription.endpoint);
      const refusal = refusalOfWebPush(address, guard, settings.pushServices);
      if (refusal !== undefined) throw new Refused("unusable_address", refusal);
      const keys = {
        p256dh: Buffer.from(subscription.keys.p256dh, "base64url"),
        auth: Buffer.from(subscription.keys.auth, "base64url"),
      };
      const fault = refusalOfKeys(keys);
      if (fault !== undefined) throw new Refused("validation_error", `subscription: ${fault}`);
      return { address, keys: packKeys(keys) };
    }
    if (recipient === undefined || subscription !== undefined) {
      throw new Refused("validation_error", `${type} needs a recipient, and no subscription`);
    }
    return { address: addressOf(SCHEMES[type], readRecipient(type, recipient, settings.phoneRegion)) };
  }

  /** @throws {Refused} taken, no_such_channel, suppressed, too_many_codes */
  async function sendCode(by: Identity, contact: ContactRow): Promise<void> {
    const type = contact.type as ContactType;
    if (contact.isVerified) throw new Refused("taken", "it is verified already");
    const provider = await providerOf(type);
    const code = newCode();
    // Sealed, and not hashed: whoever has the hash of six digits has the digits.
    const sealed = keyring.contents.seal(contactCodeContext(contact.id), Buffer.from(code));
    const to = { ...contact, userId: by.userId, recipient: open(contact).recipient, provider };
    const notification = codeNotification(context, to, { code, isFor: "code" });
    const { codesPerDay: mostInADay } = settings;
    const made = await storeCode(db, { userId: by.userId, contact: contact.id, code: sealed, mostInADay, notification });
    if (made.status === "too-many") {
      throw new Refused("too_many_codes", "a code is sent once a minute, and five times in an hour: try again later", 60);
    }
    if (made.status === "suppressed") {
      throw new Refused("suppressed", `nothing is sent to this address until ${made.until.toISOString()}: ${made.reason}`);
    }
    if (made.status === "made") publisher.wake(made.changed);
    else if (made.status === "unsent") log.info({ user: by.userId, type }, "no code was sent: its address was sent too many");
  }

  /** Has the user sign in by the address, too, where that takes a verified one. */
  async function claim(by: Identity, contact: ContactRow): Promise<void> {
    const signIn = signInOf(open(contact));
    if (settings.signUpAddresses === "verified" && signIn !== undefined) {
      await claimSignIn(db, by.userId, signIn.field, signIn);
    }
  }

  return {
    pushKey,
    list: async (by) => (await listContacts(db, by.userId)).map(open),
    async check(given) {
      addressIn(given);
      await providerOf(given.type);
    },
    async create(by, given) {
      const { type } = given;
      const { address, keys } = addressIn(given);
      await providerOf(type);
      const { userId, sessionId } = by;
      const token = newToken(random);
      const made = await createContact(db, {
        userId,
        type,
        address,
        ...settingsOf({ ...DEFAULTS, delayS: delayOf(type) }, given),
        subscription:
          keys === undefined
            ? null
            : {
                sealed: keyring.webhookSecrets.seal(contactSecretContext(userId, address), keys),
                isSame: (of) => keys.equals(keyring.webhookSecrets.unseal(contactSecretContext(of.userId, address), of.sealed)),
                sessionId,
              },
        token: { sealed: keyring.contents.seal(contactTokenContext(userId), Buffer.from(token)), hash: tokenHash(token) },
        most: MAX_CONTACTS,
      });
      if (made.status === "no-account") throw new Refused("unauthorized", "the account was deleted");
      if (made.status === "full") throw new Refused("full", `a user has at most ${MAX_CONTACTS} contacts`);
      if (made.status === "taken") {
        const own = "you are told there already: change that contact";
        throw new Refused("taken", keys === undefined ? own : "another user has this subscription, by other keys");
      }
      if (keys !== undefined && made.isRenewed) {
        const seal = (inbox: number): Uint8Array => keyring.webhookSecrets.seal(webhookSecretContext(inbox, address), keys);
        publisher.wake(await renewAddress(db, address, seal));
      }
      const contact = await find(by, made.id);
      if (!made.isNew) await changeContact(db, userId, made.id, settingsOf(contact, given));
      // Where it cannot be sent now, it is sent when it is asked for.
      if (!contact.isVerified) {
        await sendCode(by, contact).catch((error: unknown) => {
          if (!(error instanceof Refused)) throw error;
        });
      }
      return open(await find(by, made.id));
    },
    read: async (by, id) => open(await find(by, id)),
    async change(by, id, change) {
      const before = await find(by, id);
      if (!(await changeContact(db, by.userId, id, settingsOf(before, change)))) throw noSuchContact();
      return open(await find(by, id));
    },
    async delete(by, id) {
      if (!(await deleteContact(db, by.userId, id))) throw noSuchContact();
    },
    sendCode: async (by, id) => sendCode(by, await find(by, id)),
    async verify(by, id, code) {
      const contact = await find(by, id);
      if (contact.isVerified) {
        await claim(by, contact); // it may have been verified before that was asked for
        return open(contact);
      }
      const sealed = await tryCode(db, by.userId, id);
      const isRight =
        sealed !== null && timingSafeEqual(keyring.contents.unseal(contactCodeContext(id), sealed), Buffer.from(code));
      if (!isRight)
        throw new Refused(
          "wrong_code",
          "the code is wrong, has been tried five times, or is older than 15 minutes: ask for another one at …/code/",
        );
      await verifyContact(db, by.userId, id);
      await claim(by, contact);
      return open(await find(by, id));
    },
    async unsubscribe(token) {
      const contact = await findContactByToken(db, tokenHash(token));
      if (contact !== null) await deleteContact(db, contact.userId, contact.id);
    },
  };
}
