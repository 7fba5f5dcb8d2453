import { type Static, Type } from "typebox";
import { FullCode, Id, Password, Timestamp } from "./fields.ts";
import { type Route, shape, SMALL_BYTES } from "./route.ts";
import { StartedSession } from "./sessions.ts";

/** The URL of the callback may be long, and a password be written in escapes. */
const FINISH_BYTES = 32 * 1024;

const provider = Type.String({ pattern: "^[a-z][a-z0-9-]{0,30}$", description: "Of those that `listProviders` names." });
const params = Type.Object({ provider });

export const Providers = shape(
  "Providers",
  {
    providers: Type.Array(Type.Object({ provider, title: Type.String({ description: "For people." }), issuer: Type.String() })),
  },
  { providers: [{ provider: "example", title: "Example Inc.", issuer: "https://id.example.org" }] },
);

export const BeginSignIn = shape(
  "BeginSignIn",
  {
    redirect_uri: Type.String({
      minLength: 1,
      maxLength: 500,
      description:
        "Where the provider sends the browser back to: a page of this deployment (`PUBLIC_URL`), or of a program on this machine (`http://127.0.0.1:…`, RFC 8252). Without a query. The provider has to know it, too.",
    }),
  },
  { redirect_uri: "https://messenger.example.org/app/signed-in" },
  { additionalProperties: false },
);

export const BegunSignIn = shape(
  "BegunSignIn",
  {
    authorization_url: Type.String({ description: "Where the browser goes, to sign in there." }),
    flow: Type.String({
      description:
        "Proves that whoever ends the sign-in began it: keep it where it was begun (in `sessionStorage`, say), and nowhere else. For ten minutes.",
    }),
  },
  {
    authorization_url: "https://id.example.org/authorize?client_id=messenger&response_type=code&code_challenge_method=S256",
    flow: "AuZrX0c",
  },
);

const flow = Type.String({ minLength: 1, maxLength: 4_000, description: "Of the answer that began it." });
const callbackUrl = Type.String({
  minLength: 1,
  maxLength: 8_000,
  description: "The whole address that the browser was sent back to, with its query.",
});

export const FinishSignIn = shape(
  "FinishSignIn",
  {
    flow,
    callback_url: callbackUrl,
    device_name: Type.Optional(Type.String({ minLength: 1, maxLength: 100, description: "To tell one's sessions apart." })),
  },
  {
    flow: "AuZrX0c",
    callback_url: "https://messenger.example.org/app/signed-in?code=SplxlOBeZQQYbYS6WxSbIA&state=af0ifjsldkj",
    device_name: "Ada's laptop",
  },
  { additionalProperties: false },
);
export type FinishSignIn = Static<typeof FinishSignIn>;

const IDENTITY_EXAMPLE = {
  identity_id: 5,
  issuer: "https://id.example.org",
  provider: "example",
  created_at: "2026-11-28T09:30:00.412Z",
  last_used_at: "2026-11-28T09:30:00.412Z",
};

export const Identity = shape(
  "Identity",
  {
    identity_id: Id,
    issuer: Type.String(),
    provider: Type.Union([Type.String(), Type.Null()], { description: "Null where it is set up no longer." }),
    created_at: Timestamp,
    last_used_at: Timestamp,
  },
  IDENTITY_EXAMPLE,
);
export type Identity = Static<typeof Identity>;

export const Identities = shape("Identities", { identities: Type.Array(Identity) }, { identities: [IDENTITY_EXAMPLE] });

export const LinkIdentity = shape(
  "LinkIdentity",
  { provider, flow, callback_url: callbackUrl, password: Password, totp_code: Type.Optional(FullCode) },
  {
    provider: "example",
    flow: "AuZrX0c",
    callback_url: "https://messenger.example.org/app/signed-in?code=SplxlOBeZQQYbYS6WxSbIA&state=af0ifjsldkj",
    password: "correct horse battery staple",
  },
  { additionalProperties: false },
);
export type LinkIdentity = Static<typeof LinkIdentity>;

const ofOwn = { auth: "session", tag: "identities" } as const;
const ofProvider = { auth: "public", tag: "identities", params } as const;

/** Signing in through an OpenID Connect provider (OpenID Connect Core 1.0: the code flow, with PKCE of RFC 7636). */
export const IDENTITY_ROUTES = {
  listProviders: {
    auth: "public",
    tag: "identities",
    method: "GET",
    path: "/api/oidc",
    summary: "List the providers that one can sign in through",
    description: "Those that the operator has set up (`OIDC_PROVIDERS`).",
    answer: { status: 200, description: "The providers.", body: Providers },
    problems: [],
  },
  beginSignIn: {
    ...ofProvider,
    method: "POST",
    path: "/api/oidc/{provider}",
    summary: "Begin to sign in through a provider",
    description:
      "The browser goes to the address in the answer, and comes back to `redirect_uri`, with a code in the query. With that and the `flow`, whoever began it ends it, within ten minutes.",
    isSecret: true,
    body: BeginSignIn,
    bodyLimit: SMALL_BYTES,
    answer: { status: 201, description: "Where to sign in.", body: BegunSignIn },
    problems: ["no_such_provider", "provider_away"],
  },
  finishSignIn: {
    ...ofProvider,
    method: "POST",
    path: "/api/oidc/{provider}/sessions",
    summary: "Sign in through a provider",
    description:
      "As the user whom the provider's account is linked to. Where there is none, an account is made: it gets the user name that the provider tells, if nobody has it, and has no password. An account of the same e-mail address is somebody else's until they link it. The authenticator of the account is not asked for: that is the provider's.",
    isSecret: true,
    body: FinishSignIn,
    bodyLimit: FINISH_BYTES,
    answer: { status: 201, description: "The session.", body: StartedSession },
    problems: [
      "no_such_provider",
      "not_vouched_for",
      "provider_away",
      "registration_closed",
      "suspended",
      "too_many_sign_ups",
      "unauthorized",
    ],
  },
  listIdentities: {
    ...ofOwn,
    method: "GET",
    path: "/api/users/me/identities",
    summary: "List the accounts elsewhere that one signs in by",
    description: "The oldest first: at most ten.",
    answer: { status: 200, description: "One's identities.", body: Identities },
    problems: [],
  },
  linkIdentity: {
    ...ofOwn,
    method: "POST",
    path: "/api/users/me/identities",
    summary: "Sign in by an account elsewhere, too",
    description: "Begun as a sign-in is. One's password is asked for, as whoever has that account signs in from then on.",
    body: LinkIdentity,
    bodyLimit: FINISH_BYTES,
    answer: { status: 201, description: "It is linked.", body: Identity },
    problems: [
      "full",
      "no_such_provider",
      "not_vouched_for",
      "provider_away",
      "taken",
      "too_many_attempts",
      "wrong_code",
      "wrong_password",
    ],
  },
  deleteIdentity: {
    ...ofOwn,
    method: "DELETE",
    path: "/api/users/me/identities/{id}",
    summary: "Sign in by an account elsewhere no longer",
    description: "Sessions go on. The last one stays where the account has no password: set one before.",
    params: Type.Object({ id: Id }),
    answer: { status: 204, description: "It is not linked any more." },
    problems: ["no_such_identity", "last_identity"],
  },
} as const satisfies Record<string, Route>;
