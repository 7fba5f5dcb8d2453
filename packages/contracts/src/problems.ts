import { type Static, Type } from "typebox";

/** Problem details (RFC 9457). */
export const Problem = Type.Object(
  {
    type: Type.String({ description: "Always about:blank: `code` tells problems apart." }),
    title: Type.String({ description: "What the status means." }),
    status: Type.Integer(),
    detail: Type.Optional(Type.String({ description: "What went wrong, for a person." })),
    code: Type.String({ description: "What went wrong, for a program: stable." }),
    request_id: Type.String({ description: "Names the request in the server's log." }),
    errors: Type.Optional(
      Type.Array(
        Type.Object({
          in: Type.String({ description: "What is wrong: `body`, `querystring`, `params` or `headers`." }),
          pointer: Type.String({ description: "Where in it: a JSON Pointer (RFC 6901)." }),
          detail: Type.String(),
        }),
        { description: "Of `validation_error`: the first faults that were found." },
      ),
    ),
  },
  {
    title: "Problem",
    examples: [
      {
        type: "about:blank",
        title: "Bad Request",
        status: 400,
        detail: "body: message must not have fewer than 1 characters",
        code: "validation_error",
        request_id: "b7d0c1f2a9e34c55",
        errors: [{ in: "body", pointer: "/message", detail: "must not have fewer than 1 characters" }],
      },
    ],
  },
);
export type Problem = Static<typeof Problem>;

/** What is answered instead of a result. */
export interface ProblemKind {
  status: number;
  /** What it means, for whoever reads the description of the API. */
  about: string;
  /** What a route of the wire contract answers as text; where there is none, the detail. */
  text?: string;
}

/** What the wire contract answers to every field that is missing or malformed. */
const VALIDATION_TEXT = "Validation error.";

