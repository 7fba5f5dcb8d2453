import type { Static, TObject, TProperties, TSchema, TSchemaOptions } from "typebox";
import { Type } from "typebox";
import { type ProblemCode, PROBLEMS, type ProblemStatus } from "./problems.ts";

export type Method = "GET" | "POST" | "PUT" | "PATCH" | "DELETE";

/**
 * Who may call a route: anybody; whoever is signed in (by `Authorization: Bearer`); likewise, or by a ticket
 * in the query; an administrator who has lately given their password, or an API token of one.
 */
export type Auth = "public" | "session" | "ticket" | "admin";

/** What an API token may be used for. */
export const SCOPES = ["messages:read", "messages:send", "endpoints", "notify", "admin:read", "admin:write"] as const;
export type Scope = (typeof SCOPES)[number];

/** Groups of routes whose requests are counted together, each with a limit of its own. */
export const LIMITED = ["send", "read", "edit", "other"] as const;
export type Limited = (typeof LIMITED)[number];

export const TAGS = {
  account: "Accounts: making, finding and deleting them.",
  sessions: "Signing in and out.",
  identities: "Signing in through an OpenID Connect provider.",
  tokens: "API tokens, bots and incoming webhooks: for programs.",
  people: "Blocking people.",
  messages: "Sending and reading messages.",
  conversations: "Who writes with whom, and what was written.",
  groups: "Conversations of many: who takes part, and who may do what.",
  endpoints: "Where events are pushed to: your endpoints, their settings, attempts and dead letters.",
  events: "What happens, for clients that read it themselves.",
  notifications: "E-mail, SMS and WhatsApp to outside addresses, with a log.",
  contacts: "Where you are told of messages that you have not read: e-mail, phone, browsers.",
  admin: "For administrators: accounts, endpoints, reports. The password is asked for again.",
  operation: "For whoever runs it.",
  "door: messages": "Compatible with another system, for its clients. New clients use `/api`.",
  "door: sendMessage":
    "Compatible with another system, for its clients: sending e-mail, SMS and WhatsApp. New clients use `/api`.",
  "door: auth": "Compatible with another system, for its clients: signing up and in. New clients use `/api`.",
} as const;

/** Bytes of a body that has no text of a message in it. */
export const SMALL_BYTES = 4 * 1024;

/** The successful answer of a route. */
export interface Answer {
  status: 200 | 201 | 202 | 204;
  description: string;
  /** Undefined where the answer has no JSON form. */
  body?: TSchema;
  /** The media type of an answer that does not end; it is written by the handler. */
  stream?: string;
  /** What a route of the wire contract answers by default; JSON is answered to those who prefer it. */
  text?: string;
  /** By their names in lower case. */
  headers?: Readonly<Record<string, { description: string; schema: TSchema }>>;
}

/** An operation of the HTTP API: all that callers must know of it. Its name in `ROUTES` is its operation id. */
export interface Route {
  method: Method;
  /** Without a slash at its end (which a request may have), and with parameters as in `/api/messages/{id}`. */
  path: `/${string}`;
  auth: Auth;
  /** Of an API token: which one is needed. Where none is named, API tokens are refused. */
  scope?: Scope;
  tag: keyof typeof TAGS;
  summary: string;
  description: string;
  /** Of the wire contract: unknown fields are ignored, and problems are text unless JSON is preferred. */
  isContract?: true;
  /**
   * Of the contract of another system: unknown fields are ignored, and a problem is `{"detail": …}`, with
   * what is said here of its status and its text.
   */
  door?: Readonly<Partial<Record<ProblemCode, { status: ProblemStatus; detail?: string }>>>;
  /**
   * What another service calls, whose signature over the whole body is the authorization: `form` where the body is
   * one (`application/x-www-form-urlencoded`). The handler gets the bytes, too.
   */
  signed?: "json" | "form";
  /** Whatever form is posted is taken, and not looked at: the path says all. */
  takesAnyForm?: true;
  /** Its answer holds tokens or secrets. */
  isSecret?: true;
  params?: TObject;
  query?: TObject;
  headers?: TObject;
  body?: TSchema;
  /** Bytes that its body has at most; as much as the largest message needs if not given. */
  bodyLimit?: number;
  answer: Answer;
  /** By what limit its requests are counted; where none is named, as `read` if it only reads, or else as `other`. */
  limit?: Limited | "none";
  /** Beside those of every route, and those that follow from what it takes. */
  problems: readonly ProblemCode[];
}

/** By what limit the requests of a route are counted; undefined for those that are not. */
export function limitOf({ limit, method }: Pick<Route, "limit" | "method">): Limited | undefined {
  if (limit === "none") return undefined;
  return limit ?? (method === "GET" ? "read" : "other");
}

/** The status by which a route answers a problem. */
export function statusOf(route: Pick<Route, "door">, code: ProblemCode): ProblemStatus {
  return route.door?.[code]?.status ?? PROBLEMS[code].status;
}

/** A named shape, with an example for whoever reads the description. */
export function shape<Properties extends TProperties>(
  title: string,
  properties: Properties,
  example: Static<TObject<Properties>>,
  options: TSchemaOptions = {},
): TObject<Properties> {
  return Type.Object(properties, { title, examples: [example], ...options });
}

const OF_EVERY_ROUTE: readonly ProblemCode[] = [
  "bad_request",
  "validation_error",
  "malformed_body",
  "misdirected",
  "rate_limited",
  "internal",
  "away",
  "overloaded",
  "store_unavailable",
];

/** All problems that a route can answer, in the order of the table. */
export function problemsOf(route: Route): readonly ProblemCode[] {
  const codes = new Set<ProblemCode>([...OF_EVERY_ROUTE, ...route.problems]);
  // Even where no body is asked for, one that is sent is looked at.
  codes.add("too_large").add("unsupported_media_type");
  if (route.auth !== "public") codes.add("unauthorized").add("missing_scope");
  if (route.method === "POST" || route.method === "PATCH") codes.add("unanswered"); // what a proxy does not repeat
  return (Object.keys(PROBLEMS) as ProblemCode[]).filter((code) => codes.has(code));
}
