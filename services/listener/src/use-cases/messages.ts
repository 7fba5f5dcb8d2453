import type { Message, SendMessage, SendToConversation } from "@messenger/contracts";
import { type MessageContent, parseSendDate, storedContent, loginKeys } from "@messenger/core";
import {
  acceptRequest,
  type AppendedEvents,
  type AppendedMessage,
  type ChangeResult,
  deleteMessage,
  editMessage,
  findDirect,
  findMessage,
  findRecipients,
  hasAnswered,
  hasRequests,
  isAppended,
  listDeliveries,
  listOwnMessages,
  listVersions,
  MAX_EMOJI,
  MAX_VERSIONS,
  type MessageRow,
  react,
  type RecipientRow,
  type Recipients,
} from "@messenger/store";
import { LRUCache } from "lru-cache";
import type { OutgoingMessage, SettledResult } from "../append-queue.ts";
import type { Context } from "../context.ts";
import { publishEvents } from "../publisher.ts";
import { noSuchConversation, Refused } from "../refused.ts";
import type { Identity } from "../tokens.ts";
import { isLoopback } from "../networks.ts";
import { createAttemptCounts } from "./attempt-counts.ts";
import { contentOf, sealJson } from "./contents.ts";
import { describeMessage } from "./describe-message.ts";
import { type Page, type PageRequest, placeOfId, readPage } from "./pages.ts";
import { requestKeyOf } from "./request-key.ts";

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/iu;
/** One emoji that is recommended for general interchange (UTS #51). */
const EMOJI = /^\p{RGI_Emoji}$/v;

/** A message to be sent. */
export interface Sending<Given> {
  given: Given;
  /** From where. */
  ip: string;
  idempotencyKey: string | undefined;
  /** The `traceparent` of what it is part of, if of anything. */
  trace: string | undefined;
}

/** From then on, and before then: RFC 3339. */
interface Period {
  since?: string | undefined;
  until?: string | undefined;
}

interface Version {
  version: number;
  message: string;
  writtenAt: string;
}

export interface Messages {
  /**
   * Sends a message to a user: it is durable when this resolves. A repeat under the same key gets the first
   * answer.
   * @throws {Refused} not_the_sender, too_large, validation_error, unknown_receiver, no_such_message,
   * idempotency_key_reused
   */
  send(by: Identity, sending: Sending<SendMessage>): Promise<AppendedMessage>;
  /**
   * Sends a message to all others of a conversation, likewise.
   * @throws {Refused} no_such_conversation, too_large, validation_error, unknown_receiver, no_such_message,
   * idempotency_key_reused
   */
  sendTo(by: Identity, conversation: number, sending: Sending<SendToConversation>): Promise<Message>;
  /** Those of all one's conversations, the newest first. */
  list(by: Identity, request: PageRequest & Period): Promise<Page<Message>>;
  /** @throws {Refused} no_such_message */
  read(by: Identity, id: string): Promise<Message>;
  /**
   * Gives a message of one's own another text. @throws {Refused} no_such_message, forbidden, too_large,
   * too_many_versions
   */
  edit(by: Identity, id: string, text: string): Promise<Message>;
  /** @throws {Refused} no_such_message, forbidden */
  delete(by: Identity, id: string): Promise<void>;
  /** The first one first. @throws {Refused} no_such_message */
  versions(by: Identity, id: string): Promise<readonly Version[]>;
  /** What became of a message of one's own. @throws {Refused} no_such_message, forbidden */
  deliveries(by: Identity, id: string): Promise<readonly RecipientRow[]>;
  /** Adds or takes away one's reaction. @throws {Refused} no_such_message, validation_error, too_many_reactions */
  react(by: Identity, id: string, emoji: string, isThere: boolean): Promise<void>;
}

/** Names are compared as they are when one signs in. */
function isNameOf(identity: Identity, name: string): boolean {
  if (name === identity.name) return true;
  const claimed = loginKeys(name);
  const own = loginKeys(identity.name);
  return own.usernameKey === null ? claimed.emailKey === own.emailKey : claimed.usernameKey === own.usernameKey;
}

/** For so long a listener does not notice that somebody wants to be asked before strangers' messages arrive. */
const ASKED_MS = 10_000;
const MAX_ASKED = 10_000;

const MINUTE_MS = 60_000;

