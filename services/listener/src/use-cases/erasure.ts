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

interface NoticeText {
  subject?: string;
  content: string;
  html?: string;
}

/** Finds any of these names, as notices show them, where it is a word of its own; undefined where there are none. */
function patternOf(names: readonly string[]): RegExp | undefined {
  if (names.length === 0) return undefined;
  const all = names.map((name) => nameInNotice(name).replaceAll(/[\\^$.*+?()[\]{}|/]/gu, "\\$&"));
  const longestFirst = all.toSorted((a, b) => b.length - a.length); // one may begin with another one
  return new RegExp(`(?<![\\p{L}\\p{N}])(?:${longestFirst.join("|")})(?![\\p{L}\\p{N}])`, "u");
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
   * Notices that others were sent of what the user wrote, which are kept for two days, name nobody. (Once the erasure has begun,
   * no new ones do.) Where the name is not found, as it was another one then, or what was written is to go, too, the whole text
   * goes.
   */
  async function eraseFromNotices(userId: number): Promise<void> {
    const account = await findAccount(db, userId);
    const name = patternOf([account?.username, account?.fullName].filter((one) => one != null));
    for (;;) {
      const found = await readNotices(db, userId, AT_ONCE);
      if (found.length === 0) return;
      const rewritten = found.map(({ id, data }): SealedData => {
        const { subject, content, html: _, ...rest } = unsealJson(keyring, id, data) as NoticeText;
        const isNamed = name?.test(`${subject ?? ""} ${content}`) === true;
        const without = (text: string): string =>
          name !== undefined && isNamed && settings.deletedMessages === "kept"
            ? text.replaceAll(new RegExp(name, "gu"), DELETED_NAME)
            : DELETED_NAME;
        const said = { ...rest, content: without(content), ...(subject !== undefined && { subject: without(subject) }) };
        return { id, data: sealJson(keyring, id, said) };
      });
      await rewriteNotices(db, rewritten);
      await goOn(userId);
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
      while (await eraseSlice(db, id, userId, AT_ONCE)) await goOn(userId);
      if (isGroup) await rewriteTitle(db, id, userId, keyring.contents.seal(titleContext(id), Buffer.from(DELETED_NAME)));
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
