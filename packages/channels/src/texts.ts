import { readFileSync } from "node:fs";
import { Eta } from "eta";

/** Languages that there are texts in (RFC 5646). */
export const LANGUAGES = ["en", "de"] as const;
export type Language = (typeof LANGUAGES)[number];

/** What the texts for people say: each is a set of templates in `texts/<language>`. */
export interface TextValues {
  /** Somebody wrote. */
  notice: {
    who: string;
    /** Title of the group; undefined between two. */
    group?: string | undefined;
    /** Messages that have not been read. */
    count: number;
    /** What was written last; undefined where it is not told. */
    text?: string | undefined;
    /** Where to end it. */
    unsubscribe?: string | undefined;
  };
  /** Shows that an address is somebody's. */
  code: { code: string };
  /** Replaces a forgotten password. */
  reset: { code: string };
  /** What became of endpoints, for the operator. */
  operator: {
    counts: readonly { kind: string; count: number }[];
    first: readonly { kind: string; endpoint: number; reason: string | null }[];
  };
}

/** A text in the forms that channels need. */
export interface Composed {
  /** A single line. */
  subject: string;
  text: string;
  html: string;
  /** For phones and browsers. */
  short: string;
}

const FORMS = { subject: "subject.txt", text: "txt", html: "html", short: "short.txt" } as const;
const FOLDER = new URL("../texts/", import.meta.url);
/** In HTML, what people wrote is escaped; elsewhere it is text. */
const html = new Eta({ autoEscape: true, autoTrim: false });
const plain = new Eta({ autoEscape: false, autoTrim: [false, "nl"] });

const compiled = new Map<string, (values: object) => string>();

function templateOf(language: Language, name: keyof TextValues, form: keyof Composed): (values: object) => string {
  const file = `${language}/${name}.${FORMS[form]}`;
  const known = compiled.get(file);
  if (known !== undefined) return known;
  const engine = form === "html" ? html : plain;
  const template = engine.compile(readFileSync(new URL(file, FOLDER), "utf8"));
  const made = (values: object): string => engine.render(template, values).trim();
  compiled.set(file, made);
  return made;
}

/** Writes a text for a person. */
export function compose<Name extends keyof TextValues>(language: Language, name: Name, values: TextValues[Name]): Composed {
  const fill = (form: keyof Composed): string => templateOf(language, name, form)(values);
  return { subject: fill("subject").replaceAll(/\s+/gu, " "), text: fill("text"), html: fill("html"), short: fill("short") };
}
