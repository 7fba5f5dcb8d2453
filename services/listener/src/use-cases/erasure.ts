import { nameInNotice } from "@messenger/channels";
import { DELETED_NAME, type MessageContent, runPeriodically, sleep, storedContent } from "@messenger/core";
import {
  beginErasure,
  claimErasures,
  deleteMessage,
  deleteUser,
  eraseContents,
  eraseSlice,
  findAccount,
  type GroupNow,
  holdErasure,
  listBots,
  listWritten,
  readAdded,
  readNotices,
  readReported,
  readSent,
  rewriteAdded,
  rewriteNotices,
  rewriteTitle,
  rewriteReported,
  rewriteSent,
  type SealedData,
  type SentContent,
  type SentPlace,
  titleContext,
  type Written,
} from "@messenger/store";
import type { Context } from "../context.ts";
import { publishEvents } from "../publisher.ts";
import { Refused } from "../refused.ts";
import { contentOf, sealJson, unsealJson } from "./contents.ts";

/** Erases accounts, however long it takes, and whatever ends meanwhile. */
export interface Erasure {
  /**
   * Ends an account at once, and erases it with all that is known of it. Returns once that is done, or after a few seconds:
   * it goes on then. @throws {Refused} no_such_user
   */
  erase(userId: number): Promise<void>;
  /** Takes up no more erasures. */
  stop(): Promise<void>;
}

/** Whoever deletes an account waits no longer. */
const WAIT_MS = 5_000;
const AT_ONCE = 200;
const RESUME_EVERY_MS = 30_000;
/** Other listeners know by then that a session has ended. */
const HEARD_MS = 1_500;

const SHORT_NAME = 3;
const FIRST_ID = "00000000-0000-0000-0000-000000000000";

interface NoticeText {
  subject?: string;
  content: string;
  html?: string;
}