/** Sending and reading messages. */
export function createMessages(context: Context): Messages {
  const { settings, keyring } = context;
  const sent = createAttemptCounts(context.clock, MINUTE_MS);

  const { standard, countsLoopback } = settings.rateLimits;
  const isCounted = (ip: string): boolean => standard !== undefined && (countsLoopback || !isLoopback(ip));

  /** Nobody sends many messages to somebody who does not answer. @throws {Refused} rate_limited */
  async function countUnanswered({ userId }: Identity, receiver: number): Promise<void> {
    if (standard === undefined || receiver === userId) return;
    const key = `${userId} ${receiver}`;
    if (sent.of(key) >= standard.unanswered && !(await hasAnswered(context.db, userId, receiver))) {
      const detail = `at most ${standard.unanswered} messages in a minute are sent to somebody who has not answered`;
      throw new Refused("rate_limited", detail, sent.secondsLeft(key));
    }
    sent.add(key);
  }
  const asked = new LRUCache<number, boolean>({ max: MAX_ASKED, ttl: ASKED_MS });

  /** Whoever answers a stranger accepts them. */
  async function acceptByAnswer({ userId }: Identity, conversation: number): Promise<void> {
    if (!asked.has(userId)) asked.set(userId, await hasRequests(context.db, userId));
    if (asked.get(userId) === true) context.publisher.wake(await acceptRequest(context.db, userId, conversation));
  }

  const noSuchMessage = (): Refused => new Refused("no_such_message", "there is no such message");

  function checkSize(message: string): void {
    if (Buffer.byteLength(message) > settings.maxMessageBytes) {
      throw new Refused("too_large", `a message has at most ${settings.maxMessageBytes} bytes of UTF-8`);
    }
  }

  /** @throws {Refused} no_such_message */
  async function find(by: Identity, id: string): Promise<MessageRow> {
    const stored = UUID.test(id) ? await findMessage(context.db, id, by.userId) : null;
    if (stored === null) throw noSuchMessage();
    return stored;
  }

  async function read(by: Identity, id: string): Promise<Message> {
    const stored = await find(by, id);
    return describeMessage(keyring, stored);
  }

  /** What became of a change. @throws {Refused} no_such_message, forbidden */
  function changed<Changed>(result: ChangeResult<Changed>): Changed & AppendedEvents {
    if (result.status === "changed") return result.change;
    if (result.status === "no-message") throw noSuchMessage();
    throw new Refused("forbidden", "somebody else sent this message");
  }

  /** @throws {Refused} no_such_message */
  async function checkReply(
    by: Identity,
    { requestKey }: OutgoingMessage,
    replyTo: string | undefined,
    findConversation: () => Promise<number | null>,
  ): Promise<void> {
    if (replyTo === undefined) return;
    // What was sent under this key before gets the first answer, whatever became of the message that it answers.
    if (requestKey !== null && (await isAppended(context.db, requestKey))) return;
    const answered = await findMessage(context.db, replyTo, by.userId);
    if (answered === null || answered.conversation !== (await findConversation())) {
      throw new Refused("no_such_message", "reply_to: there is no such message in this conversation");
    }
  }

  /** Checks what the shapes cannot say, and seals the content. */
  function prepare(by: Identity, to: Recipients, content: MessageContent, sending: Sending<unknown>): OutgoingMessage {
    checkSize(content.message);
    const sentAt = parseSendDate(content.send_date);
    if (sentAt === undefined) {
      throw new Refused("validation_error", "send_date must be ISO 8601 or YYYY-MM-DD HH:MM:SS, and exist");
    }
    const id = context.ids.next();
    const plain = storedContent(content);
    return {
      id,
      sentEventId: context.ids.next(),
      senderId: by.userId,
      to,
      sessionId: by.sessionId,
      content: keyring.contents.seal(id, plain),
      plain,
      trace: sending.trace,
      sentAt,
      requestKey: requestKeyOf(sending.idempotencyKey, by.userId),
    };
  }

  /**
   * @throws {Refused} idempotency_key_reused, where `isSame` says so of what was sent first; once that is
   * erased, it is taken for the same.
   */
  function accept(result: Exclude<SettledResult, { status: "no-receiver" }>, isSame: (first: MessageContent) => boolean): void {
    const { status, message } = result;
    if (status === "repeat" && result.content !== null && !isSame(contentOf(keyring, message.id, result.content))) {
      throw new Refused("idempotency_key_reused", "this Idempotency-Key was used for another message");
    }
    context.metrics.onAccepted(status === "repeat" ? "repeat" : "accepted");
  }

  return {
    async send(by, sending) {
      const { message, sender_id, sender_username, receiver_id, send_date, reply_to } = sending.given;
      if (sender_id !== by.userId || !isNameOf(by, sender_username)) {
        const detail = `the sender is not the user who is signed in: user ${by.userId}, ${by.name}`;
        throw new Refused("not_the_sender", detail);
      }
      const said = { message, sender_id, sender_username: by.name, receiver_id, send_date };
      const content = { ...said, ...replyOf(reply_to) };
      const outgoing = prepare(by, { user: receiver_id }, content, sending);
      await checkReply(by, outgoing, reply_to, () => findDirect(context.db, by.userId, receiver_id));
      if (isCounted(sending.ip)) await countUnanswered(by, receiver_id);
      const result = await context.appends.append(outgoing);
      if (result.status === "no-receiver") throw new Refused("unknown_receiver", "Unknown receiver.");
      accept(result, (first) => storedContent(first).equals(outgoing.plain));
      if (asked.get(by.userId) !== false) await acceptByAnswer(by, result.message.conversation);
      return result.message;
    },
    async sendTo(by, conversation, sending) {
      const { message, send_date = new Date(context.clock.now()).toISOString(), reply_to } = sending.given;
      const found = await findRecipients(context.db, by.userId, conversation);
      if (found === null) throw noSuchConversation();
      const { to, isRequest } = found;
      const content: MessageContent = {
        message,
        sender_id: by.userId,
        sender_username: by.name,
        ...("user" in to ? { receiver_id: to.user } : undefined),
        send_date,
        ...replyOf(reply_to),
      };
      const outgoing = prepare(by, to, content, sending);
      await checkReply(by, outgoing, reply_to, () => Promise.resolve(conversation));
      if ("user" in to && isCounted(sending.ip)) await countUnanswered(by, to.user);
      if (isRequest) context.publisher.wake(await acceptRequest(context.db, by.userId, conversation));
      const queue = "user" in to ? context.appends : context.groupAppends;
      const result = await queue.append(outgoing);
      if (result.status === "no-receiver") {
        if ("user" in to)
          throw new Refused(
            "unknown_receiver",
            "the other one takes no messages: the account was deleted, or does not want them",
          );
        throw noSuchConversation();
      }
      const { given } = sending;
      accept(
        result,
        (first) =>
          result.message.conversation === conversation &&
          first.message === given.message &&
          first.reply_to === content.reply_to &&
          (given.send_date === undefined || first.send_date === given.send_date),
      );
      // A repeat gets the first answer, whatever became of the message since.
      const { id, createdAt } = result.message;
      const first = result.status === "repeat" && result.content !== null ? contentOf(keyring, id, result.content) : content;
      return { message_id: id, conversation_id: conversation, ...first, version: 1, created_at: createdAt, reactions: [] };
    },
    list: (by, { since, until, ...request }) =>
      readPage(request, placeOfId, async (after, limit) => {
        const period = { since: microsOf(since), until: microsOf(until) };
        const { head, messages } = await listOwnMessages(context.db, by.userId, { after, limit, ...period });
        return { seq: head, rows: messages.map((row) => ({ at: row.at, id: row.id, item: describeMessage(keyring, row) })) };
      }),
    read,
    async edit(by, id, text) {
      checkSize(text);
      const stored = await find(by, id);
      const content: MessageContent = { ...contentOf(keyring, stored.id, stored.content), message: text };
      const plain = storedContent(content);
      const change = { messageId: stored.id, userId: by.userId, eventId: context.ids.next() };
      const sealed = keyring.contents.seal(stored.id, plain);
      const isSame = (before: Uint8Array): boolean => contentOf(keyring, stored.id, before).message === text;
      const result = changed(await editMessage(context.db, { ...change, content: sealed, isSame }));
      const { version, isDeleted, events, outboxId } = result;
      if (isDeleted) throw noSuchMessage();
      if (version === null) throw new Refused("too_many_versions", `a message has at most ${MAX_VERSIONS} versions`);
      publishEvents(context.publisher, { events, outboxId }, plain);
      return describeMessage(keyring, { ...stored, version, content: sealed });
    },
    async delete(by, id) {
      if (!UUID.test(id)) throw noSuchMessage();
      const change = { messageId: id, userId: by.userId, eventId: context.ids.next() };
      const deleted = changed(await deleteMessage(context.db, change));
      publishEvents(context.publisher, deleted);
    },
    async versions(by, id) {
      const versions = await listVersions(context.db, by.userId, id);
      if (versions === null) throw noSuchMessage();
      return versions.map(({ version, content, at }) => ({
        version,
        message: contentOf(keyring, id.toLowerCase(), content).message,
        writtenAt: at.toISOString(),
      }));
    },
    async deliveries(by, id) {
      const { sender_id, message_id } = await read(by, id);
      if (sender_id !== by.userId) throw new Refused("forbidden", "somebody else sent this message");
      return listDeliveries(context.db, message_id);
    },
    async react(by, id, emoji, isThere) {
      if (!EMOJI.test(emoji)) throw new Refused("validation_error", "params: emoji must be one emoji, such as 👍");
      const eventId = context.ids.next();
      const data = sealJson(keyring, eventId, { user_id: by.userId, emoji });
      const change = { messageId: id, userId: by.userId, eventId, emoji, isThere, data };
      const { refused, events, outboxId } = changed(await react(context.db, change));
      if (refused === "deleted") throw noSuchMessage();
      if (refused === "too-many") {
        throw new Refused("too_many_reactions", `a message has at most ${MAX_EMOJI} kinds of reactions`);
      }
      publishEvents(context.publisher, { events, outboxId });
    },
  };
}

/** Ids are compared as they are stored. */
const replyOf = (id: string | undefined): { reply_to?: string } => (id === undefined ? {} : { reply_to: id.toLowerCase() });

/** Microseconds since the epoch. */
function microsOf(time: string | undefined): number | null {
  if (time === undefined) return null;
  const at = Date.parse(time);
  if (Number.isNaN(at))
    throw new Refused("validation_error", "querystring: since and until must be times as RFC 3339 writes them");
  return at * 1_000;
}
