import { createPoster, type AddressGuard } from "@messenger/channels";
import type { Clock } from "@messenger/core";
import type { Setting } from "@messenger/runtime";
import { LRUCache } from "lru-cache";
import * as oidc from "openid-client";
import { isLocalHost } from "./networks.ts";
import { Refused } from "./refused.ts";

/** A provider of OpenID Connect, as its operator registered this deployment there. */
export interface OidcProvider {
  name: string;
  /** For people. */
  title: string;
  issuer: string;
  clientId: string;
  clientSecret: string;
}

/** What a sign-in needs to be ended by whoever began it. */
export interface SignInFlow {
  provider: string;
  redirectUri: string;
  state: string;
  nonce: string;
  codeVerifier: string;
}

/** What a provider says of who signed in there. */
export interface Claims {
  issuer: string;
  subject: string;
  username: string | undefined;
  fullName: string | undefined;
  /** Only where the provider has verified it. */
  email: string | undefined;
}

export interface OidcProviders {
  readonly list: readonly OidcProvider[];
  /** @throws {Refused} no_such_provider, provider_away */
  begin(name: string, redirectUri: string): Promise<{ url: string; flow: SignInFlow }>;
  /**
   * Takes the code to the provider, and believes what it answers only where all of it fits: issuer, audience, nonce, state,
   * times and signature. @throws {Refused} no_such_provider, not_vouched_for, provider_away
   */
  finish(flow: SignInFlow, callbackUrl: string): Promise<Claims>;
  close(): Promise<void>;
}

/** Of each of the three requests that a sign-in makes at most: a listener answers within ten seconds. */
const REQUEST_MS = 3_000;
const ANSWER_BYTES = 64 * 1024;
/** What a provider says of itself is asked for again after this time. */
const METADATA_MS = 60 * 60_000;
const MAX_PROVIDERS = 20;
const NAME = /^[a-z][a-z\d-]{0,30}$/u;
const MAX_SUBJECT = 255;

/** The provider did not answer, or not with anything of its own. */
class ProviderAway extends Error {
  override readonly name = "ProviderAway";
}

/** @throws {Error} */
function readProvider(given: unknown): OidcProvider {
  const expected =
    'a list such as [{"name": "example", "title": "Example Inc.", "issuer": "https://id.example.org", "client_id": "…", "client_secret": "…"}] is expected';
  const { name, title, issuer, client_id: clientId, client_secret: clientSecret } = given as Record<string, unknown>;
  const texts = { name, title: title ?? name, issuer, clientId, clientSecret };
  if (!Object.values(texts).every((text) => typeof text === "string" && text !== "" && text.length <= 1_000))
    throw new Error(expected);
  const provider = texts as OidcProvider;
  if (!NAME.test(provider.name))
    throw new Error(`${provider.name} is no name such as example: small letters, digits and hyphens`);
  const url = URL.parse(provider.issuer);
  if (url === null || !(url.protocol === "https:" || (url.protocol === "http:" && isLocalHost(url)))) {
    throw new Error(`the issuer of ${provider.name} must be a URL that starts with https://`);
  }
  return provider;
}

export const oidcProvidersSetting: Setting<readonly OidcProvider[]> = {
  name: "OIDC_PROVIDERS",
  secret: true,
  fallback: [],
  parse(text) {
    let given: unknown;
    try {
      given = JSON.parse(text);
    } catch (error) {
      throw new Error("it is not JSON", { cause: error });
    }
    if (!Array.isArray(given) || given.length > MAX_PROVIDERS) throw new Error(`a list of at most ${MAX_PROVIDERS} is expected`);
    const providers = given.map((one: unknown) => readProvider(one ?? {}));
    if (new Set(providers.map(({ name }) => name)).size < providers.length) throw new Error("two have the same name");
    return providers;
  },
};

function isAway(error: unknown): boolean {
  for (let at: unknown = error, depth = 0; at instanceof Error && depth < 5; at = at.cause, depth += 1) {
    if (at instanceof ProviderAway) return true;
  }
  return false;
}

/** What to tell whoever signs in: a provider's own words come from outside, and are bounded. */
function whyNot(error: unknown): string {
  if (error instanceof oidc.AuthorizationResponseError) {
    const { error: code, error_description: description = "" } = error;
    return `the provider refused: ${`${code} ${description}`.trim().slice(0, 200)}`;
  }
  if (error instanceof oidc.ResponseBodyError) return `the provider refused the code: ${error.error.slice(0, 100)}; begin again`;
  return "what the provider answered cannot be believed; begin again";
}

const textOr = (value: unknown, most: number): string | undefined =>
  typeof value === "string" && value.trim() !== "" && value.length <= most ? value.trim() : undefined;