export function createErasure(context: Context): Erasure {
  const { db, ids, keyring, clock, log, publisher, revocations, settings } = context;

  /** Says that it is not abandoned. @throws where the listener stops: another one goes on. */
  async function goOn(userId: number): Promise<void> {
    context.closing.throwIfAborted();
    await holdErasure(db, userId);
  }

  /** Erases what somebody sent, or removes their name from it. */
  async function eraseMessages(userId: number, conversation: number): Promise<void> {
    let after: SentPlace | null = null;
    for (;;) {
      const found: Awaited<ReturnType<typeof readSent>> = await readSent(db, { conversation, userId, after, limit: AT_ONCE });
      if (found.last === null) return;
      after = found.last;
      await goOn(userId);
      if (settings.deletedMessages === "erased") {
        const current = found.contents.filter(({ version }) => version === null).map(({ id }) => id);
        for (const messageId of current) {
          const deleted = await deleteMessage(db, { messageId, userId, eventId: ids.next() });
          if (deleted.status === "changed") publishEvents(publisher, deleted.change);
        }
        await eraseContents(db, current); // in groups that the user has left, nobody is told
        continue;
      }
      await rewriteSent(
        db,
        found.contents.map((sent) => ({ ...sent, content: anonymous(sent) })),
      );
    }
  }

  const anonymous = ({ id, content }: Pick<SentContent, "id" | "content">): Uint8Array => {
    const said: MessageContent = { ...contentOf(keyring, id, content), sender_username: DELETED_NAME };
    return keyring.contents.seal(id, storedContent(said));
  };

  /** Events that tell who was added to a group tell so without a name. */
  async function eraseAdded(userId: number, conversation: number): Promise<void> {
    const rewritten = (await readAdded(db, conversation)).flatMap(({ id, data }): SealedData[] => {
      const said = unsealJson(keyring, id, data) as { user_id?: number };
      return said.user_id === userId ? [{ id, data: sealJson(keyring, id, { ...said, username: null }) }] : [];
    });
    if (rewritten.length > 0) await rewriteAdded(db, conversation, rewritten);
  }

  /**
   * Notices that others were sent of what the user wrote, which are kept for two days, name nobody. (Of a user whose erasure
   * has begun, new ones do not.)
   */
  async function eraseFromNotices(userId: number): Promise<void> {
    const account = await findAccount(db, userId);
    const all = [account?.username, account?.fullName].filter((name) => name != null).map(nameInNotice);
    const names = all.toSorted((a, b) => b.length - a.length); // one may begin with another one
    // What was written may be in it; and a name of a letter is in every word.
    const isWhole = settings.deletedMessages === "erased" || names.some(({ length }) => length < SHORT_NAME);
    const without = (text: string): string =>
      isWhole ? DELETED_NAME : names.reduce((rest, name) => rest.replaceAll(name, DELETED_NAME), text);
    for (let after = FIRST_ID; ;) {
      const found = await readNotices(db, userId, after, AT_ONCE);
      const rewritten = found.flatMap(({ id, data }): SealedData[] => {
        const { subject, content, html: _, ...rest } = unsealJson(keyring, id, data) as NoticeText;
        if (!names.some((name) => content.includes(name) || subject?.includes(name))) return [];
        const said = { ...rest, content: without(content), ...(subject !== undefined && { subject: without(subject) }) };
        return [{ id, data: sealJson(keyring, id, said) }];
      });
      if (rewritten.length > 0) await rewriteNotices(db, rewritten);
      await goOn(userId);
      const last = found.at(-1);
      if (found.length < AT_ONCE || last === undefined) return;
      after = last.id;
    }
  }

  async function eraseWritten(userId: number): Promise<void> {
    await eraseFromNotices(userId);
    const reported = await readReported(db, userId);
    const keeps = settings.deletedMessages === "kept";
    await rewriteReported(
      db,
      reported.map((sent) => ({ report: sent.report, content: keeps ? anonymous(sent) : null })),
    );
    // Twice: another listener may have accepted something until it heard that the session had ended.
    for (const isAgain of [false, true]) {
      if (isAgain) await sleep(clock, HEARD_MS, context.closing);
      for (const conversation of await listWritten(db, userId)) {
        await holdErasure(db, userId);
        await eraseConversation(userId, conversation);
      }
    }
  }

  async function eraseConversation(userId: number, { id, isGroup, isAlone }: Written): Promise<void> {
    if (isAlone) {
      // Nobody is left who could read it.
      while (await eraseSlice(db, id, AT_ONCE)) await goOn(userId);
      if (isGroup) await rewriteTitle(db, id, keyring.contents.seal(titleContext(id), Buffer.from(DELETED_NAME)));
    } else await eraseMessages(userId, id);
    if (isGroup) await eraseAdded(userId, id);
  }

  /** Ends an account at once; false where there is none. */
  async function begin(userId: number): Promise<boolean> {
    const begun = await beginErasure(db, userId);
    if (begun === null) return false;
    publisher.wake(begun.changed);
    for (const ended of begun.ended) revocations.add(ended);
    return true;
  }

  /** All of it; each step can be done again. */
  async function run(userId: number): Promise<void> {
    for (const bot of await listBots(db, userId)) {
      await begin(bot.id);
      await run(bot.id);
    }
    await eraseWritten(userId);
    const { isDeleted, told } = await deleteUser(db, userId, (newOwner) => {
      const eventId = ids.next();
      const sealData = ({ members }: GroupNow): Uint8Array =>
        sealJson(keyring, eventId, { user_id: userId, members, owner_id: newOwner });
      return { eventId, sealData };
    });
    for (const events of told) publishEvents(publisher, events);
    if (isDeleted) log.info({ user: userId }, "an account was erased");
  }

  const onError = (error: unknown): void => log.warn({ err: error }, "an account could not be erased yet");
  const resuming = runPeriodically({
    clock,
    everyMs: RESUME_EVERY_MS,
    atOnce: true,
    async round() {
      for (const userId of await claimErasures(db)) await run(userId).catch(onError);
    },
    onError,
  });

  return {
    async erase(userId) {
      if (!(await begin(userId))) throw new Refused("no_such_user", "User not found.");
      await Promise.race([run(userId).catch(onError), sleep(clock, WAIT_MS)]);
    },
    stop: () => resuming.stop(),
  };
}
