import { compose, type Language, nameInNotice, SECRET_BYTES, shorten } from "@messenger/channels";
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
  type TakenNotice,
  titleContext,
} from "@messenger/store";
import { decide, LOOK_AGAIN_S } from "./decide.ts";

/** What the noticer needs of the store. */
export interface NoticeStore {
  takeNotices(limit: number): Promise<{ taken: number; notices: readonly NoticeRow[] }>;
  countNotices(type: string, most: number): Promise<number>;
  findProvider(scheme: string): Promise<string | null>;
  tellNotice(notice: NoticeRow, made: NewNotification, againInS: number): Promise<MadeNotification | { status: "changed" }>;
  dropNotice(notice: TakenNotice): Promise<void>;
  deferNotice(notice: TakenNotice, inS: number): Promise<void>;
  withdrawNotice(notice: TakenNotice, notificationId: string, inS: number): Promise<void>;
  /** Where it is no more. */
  deleteGoneContact(userId: number, id: number): Promise<void>;
}

const EVERY_MS = 1_000;
const AT_ONCE = 50;
const MAX_ROUNDS = 20;
/** Nobody delivers by its channel now. */
const NO_CHANNEL_S = 10 * 60;
/** Characters of a message that are told. */
const MOST_TEXT = 300;
/** How often it is counted what went out in the last day. */
const COUNTED_EVERY_MS = 10_000;

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
      who: nameInNotice(last?.who ?? null),
      group: title === null ? undefined : keyring.contents.unseal(titleContext(conversation), title).toString(),
      count: unread,
      text: message === undefined ? undefined : shorten(message, MOST_TEXT),
      unsubscribe,
    });
    if (type === "email") return { subject, content: text, html, ...(unsubscribe !== undefined && { unsubscribe }) };
    return { subject: type === "push" ? nameInNotice(last?.who ?? null) : subject, content: short, topic: `c${conversation}` };
  }

  const isNamed = ({ last }: NoticeRow): boolean => last !== null && last.who !== null;

  /** What a notice becomes: a notification to the contact's address. */
  function notificationOf(notice: NoticeRow, provider: string): NewNotification {
    const { userId, type, address, secret } = notice;
    const id = ids.next();
    const seal = (value: object): Uint8Array => keyring.contents.seal(id, Buffer.from(JSON.stringify(value)));
    const ownSecret =
      secret === null ? random.bytes(SECRET_BYTES) : keyring.webhookSecrets.unseal(contactSecretContext(userId, address), secret);
    return {
      id,
      userId,
      type,
      purpose: "notice",
      aboutUserId: isNamed(notice) ? notice.last?.senderId : undefined,
      address,
      recipient: seal({ recipient: "" }), // it is shown to nobody
      data: seal(dataOf(notice)),
      provider,
      sendAt: null,
      sealSecret: (inbox) => keyring.webhookSecrets.seal(webhookSecretContext(inbox, address), ownSecret),
      request: null,
    };
  }

  async function tell(notice: NoticeRow): Promise<void> {
    const { userId, contact, type, address } = notice;
    const provider = await store.findProvider(address.slice(0, address.indexOf(":") + 1));
    if (provider === null) {
      await store.deferNotice(notice, NO_CHANNEL_S);
      return;
    }
    const told = await store.tellNotice(notice, notificationOf(notice, provider), LOOK_AGAIN_S);
    if (told.status === "made") {
      if (told.changed !== null) deps.wake(told.changed);
      deps.onTold(type);
    } else if (told.status === "suppressed") {
      await store.dropNotice(notice);
      if (type === "push") await store.deleteGoneContact(userId, contact);
    }
    // Otherwise another sender has told it, or the contact is no more.
  }

  async function settle(notice: NoticeRow, isCapped: boolean): Promise<void> {
    const decision = decide(notice, clock.now(), isCapped);
    switch (decision.do) {
      case "tell":
        return tell(notice);
      case "drop":
        return store.dropNotice(notice);
      case "wait":
        return store.deferNotice(notice, decision.inS);
      case "withdraw":
        return store.withdrawNotice(notice, notice.notificationId as string, decision.inS);
    }
  }

  const counted = new Map<string, { at: number; isCapped: boolean }>();

  /** Whether a channel has had as many notices in a day as there may be. Looked at now and then: a few more may go out. */
  async function isCapped(type: string): Promise<boolean> {
    const known = counted.get(type);
    if (known !== undefined && clock.monotonic() - known.at < COUNTED_EVERY_MS) return known.isCapped;
    const now = (await store.countNotices(type, deps.mostInADay)) >= deps.mostInADay;
    counted.set(type, { at: clock.monotonic(), isCapped: now });
    return now;
  }

  return runPeriodically({
    clock,
    everyMs: EVERY_MS,
    onError: (error) => deps.onError(error),
    async round(signal) {
      for (let round = 0; round < MAX_ROUNDS && !signal.aborted; round += 1) {
        const { taken, notices } = await store.takeNotices(AT_ONCE);
        for (const notice of notices) {
          try {
            await settle(notice, await isCapped(notice.type));
          } catch (error) {
            deps.onError(error); // it is due again in a while
          }
        }
        if (taken < AT_ONCE) return;
      }
    },
  });
}