export function createOidcProviders(deps: {
  providers: readonly OidcProvider[];
  guard: AddressGuard;
  clock: Clock;
  /** A provider's answer was not believed. */
  onRefused(provider: string, error: unknown): void;
}): OidcProviders {
  const { providers } = deps;
  const poster = createPoster({ guard: deps.guard, clock: deps.clock });
  const metadata = new LRUCache<string, oidc.ServerMetadata>({ max: MAX_PROVIDERS, ttl: METADATA_MS });

  /** Every request passes the address guard: where tokens and keys are is what the provider says. */
  async function fetchGuarded(url: string, { method, headers, body }: oidc.CustomFetchOptions): Promise<Response> {
    const { origin, pathname, search, username, hostname } = new URL(url);
    const refusal = username === "" ? deps.guard.vetLiteral(hostname) : "it holds a password";
    if (refusal !== undefined) throw new ProviderAway(refusal);
    const answer = await poster.post({
      method: method === "POST" ? "POST" : "GET",
      origin,
      path: pathname + search,
      headers,
      ...(body === undefined || body === null ? undefined : { body: Buffer.from(await new Response(body).bytes()) }),
      timeoutMs: REQUEST_MS,
      keptBytes: ANSWER_BYTES,
    });
    if (answer.status === undefined) throw new ProviderAway(answer.detail ?? answer.code);
    if (answer.status >= 500 || answer.status === 429) throw new ProviderAway(`it answers ${answer.status}`);
    // All that is asked for is JSON; what is none is noticed as it is read.
    return new Response(Buffer.from(answer.body), { status: answer.status, headers: { "content-type": "application/json" } });
  }

  function find(name: string): OidcProvider {
    const found = providers.find((one) => one.name === name);
    if (found === undefined) throw new Refused("no_such_provider", "no such provider is set up");
    return found;
  }

  /**
   * Anew for each sign-in, so that the provider's keys are read as they are now: what it says of itself changes seldom, its
   * keys may at any time.
   */
  async function configure({ name, issuer, clientId, clientSecret }: OidcProvider): Promise<oidc.Configuration> {
    const insecure = new URL(issuer).protocol === "http:" ? [oidc.allowInsecureRequests] : [];
    let known = metadata.get(name);
    if (known === undefined) {
      const found = await oidc.discovery(new URL(issuer), clientId, clientSecret, undefined, {
        [oidc.customFetch]: fetchGuarded,
        execute: insecure,
      });
      known = found.serverMetadata();
      metadata.set(name, known);
    }
    const configuration = new oidc.Configuration(known, clientId, clientSecret);
    configuration[oidc.customFetch] = fetchGuarded;
    for (const allow of insecure) allow(configuration);
    oidc.enableNonRepudiationChecks(configuration); // signatures, too, although the answer came from the provider itself
    return configuration;
  }

  async function reaching<Result>(name: string, run: () => Promise<Result>): Promise<Result> {
    try {
      return await run();
    } catch (error) {
      deps.onRefused(name, error);
      if (isAway(error)) throw new Refused("provider_away", "the provider does not answer; try again");
      throw new Refused("not_vouched_for", whyNot(error));
    }
  }

  return {
    list: providers,
    async begin(name, redirectUri) {
      const provider = find(name);
      const codeVerifier = oidc.randomPKCECodeVerifier();
      const flow = { provider: name, redirectUri, state: oidc.randomState(), nonce: oidc.randomNonce(), codeVerifier };
      const url = await reaching(name, async () =>
        oidc.buildAuthorizationUrl(await configure(provider), {
          redirect_uri: redirectUri,
          scope: "openid profile email",
          state: flow.state,
          nonce: flow.nonce,
          code_challenge: await oidc.calculatePKCECodeChallenge(codeVerifier),
          code_challenge_method: "S256",
        }),
      );
      return { url: url.href, flow };
    },
    async finish({ provider: name, redirectUri, state, nonce, codeVerifier }, callbackUrl) {
      const provider = find(name);
      return reaching(name, async () => {
        const came = new URL(redirectUri);
        came.search = new URL(callbackUrl).search;
        const tokens = await oidc.authorizationCodeGrant(await configure(provider), came, {
          pkceCodeVerifier: codeVerifier,
          expectedState: state,
          expectedNonce: nonce,
          idTokenExpected: true,
        });
        const claims = tokens.claims();
        if (claims === undefined || claims.sub === "" || claims.sub.length > MAX_SUBJECT) throw new Error("it names nobody");
        const email = claims["email_verified"] === true ? textOr(claims["email"], 254) : undefined;
        return {
          issuer: claims.iss,
          subject: claims.sub,
          username: textOr(claims["preferred_username"] ?? claims["nickname"], 64),
          fullName: textOr(claims["name"], 200),
          email,
        };
      });
    },
    close: () => poster.close(),
  };
}
