import { createHash } from "node:crypto";
import type { SendMessage } from "@messenger/contracts";
import { type MessageContent, parseSendDate } from "@messenger/core";
import {
  type AppendedEvents,
  type AppendResult,
  type ChangeResult,
  deleteMessage,
  editMessage,
  findMessage,
  listVersions,
  MAX_VERSIONS,
} from "@messenger/store";
import type { OutgoingMessage } from "../append-queue.ts";
import type { Context } from "../context.ts";
import { publishEvents } from "../publisher.ts";
import { Refused } from "../refused.ts";
import type { Identity } from "../tokens.ts";
import { contentOf } from "./contents.ts";
import { loginKeys } from "./login-keys.ts";

const IDEMPOTENCY_KEY = /^[\x21-\x7e]{1,255}$/u;

/** A message to be sent. */
interface Sending {
  given: SendMessage;
  idempotencyKey: string | undefined;
  /** The `traceparent` of what it is part of, if of anything. */
  trace: string | undefined;
}

interface Accepted {
  id: string;
  seq: number;
  conversation: number;
  createdAt: string;
}

interface ReadMessage {
  id: string;
  conversation: number;
  version: number;
  createdAt: string;
  content: MessageContent;
}

interface Version {
  version: number;
  message: string;
  writtenAt: string;
}

export interface Messages {
  /**
   * Sends a message: it is durable when this resolves. A repeat under the same key gets the first answer.
   * @throws {Refused} not_the_sender, too_large, validation_error, unknown_receiver, idempotency_key_reused
   */
  send(by: Identity, sending: Sending): Promise<Accepted>;
  /** @throws {Refused} no_such_message */
  read(by: Identity, id: string): Promise<ReadMessage>;
  /** Gives a message of one's own another text. @throws {Refused} no_such_message, forbidden, too_large, too_many_versions */
  edit(by: Identity, id: string, text: string): Promise<ReadMessage>;
  /** @throws {Refused} no_such_message, forbidden */
  delete(by: Identity, id: string): Promise<void>;
  /** The first one first. @throws {Refused} no_such_message */
  versions(by: Identity, id: string): Promise<readonly Version[]>;
}

/** Names are compared as they are when one signs in. */
function isNameOf(identity: Identity, name: string): boolean {
  if (name === identity.name) return true;
  const claimed = loginKeys(name);
  const own = loginKeys(identity.name);
  return own.usernameKey === null ? claimed.emailKey === own.emailKey : claimed.usernameKey === own.usernameKey;
}

/** SHA-256 of the sender and the key, so that one sender's keys are nobody else's. */
function requestKeyOf(key: string | undefined, senderId: number): Uint8Array | null {
  if (key === undefined) return null;
  if (!IDEMPOTENCY_KEY.test(key)) {
    throw new Refused("validation_error", "Idempotency-Key must be 1 to 255 visible ASCII characters");
  }
  return createHash("sha256").update(`${senderId}\n${key}`).digest();
}

/** Sending and reading messages. */
export function createMessages(context: Context): Messages {
  const { settings, keyring } = context;

  const noSuchMessage = (): Refused => new Refused("no_such_message", "there is no such message");

  function checkSize(message: string): void {
    if (Buffer.byteLength(message) > settings.maxMessageBytes) {
      throw new Refused("too_large", `a message has at most ${settings.maxMessageBytes} bytes of UTF-8`);
    }
  }

  async function read(by: Identity, id: string): Promise<ReadMessage> {
    const stored = await findMessage(context.db, id, by.userId);
    if (stored?.content == null) throw noSuchMessage();
    const { conversation, version, createdAt } = stored;
    return { id: stored.id, conversation, version, createdAt, content: contentOf(keyring, stored.id, stored.content) };
  }

  /** What became of a change. @throws {Refused} no_such_message, forbidden */
  function changed<Changed>(result: ChangeResult<Changed>): Changed & AppendedEvents {
    if (result.status === "changed") return result.change;
    if (result.status === "no-message") throw noSuchMessage();
    throw new Refused("forbidden", "somebody else sent this message");
  }

  /** Checks what the shape cannot say, and seals the content. */
  function prepare(by: Identity, { given, idempotencyKey, trace }: Sending): OutgoingMessage {
    const { message, sender_id, sender_username, receiver_id, send_date } = given;
    if (sender_id !== by.userId || !isNameOf(by, sender_username)) {
      const detail = `the sender is not the user who is signed in: user ${by.userId}, ${by.name}`;
      throw new Refused("not_the_sender", detail);
    }
    checkSize(message);
    const sentAt = parseSendDate(send_date);
    if (sentAt === undefined) {
      throw new Refused("validation_error", "send_date must be ISO 8601 or YYYY-MM-DD HH:MM:SS, and exist");
    }
    const id = context.ids.next();
    const content: MessageContent = { message, sender_id, sender_username: by.name, receiver_id, send_date };
    const plain = Buffer.from(JSON.stringify(content));
    return {
      id,
      sentEventId: context.ids.next(),
      senderId: sender_id,
      receiverId: receiver_id,
      sessionId: by.sessionId,
      content: keyring.contents.seal(id, plain),
      plain,
      trace,
      sentAt,
      requestKey: requestKeyOf(idempotencyKey, sender_id),
    };
  }

  /** Whether a repeat has the body of the first; once that is erased, it is taken for one. */
  function isSameBody(result: AppendResult & { status: "repeat" }, message: OutgoingMessage): boolean {
    if (result.content === null) return true;
    return keyring.contents.unseal(result.message.id, result.content).equals(message.plain);
  }

  return {
    async send(by, sending) {
      const message = prepare(by, sending);
      const result = await context.appends.append(message);
      if (result.status === "no-receiver") throw new Refused("unknown_receiver", "Unknown receiver.");
      if (result.status === "repeat" && !isSameBody(result, message)) {
        throw new Refused("idempotency_key_reused", "this Idempotency-Key was used for another message");
      }
      context.metrics.onAccepted(result.status === "repeat" ? "repeat" : "accepted");
      return result.message;
    },
    read,
    async edit(by, id, text) {
      checkSize(text);
      const before = await read(by, id);
      const content: MessageContent = { ...before.content, message: text };
      const plain = Buffer.from(JSON.stringify(content));
      const change = { messageId: before.id, senderId: by.userId, eventId: context.ids.next() };
      const sealed = keyring.contents.seal(before.id, plain);
      const isSame = (stored: Uint8Array): boolean => contentOf(keyring, before.id, stored).message === text;
      const result = changed(await editMessage(context.db, { ...change, content: sealed, isSame }));
      const { version, isDeleted, events, outboxId } = result;
      if (isDeleted) throw noSuchMessage();
      if (version === null) throw new Refused("too_many_versions", `a message has at most ${MAX_VERSIONS} versions`);
      publishEvents(context.publisher, { events, outboxId }, plain);
      return { ...before, version, content };
    },
    async delete(by, id) {
      const change = { messageId: id, senderId: by.userId, eventId: context.ids.next() };
      const deleted = changed(await deleteMessage(context.db, change));
      publishEvents(context.publisher, deleted, new Uint8Array());
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
  };
}
