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
const MAX_CONNECTIONS = 5;
/** A connection is made anew after so many messages. */
const PER_CONNECTION = 100;

/** RFC 3463: the address itself is at fault. */
const ADDRESS_GONE = /\b5\.1\.(?:1|2|3|6|10)\b/u;
/** Too many connections, or too much at once: the relay's state (RFC 5321, 4.2.1; RFC 3463, X.4.5, X.7). */
const THROTTLED = /\b4\.(?:3\.2|4\.5|7\.\d+)\b/u;

interface EmailTarget extends Target {
  recipient: string | undefined;
  timeoutMs: number;
}

/** What a relay's answer means: SMTP's 4xx are for now, and 5xx for good, the reverse of HTTP. */
function resultOf(error: NodemailerError): PushResult {
  const status = error.responseCode;
  const detail = error.response?.replaceAll(/\s+/gu, " ").slice(0, 200);
  if (status === undefined || status === 421 || status === 432) {
    return {
      result: "transient",
      code: error.code ?? "ESMTP",
      isProvidersFault: true,
      ...(status && { status }),
      ...(detail && { detail }),
    };
  }
  const more = { status, ...(detail !== undefined && { detail }) };
  if (status < 500) {
    return { result: "transient", ...more, ...(THROTTLED.test(detail ?? "") && { isProvidersFault: true }) };
  }
  if (error.code === "EAUTH" || status === 530 || status === 535) {
    return { result: "transient", code: "EAUTH", isProvidersFault: true, ...more };
  }
  const isAtRecipient = error.command === "RCPT TO";
  if (ADDRESS_GONE.test(detail ?? "") || (isAtRecipient && (status === 550 || status === 551 || status === 553))) {
    return { result: "gone", ...more };
  }
  return { result: "rejected", isFinal: true, ...more };
}

/** Sends e-mail by a relay, over a few connections that are kept open. */
export function createEmailChannel(options: EmailSettings & { clock: Clock }): Channel {
  const { clock, from } = options;
  const domain = /@([^\s>@]+)>?\s*$/u.exec(from)?.[1] ?? "localhost";
  const pause = createProviderPause(clock);
  const closing = new AbortController();
  const transport = createTransport({
    url: options.smtpUrl,
    pool: true,
    maxConnections: options.maxConnections ?? MAX_CONNECTIONS,
    maxMessages: PER_CONNECTION,
    connectionTimeout: CONNECT_MS,
    greetingTimeout: CONNECT_MS,
    socketTimeout: MAX_TIMEOUT_MS,
    disableFileAccess: true,
    disableUrlAccess: true,
  });

  async function send(push: Push, recipient: string): Promise<PushResult> {
    const { subject, text } = textOf(push);
    const { id, createdAt } = push.event;
    const messageId = `<${id}@${domain}>`;
    try {
      await transport.sendMail({
        from,
        to: { address: recipient, name: "" },
        subject,
        text,
        messageId,
        date: new Date(createdAt),
        headers: { "Auto-Submitted": "auto-generated" },
      });
      return { result: "delivered", status: 250, providerId: messageId };
    } catch (error) {
      return resultOf(error as NodemailerError);
    }
  }

  function within(timeoutMs: number, sending: Promise<PushResult>): Promise<PushResult> {
    return new Promise((resolve) => {
      // It may be sent all the same: the next attempt has the same Message-ID.
      const timer = clock.after(timeoutMs, () => resolve({ result: "transient", code: "ETIMEDOUT", isProvidersFault: true }));
      void unlessAborted(sending, closing.signal).then((result) => {
        timer.cancel();
        resolve(result ?? { result: "transient", code: "ECLOSED", isProvidersFault: true });
      });
    });
  }

  return {
    name: "email",
    maxTimeoutMs: MAX_TIMEOUT_MS,
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
      return pause.attempt(() => within(timeoutMs, send(push, recipient)));
    },
    close() {
      closing.abort();
      transport.close();
      return Promise.resolve();
    },
  };
}