/** All problems, by the code that programs can rely on. */
export const PROBLEMS = {
  bad_request: { status: 400, about: "The request is malformed.", text: VALIDATION_TEXT },
  client_closed: { status: 400, about: "The request was cut short: nobody reads this answer." },
  malformed_body: {
    status: 400,
    about: "The body is not UTF-8, not JSON, or holds what cannot be stored.",
    text: VALIDATION_TEXT,
  },
  unknown_receiver: { status: 400, about: "There is no such receiver.", text: "Unknown receiver." },
  no_such_channel: { status: 400, about: "Nobody is set up to deliver this." },
  unusable_address: { status: 400, about: "Nothing can be pushed to this address." },
  validation_error: {
    status: 400,
    about: "Something is missing, malformed or out of bounds; nothing was changed.",
    text: VALIDATION_TEXT,
  },
  wrong_code: { status: 400, about: "The code is wrong, has been tried too often, or is too old." },
  code_needed: {
    status: 401,
    about: "The password is right, and a code of the authenticator is needed, too; or that code is wrong, or was used before.",
    text: "A code of your authenticator is needed, too.",
  },
  forged: { status: 401, about: "The signature is not that of the provider, or none is expected." },
  not_the_sender: { status: 401, about: "The sender is not the user who is signed in." },
  unauthorized: { status: 401, about: "There is no valid token, or its session has ended." },
  not_vouched_for: { status: 401, about: "The provider did not say, or not in a way that can be believed, who signs in." },
  wrong_password: { status: 403, about: "The password is wrong." },
  wrong_credentials: {
    status: 401,
    about: "There is no such user, or the password is wrong.",
    text: "Incorrect username or password.",
  },
  confirm_password: {
    status: 403,
    about: "This is for administrators who have given their password within 15 minutes: `confirmPassword`, or sign in anew.",
  },
  banned: { status: 403, about: "This user is banned from the group." },
  registration_closed: {
    status: 403,
    about: "Nobody makes an account here, or not with such an e-mail address.",
    text: "Registration is closed.",
  },
  forbidden: { status: 403, about: "Whoever is signed in may not do this." },
  missing_scope: { status: 403, about: "The API token is not for this." },
  suspended: { status: 403, about: "The account is suspended.", text: "This account is suspended." },
  no_such_contact: { status: 404, about: "There is no such contact, or it is not yours." },
  no_such_conversation: { status: 404, about: "There is no such conversation, or you do not take part in it." },
  no_such_identity: { status: 404, about: "There is no such identity, or it is not yours." },
  no_such_provider: { status: 404, about: "No such provider is set up." },
  no_such_invite: { status: 404, about: "There is no such invite, or it has ended." },
  no_such_dead_letter: { status: 404, about: "The endpoint has no such dead letter." },
  no_such_endpoint: { status: 404, about: "There is no such endpoint, or it is not yours." },
  no_such_event: {
    status: 404,
    about: "There is no event of this seq: read the lists anew, and go on from the seq that they name.",
  },
  no_such_message: { status: 404, about: "There is no such message, or it is not yours to read." },
  no_such_invitation: { status: 404, about: "There is no such invitation." },
  no_such_report: { status: 404, about: "There is no such report." },
  no_such_route: { status: 404, about: "There is nothing at this address." },
  no_such_notification: { status: 404, about: "There is no such notification, or it is not yours." },
  no_such_session: { status: 404, about: "There is no such session, or it is not yours, or it has ended." },
  no_such_token: { status: 404, about: "There is no such API token, or it is not yours, or it has ended." },
  no_such_user: { status: 404, about: "There is no such user.", text: "User not found." },
  taken: { status: 409, about: "Somebody else has this already." },
  full: { status: 409, about: "There are as many already as there may be." },
  not_verified: { status: 409, about: "The address of the endpoint, or of the contact, is not verified." },
  suppressed: { status: 409, about: "The address takes nothing: its provider said so within the last seven days." },
  last_identity: { status: 409, about: "It is the only way to sign in to the account: set a password first." },
  last_owner: { status: 409, about: "A group keeps an owner: make somebody else one first." },
  too_many_reactions: { status: 409, about: "The message has as many kinds of reactions as it may." },
  too_many_versions: { status: 409, about: "The message was edited as often as it may be." },
  too_large: { status: 413, about: "The body, or the message in it, is too large." },
  uri_too_long: { status: 414, about: "A part of the path is too long." },
  unsupported_media_type: { status: 415, about: "The body is not JSON, or does not say so." },
  misdirected: { status: 421, about: "This instance does not answer to this name." },
  idempotency_key_reused: { status: 422, about: "The Idempotency-Key was used for something else." },
  probed_lately: { status: 429, about: "The endpoint was tested, or sent a challenge, seconds ago." },
  rate_limited: {
    status: 429,
    about: "Too many requests of this user, or from this address: `Retry-After` says when the next one is taken.",
  },
  too_many_attempts: { status: 429, about: "Too many wrong passwords lately." },
  too_many_codes: { status: 429, about: "Too many codes were sent lately: to this address, or for this user." },
  too_many_streams: { status: 429, about: "Too many streams of this user, or at this listener, are open." },
  too_many_sign_ups: { status: 429, about: "Too many accounts were made from this network lately." },
  internal: { status: 500, about: "Something failed; it was logged under this request's id." },
  unanswered: {
    status: 502,
    about:
      "No listener answered, and it may have been done: look before you send it again; a message can be sent again under its Idempotency-Key.",
  },
  away: { status: 503, about: "No listener can be reached; nothing was done." },
  no_probe: { status: 503, about: "No sender made the test in time; it may have been made." },
  not_ready: { status: 503, about: "Messages cannot be accepted now." },
  provider_away: { status: 503, about: "The provider that one signs in through does not answer." },
  overloaded: { status: 503, about: "Too much is waiting; nothing was done." },
  store_unavailable: {
    status: 503,
    about: "What is needed is away, and it may have been done: send a message again under the same Idempotency-Key.",
  },
} as const satisfies Record<string, ProblemKind>;

export type ProblemCode = keyof typeof PROBLEMS;

export type ProblemStatus = (typeof PROBLEMS)[ProblemCode]["status"];

/** What the status of each problem means (RFC 9110, 15; RFC 6585). */
export const TITLES: Readonly<Record<ProblemStatus, string>> = {
  400: "Bad Request",
  401: "Unauthorized",
  403: "Forbidden",
  404: "Not Found",
  409: "Conflict",
  413: "Content Too Large",
  414: "URI Too Long",
  415: "Unsupported Media Type",
  421: "Misdirected Request",
  422: "Unprocessable Content",
  429: "Too Many Requests",
  500: "Internal Server Error",
  502: "Bad Gateway",
  503: "Service Unavailable",
};
