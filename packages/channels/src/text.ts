import type { Push } from "./channel.ts";

/** What a person reads. */
export interface Text {
  subject: string;
  text: string;
  /** Of an e-mail, beside the text; undefined for none. */
  html: string | undefined;
  /** Where to end such e-mails (RFC 8058); undefined where they cannot be. */
  unsubscribe: string | undefined;
}

/** A text that a provider has approved, by its name there, and what stands in its blanks. */
export interface Template {
  name: string;
  /** `de`, `en_US`. */
  language: string;
  variables: readonly string[];
}

/** The template of a notification; undefined where it says its own words. */
export function templateOf({ data }: Pick<Push, "data">): Template | undefined {
  const template = data?.["template"];
  return typeof template === "object" && template !== null ? (template as Template) : undefined;
}

const SUBJECT = "A notification";

const asText = (value: unknown): string | undefined => (typeof value === "string" ? value : undefined);

/** What a push says to a person: a notification's own words, or that the address is being tested. */
export function textOf({ event, data }: Pick<Push, "event" | "data">): Text {
  const none = { html: undefined, unsubscribe: undefined };
  if (event.kind === "endpoint.test") return { subject: "A test", text: "This is a test. Nothing is to be done.", ...none };
  return {
    subject: asText(data?.["subject"]) ?? SUBJECT,
    text: asText(data?.["content"]) ?? "",
    html: asText(data?.["html"]),
    unsubscribe: asText(data?.["unsubscribe"]),
  };
}

const graphemes = new Intl.Segmenter();

/** The beginning of a text, without half a character at its end: of so many UTF-16 units. */
export function shorten(text: string, most: number): string {
  if (text.length <= most) return text;
  let short = "";
  for (const { segment } of graphemes.segment(text.slice(0, most))) {
    if (short.length + segment.length > most - 1) break;
    short += segment;
  }
  return `${short}…`;
}

const MOST_NAME = 60;
const SOMEBODY = "Somebody";

/** How a notice names somebody: a name, which is whatever they call themselves, in one line; "Somebody" where there is none. */
export function nameInNotice(name: string | null): string {
  return shorten((name ?? "").replaceAll(/\s+/gu, " ").trim(), MOST_NAME) || SOMEBODY;
}
