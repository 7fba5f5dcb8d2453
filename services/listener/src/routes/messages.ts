import { createHash } from "node:crypto";
import { MessageAnswer, SendMessageAnswer, SendMessageBody } from "@messenger/contracts";
import { type MessageContent, parseSendDate } from "@messenger/core";
import { type AppendResult, findMessage } from "@messenger/store";
import type { FastifyRequest } from "fastify";
import { Type } from "typebox";
import type { App } from "../app.ts";
import type { OutgoingMessage } from "../append-queue.ts";
import type { Context } from "../context.ts";
import { HttpProblem, speaksText, VALIDATION_TEXT } from "../http/problem.ts";
import { identityOf } from "../http/session.ts";
import { loginKeys } from "../login-keys.ts";
import type { Identity } from "../tokens.ts";

const IDEMPOTENCY_KEY = /^[\x21-\x7e]{1,255}$/u;
const UUID = "^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$";

/** Names are compared as they are when one signs in. */
function isNameOf(identity: Identity, name: string): boolean {
  if (name === identity.name) return true;
  const claimed = loginKeys(name);
  const own = loginKeys(identity.name);
  return own.usernameKey === null ? claimed.emailKey === own.emailKey : claimed.usernameKey === own.usernameKey;
}

/** SHA-256 of the sender and the key, so that one sender's keys are nobody else's. */
function requestKeyOf(request: FastifyRequest, senderId: number): Uint8Array | null {
  const key = request.headers["idempotency-key"];
  if (key === undefined) return null;
  if (typeof key !== "string" || !IDEMPOTENCY_KEY.test(key)) {
    throw new HttpProblem({
      status: 400,
      code: "validation_error",
      detail: "Idempotency-Key must be 1 to 255 visible ASCII characters",
      text: VALIDATION_TEXT,
    });
  }
  return createHash("sha256").update(`${senderId}\n${key}`).digest();
}

/** Sending and reading messages. */
export function messageRoutes(app: App, context: Context): void {
  const { settings, keyring } = context;

  /** Checks what the schema cannot, and seals the content. @throws {HttpProblem} */
  function prepare(request: FastifyRequest, body: SendMessageBody): OutgoingMessage {
    const identity = identityOf(request);
    const { message, sender_id, sender_username, receiver_id, send_date } = body;
    if (sender_id !== identity.userId || !isNameOf(identity, sender_username)) {
      throw new HttpProblem({
        status: 401,
        code: "not_the_sender",
        detail: `the sender is not the user who is signed in: user ${identity.userId}, ${identity.name}`,
      });
    }
    if (Buffer.byteLength(message) > settings.maxMessageBytes) {
      const detail = `a message has at most ${settings.maxMessageBytes} bytes of UTF-8`;
      throw new HttpProblem({ status: 413, code: "too_large", detail });
    }
    const sentAt = parseSendDate(send_date);
    if (sentAt === undefined) {
      const detail = "send_date must be ISO 8601 or YYYY-MM-DD HH:MM:SS, and exist";
      throw new HttpProblem({ status: 400, code: "validation_error", detail, text: VALIDATION_TEXT });
    }
    const id = context.ids.next();
    const content: MessageContent = { message, sender_id, sender_username: identity.name, receiver_id, send_date };
    const plain = Buffer.from(JSON.stringify(content));
    return {
      id,
      sentEventId: context.ids.next(),
      senderId: sender_id,
      receiverId: receiver_id,
      sessionId: identity.sessionId,
      content: keyring.contents.seal(id, plain),
      plain,
      trace: request.trace,
      sentAt,
      requestKey: requestKeyOf(request, sender_id),
    };
  }

  /** Whether a repeat has the body of the first; once that is erased, it is taken for one. */
  function isSameBody(result: AppendResult & { status: "repeat" }, message: OutgoingMessage): boolean {
    if (result.content === null) return true;
    return keyring.contents.unseal(result.message.id, result.content).equals(message.plain);
  }

  app.post(
    "/api/messages",
    {
      config: { contract: true, session: true, refusals: [422] },
      schema: {
        operationId: "sendMessage",
        summary: "Send a message",
        description:
          "Answered once the message is durable. With an Idempotency-Key header, a repeat gets the first answer. The Location header names the message.",
        tags: ["messages"],
        security: [{ session: [] }],
        headers: Type.Object({
          "idempotency-key": Type.Optional(
            Type.String({ description: "1 to 255 visible ASCII characters, new for each message." }),
          ),
        }),
        body: SendMessageBody,
        response: { 200: Type.Union([Type.String(), SendMessageAnswer]) },
      },
    },
    async (request, reply) => {
      const message = prepare(request, request.body);
      const result = await context.appends.append(message);
      if (result.status === "no-receiver") {
        throw new HttpProblem({ status: 400, code: "unknown_receiver", detail: "Unknown receiver." });
      }
      if (result.status === "repeat" && !isSameBody(result, message)) {
        const detail = "this Idempotency-Key was used for another message";
        throw new HttpProblem({ status: 422, code: "idempotency_key_reused", detail });
      }
      context.metrics.onAccepted(result.status === "repeat" ? "repeat" : "accepted");
      const { id, seq, conversation, createdAt } = result.message;
      request.messageId = id;
      reply.header("location", `/api/messages/${id}/`);
      reply.serializer((payload) => (typeof payload === "string" ? payload : JSON.stringify(payload)));
      if (speaksText(request)) return reply.type("text/plain; charset=utf-8").send("Message processed.");
      const answer = { message_id: id, seq, conversation_id: conversation, status: "accepted" as const, created_at: createdAt };
      return reply.type("application/json; charset=utf-8").send(answer);
    },
  );

  app.get(
    "/api/messages/:id",
    {
      config: { session: true, refusals: [404] },
      schema: {
        operationId: "readMessage",
        summary: "Read a message of one's own conversations",
        tags: ["messages"],
        security: [{ session: [] }],
        params: Type.Object({ id: Type.String({ pattern: UUID }) }),
        response: { 200: MessageAnswer },
      },
    },
    async (request) => {
      const stored = await findMessage(context.db, request.params.id, identityOf(request).userId);
      if (stored?.content == null)
        throw new HttpProblem({ status: 404, code: "no_such_message", detail: "there is no such message" });
      const content = JSON.parse(keyring.contents.unseal(stored.id, stored.content).toString()) as MessageContent;
      return { message_id: stored.id, conversation_id: stored.conversation, ...content, created_at: stored.createdAt };
    },
  );
}
