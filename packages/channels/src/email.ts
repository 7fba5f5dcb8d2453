import { type Clock, unlessAborted } from "@messenger/core";
import { createTransport, type NodemailerError } from "nodemailer";
import type { Channel, Push, PushResult, Target } from "./channel.ts";
import { createProviderPause } from "./provider-pause.ts";
import { readEmailAddress, recipientOf } from "./recipients.ts";
import { textOf } from "./text.ts";

export interface EmailSettings {
  /** `smtp://user:password@host:587` (STARTTLS where it is offered), or `smtps://…:465`. */
  smtpUrl: string;
  /** Who it is from: `Messenger <messenger@example.org>`. */
  from: string;
  /** Connections to the relay. */
  maxConnections?: number;
}

const SCHEME = "mailto:";
const MAX_TIMEOUT_MS = 30_000;
const CONNECT_MS = 5_000;
/** A relay that says nothing for so long is given up, before the push is. */
const SOCKET_MS = 25_000;
/** All connections have been in use for as long as a push may take. */
const BUSY_MS = 30_000;
const MAX_CONNECTIONS = 5;
/** A connection is made anew after so many messages. */
const PER_CONNECTION = 100;

/** RFC 3463: the address itself is at fault. */
export const ADDRESS_GONE = /^5\.(?:1\.(?:1|2|3|6|10)|2\.1)$/u;
/** The relay is at fault: it has no room, or is too busy (X.3.2, X.4.5). */
const RELAY_BUSY = /^4\.(?:3\.2|4\.5)$/u;
/** What a client does before it sends a message. */
const BEFORE_THE_MESSAGE = /^(?:CONN|EHLO|HELO|STARTTLS|AUTH.*|MAIL FROM|RCPT TO|DNS)$/u;
/** From here on, what is refused is this one message, and not whoever sends it. */
const ABOUT_THE_MESSAGE: ReadonlySet<string> = new Set(["RCPT TO", "DATA"]);

interface EmailTarget extends Target {
  recipient: string | undefined;
  timeoutMs: number;
}

/**
 * What a relay's answer means: SMTP's 4xx are for now, and 5xx for good, the reverse of HTTP. Before a recipient
 * is named, all that goes wrong is the relay's, or that of the account there. Of its words nothing is kept but the
 * codes: they may name the address.
 */
export function resultOf(error: NodemailerError): PushResult {
  const status = error.responseCode;
  const enhanced = /^\d{3}[ -](\d\.\d{1,3}\.\d{1,3})\b/u.exec(error.response ?? "")?.[1];
  const code = status === undefined ? (error.code ?? "ESMTP") : `SMTP ${status}${enhanced === undefined ? "" : ` ${enhanced}`}`;
  const more = { code, ...(status !== undefined && { status }) };
  const isUnsent = error.command !== undefined && BEFORE_THE_MESSAGE.test(error.command);
  const isAboutTheMessage = error.command !== undefined && ABOUT_THE_MESSAGE.has(error.command);
  if (status === undefined || !isAboutTheMessage || status === 421 || status === 432) {
    return {
      result: "transient",
      ...more,
      isProvidersFault: true,
      ...(status === undefined && !isUnsent && { mayBeSent: true }),
    };
  }
  if (status < 500) return { result: "transient", ...more, ...(RELAY_BUSY.test(enhanced ?? "") && { isProvidersFault: true }) };
  const isGone =
    enhanced === undefined
      ? error.command === "RCPT TO" && (status === 550 || status === 551 || status === 553)
      : ADDRESS_GONE.test(enhanced);
  if (isGone) return { result: "gone", ...more };
  // Policy (X.7): whoever sends is not allowed to, or not trusted; another address may be.
  return { result: "rejected", isFinal: true, ...more };
}

