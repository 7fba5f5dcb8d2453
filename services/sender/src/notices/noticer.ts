import { createHash } from "node:crypto";
import { compose, type Language, SECRET_BYTES } from "@messenger/channels";
import {
  type Clock,
  contactSecretContext,
  contactTokenContext,
  createIds,
  type Keyring,
  type Periodic,
  type Random,
  readContent,
  runPeriodically,
  webhookSecretContext,
} from "@messenger/core";
import {
  type EndpointsChanged,
  type MadeNotification,
  type NewNotification,
  type NoticeRow,
  type SettledNotice,
  titleContext,
} from "@messenger/store";
import { decide, LOOK_AFTER_S } from "./decide.ts";

/** What the noticer needs of the store. */
export interface NoticeStore {
  takeNotices(limit: number): Promise<readonly NoticeRow[]>;
  countNotices(type: string, most: number): Promise<number>;
  findProvider(scheme: string): Promise<string | null>;
  createNotification(made: NewNotification): Promise<MadeNotification>;
  settleNotice(settled: SettledNotice): Promise<void>;
  deferNotice(contact: number, conversation: number, inS: number): Promise<void>;
  withdrawNotification(id: string): Promise<void>;
  deleteContact(userId: number, id: number): Promise<boolean>;
}

const EVERY_MS = 1_000;
const AT_ONCE = 50;
const MAX_ROUNDS = 20;
/** Nobody delivers by its channel now. */
const NO_CHANNEL_S = 10 * 60;
/** Characters of a message that are told. */
const MOST_TEXT = 300;
const SOMEBODY = "Somebody";

const graphemes = new Intl.Segmenter();

const shorten = (text: string): string => {
  const characters = Array.from(graphemes.segment(text.slice(0, MOST_TEXT * 8)), ({ segment }) => segment);
  return characters.length <= MOST_TEXT ? text : `${characters.slice(0, MOST_TEXT - 1).join("")}…`;
};

/**
 * Tells users of what they have not read, where they want to be told: each notice becomes a notification to the
 * contact's address, which has order, retries, status and log like any other. Any number of senders can do so at the
 * same time.
 */
export function startNoticer(deps: {
  store: NoticeStore;
  keyring: Keyring;
  clock: Clock;
  random: Random;
  /** Where others reach this deployment; undefined where e-mails name no way to end them. */
  publicUrl: string | undefined;
  /** By each channel, in a day. */
  mostInADay: number;
  wake(changed: EndpointsChanged): void;
  onTold(type: string): void;
  onError(error: unknown): void;
}): Periodic {
  const { store, keyring, clock, random } = deps;
  const ids = createIds({ clock, random });

  /** A notice as its channel sends it. */
  function dataOf(notice: NoticeRow): object {
    const { showsContent, last, title, conversation, unread, type } = notice;
    const message =
      showsContent && last !== null ? readContent(keyring.contents.unseal(last.id, last.content)).message : undefined;
    const token = keyring.contents.unseal(contactTokenContext(notice.userId), notice.token).toString();
    const unsubscribe =
      type === "email" && deps.publicUrl !== undefined ? `${deps.publicUrl}/api/unsubscribe/?token=${token}` : undefined;
    const { subject, text, html, short } = compose(notice.language as Language, "notice", {
      who: last?.who ?? SOMEBODY,
      group: title === null ? undefined : keyring.contents.unseal(titleContext(conversation), title).toString(),
      count: unread,
      text: message === undefined ? undefined : shorten(message),
      unsubscribe,
    });
    if (type === "email") return { subject, content: text, html, ...(unsubscribe !== undefined && { unsubscribe }) };
    return { subject: type === "push" ? (last?.who ?? SOMEBODY) : subject, content: short, topic: `c${conversation}` };
  }

  async function tell(notice: NoticeRow): Promise<"told" | "no-channel" | "no-address"> {
    const { userId, contact, conversation, type, address, firstAt, secret } = notice;
    const provider = await store.findProvider(address.slice(0, address.indexOf(":") + 1));
    if (provider === null) return "no-channel";
    const id = ids.next();
    // Whoever takes it again, as this sender ended in the middle, makes no other one.
    const key = createHash("sha256").update(`notice/${contact}/${conversation}/${firstAt?.getTime()}`).digest();
    const data = keyring.contents.seal(id, Buffer.from(JSON.stringify(dataOf(notice))));
    const ownSecret =
      secret === null ? random.bytes(SECRET_BYTES) : keyring.webhookSecrets.unseal(contactSecretContext(userId, address), secret);
    const made = await store.createNotification({
      id,
      userId,
      type,
      purpose: "notice",
      address,
      recipient: keyring.contents.seal(id, Buffer.from(JSON.stringify({ recipient: "" }))),
      data,
      provider,
      sendAt: null,
      sealSecret: (inbox) => keyring.webhookSecrets.seal(webhookSecretContext(inbox, address), ownSecret),
      request: { key, hash: key },
    });
    if (made.status === "suppressed") return "no-address";
    if (made.status === "made" && made.changed !== null) deps.wake(made.changed);
    const { waiting, messageId } = notice;
    const notificationId = made.status === "made" ? id : made.id;
    await store.settleNotice({ contact, conversation, waiting, messageId, notificationId, againInS: LOOK_AFTER_S });
    deps.onTold(type);
    return "told";
  }

  async function settle(notice: NoticeRow, isCapped: boolean): Promise<void> {
    const { contact, conversation, waiting, messageId, notificationId, userId, type } = notice;
    const decision = decide(notice, clock.now(), isCapped);
    if (decision.do === "wait") {
      await store.deferNotice(contact, conversation, decision.inS);
      return;
    }
    if (decision.do === "drop") {
      if (decision.withdraw && notificationId !== null) await store.withdrawNotification(notificationId);
      await store.settleNotice({ contact, conversation, waiting, messageId, notificationId: undefined, againInS: null });
      return;
    }
    const told = await tell(notice);
    if (told === "told") return;
    // A browser's subscription that is gone does not come back: it subscribes anew.
    if (told === "no-address" && type === "push") await store.deleteContact(userId, contact);
    else if (told === "no-address")
      await store.settleNotice({ contact, conversation, waiting, messageId, notificationId: undefined, againInS: null });
    else await store.deferNotice(contact, conversation, NO_CHANNEL_S);
  }

  return runPeriodically({
    clock,
    everyMs: EVERY_MS,
    onError: (error) => deps.onError(error),
    async round(signal) {
      const capped = new Map<string, boolean>();
      for (let round = 0; round < MAX_ROUNDS && !signal.aborted; round += 1) {
        const notices = await store.takeNotices(AT_ONCE);
        for (const notice of notices) {
          const { type } = notice;
          if (!capped.has(type)) capped.set(type, (await store.countNotices(type, deps.mostInADay)) >= deps.mostInADay);
          try {
            await settle(notice, capped.get(type) === true);
          } catch (error) {
            deps.onError(error); // it is due again in a while
          }
        }
        if (notices.length < AT_ONCE) return;
      }
    },
  });
}
