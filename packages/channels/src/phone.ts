import type { Clock } from "@messenger/core";
import type { Channel, PushResult, Target } from "./channel.ts";
import { type PostAnswer, wholeSeconds } from "./poster.ts";
import { failureOf } from "./provider-api.ts";
import { createProviderPause } from "./provider-pause.ts";
import { readPhoneNumber, recipientOf } from "./recipients.ts";
import { type Template, templateOf, textOf } from "./text.ts";

const TIMEOUT_MS = 15_000;

/** What a provider's own codes say; of the others, the status says it. */
export interface ProviderCodes {
  /** The number gets no such messages. */
  gone: ReadonlySet<number>;
  /** The provider, or the account there, is at fault: it is busy, or does not allow it. */
  providersFault: ReadonlySet<number>;
}

/** What a provider's answer means. Of its words nothing is kept: they may name the number. */
export function phoneResult(answer: PostAnswer, provider: string, code: unknown, codes: ProviderCodes): PushResult {
  const known = typeof code === "number" ? code : undefined;
  const status = answer.status === undefined ? undefined : { status: answer.status };
  const more = { ...status, ...(known !== undefined && { code: `${provider} ${known}` }) };
  const failure = failureOf(answer);
  if (known !== undefined && codes.providersFault.has(known)) {
    return { ...failure, result: "transient", isProvidersFault: true, ...more };
  }
  if (known !== undefined && codes.gone.has(known)) return { result: "gone", ...more };
  if (failure !== undefined) return { ...failure, ...more };
  if (answer.status !== undefined && answer.status < 300) return { result: "delivered", ...status };
  return { result: "rejected", isFinal: true, ...more };
}

/** A text on its way to a number. */
export interface PhoneMessage {
  /** Of the event. */
  id: string;
  /** E.164. */
  number: string;
  text: string;
  /** In the place of the text. */
  template: Template | undefined;
  timeoutMs: number;
}

interface PhoneTarget extends Target {
  number: string | undefined;
  timeoutMs: number;
}

/** Pushes texts to phone numbers, by whatever `send` asks. */
export function createPhoneChannel(options: {
  kind: "sms" | "whatsapp";
  clock: Clock;
  /** Characters of a message. */
  maxLength: number;
  send: (message: PhoneMessage) => Promise<PushResult>;
  ask?: NonNullable<Channel["ask"]>;
}): Channel {
  const { kind, clock, maxLength, send, ask } = options;
  const scheme = `${kind}:`;
  const pause = createProviderPause(clock);
  const numberOf = (address: string): string | undefined => readPhoneNumber(recipientOf(address, scheme) ?? "");

  return {
    name: kind,
    vet: (address) => (numberOf(address) === undefined ? "this is no phone number with its country's code" : undefined),
    laneKey: () => scheme,
    prepare: ({ address, timeoutMs = TIMEOUT_MS }): PhoneTarget => ({
      address,
      number: numberOf(address),
      timeoutMs: wholeSeconds(timeoutMs, TIMEOUT_MS),
    }),
    async push(push) {
      const { number, timeoutMs } = push.target as PhoneTarget;
      if (number === undefined) return { result: "blocked", code: "BLOCKED", detail: "this is no phone number" };
      const { text } = textOf(push);
      if (text.length > maxLength) {
        return { result: "rejected", isFinal: true, code: "ETOOLONG", detail: `a message has at most ${maxLength} characters` };
      }
      return pause.attempt(() => send({ id: push.event.id, number, text, template: templateOf(push), timeoutMs }));
    },
    ...(ask && { ask }),
    close: () => Promise.resolve(), // what it sends by is closed by whoever made it
  };
}