/** Sends e-mail by a relay, over a few connections that are kept open. */
export function createEmailChannel(options: EmailSettings & { clock: Clock }): Channel {
  const { clock, from } = options;
  const domain = /@([^\s>@]+)>?\s*$/u.exec(from)?.[1] ?? "localhost";
  const pause = createProviderPause(clock);
  const closing = new AbortController();
  const maxConnections = options.maxConnections ?? MAX_CONNECTIONS;
  let sending = 0;
  const waiting = new Set<() => void>();

  /**
   * Waits for a connection: what is handed to the transport is sent, whether or not somebody still waits for it.
   * Resolves with false where none was free in time.
   */
  function takeConnection(withinMs: number): Promise<boolean> {
    if (sending < maxConnections) {
      sending += 1;
      return Promise.resolve(true);
    }
    return new Promise((resolve) => {
      const take = (): void => {
        timer.cancel();
        waiting.delete(take);
        resolve(true);
      };
      const timer = clock.after(withinMs, () => {
        waiting.delete(take);
        resolve(false);
      });
      waiting.add(take);
    });
  }

  function giveConnection(): void {
    const [next] = waiting;
    if (next === undefined) sending -= 1;
    else next();
  }
  const transport = createTransport({
    url: options.smtpUrl,
    pool: true,
    maxConnections,
    maxMessages: PER_CONNECTION,
    maxRequeues: 0, // what fails is tried again by whoever pushes
    connectionTimeout: CONNECT_MS,
    greetingTimeout: CONNECT_MS,
    socketTimeout: SOCKET_MS,
    disableFileAccess: true,
    disableUrlAccess: true,
  });

  async function send(push: Push, recipient: string): Promise<PushResult> {
    const { subject, text, html, unsubscribe } = textOf(push);
    const { id, createdAt } = push.event;
    try {
      await transport.sendMail({
        from,
        to: { address: recipient, name: "" },
        subject,
        text,
        ...(html !== undefined && { html }),
        messageId: `<${id}@${domain}>`,
        date: new Date(createdAt),
        headers: {
          "Auto-Submitted": "auto-generated",
          // RFC 8058: one click in the mail program.
          ...(unsubscribe !== undefined && { "List-Unsubscribe-Post": "List-Unsubscribe=One-Click" }),
        },
        ...(unsubscribe !== undefined && { list: { unsubscribe: { url: unsubscribe, comment: "" } } }),
      });
      return { result: "delivered", status: 250 };
    } catch (error) {
      return resultOf(error as NodemailerError);
    } finally {
      giveConnection();
    }
  }

  function within(timeoutMs: number, sending: Promise<PushResult>): Promise<PushResult> {
    return new Promise((resolve) => {
      // It may be sent all the same: the next attempt has the same Message-ID.
      const timer = clock.after(timeoutMs, () =>
        resolve({ result: "transient", code: "ETIMEDOUT", isProvidersFault: true, mayBeSent: true }),
      );
      void unlessAborted(sending, closing.signal).then((result) => {
        timer.cancel();
        resolve(result ?? { result: "transient", code: "ECLOSED", isProvidersFault: true, mayBeSent: true });
      });
    });
  }

  return {
    name: "email",
    vet(address) {
      const recipient = recipientOf(address, SCHEME);
      const isOne = recipient !== undefined && readEmailAddress(recipient) !== undefined;
      return isOne ? undefined : "this is no e-mail address";
    },
    laneKey: () => SCHEME,
    prepare({ address, timeoutMs = MAX_TIMEOUT_MS }): EmailTarget {
      const recipient = readEmailAddress(recipientOf(address, SCHEME) ?? "");
      return { address, recipient, timeoutMs: Math.min(timeoutMs, MAX_TIMEOUT_MS) };
    },
    async push(push) {
      const { recipient, timeoutMs } = push.target as EmailTarget;
      if (recipient === undefined) return { result: "blocked", code: "BLOCKED", detail: "this is no e-mail address" };
      if (closing.signal.aborted) return { result: "transient", code: "ECLOSED", isProvidersFault: true };
      if (!(await takeConnection(timeoutMs))) {
        return { result: "transient", code: "EBUSY", isProvidersFault: true, isAttempt: false, retryAfterMs: BUSY_MS };
      }
      let isHandedOver = false;
      const result = await pause.attempt(() => {
        isHandedOver = true;
        return within(timeoutMs, send(push, recipient));
      });
      if (!isHandedOver) giveConnection();
      return result;
    },
    close() {
      closing.abort();
      transport.close();
      return Promise.resolve();
    },
  };
}
