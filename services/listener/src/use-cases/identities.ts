import { randomBytes } from "node:crypto";
import type { FinishSignIn, LinkIdentity } from "@messenger/contracts";
import { checkUsername, emailKey, keyOr, SealError, signInContext, usernameKey } from "@messenger/core";
import { tokenHash } from "@messenger/runtime";
import {
  createUserOfIdentity,
  deleteIdentity,
  findTaken,
  type IdentityHolder,
  type IdentityRow,
  linkIdentity,
  listIdentities,
  type NewUser,
  rememberNetwork,
  takeSignIn,
  useIdentity,
} from "@messenger/store";
import { Overloaded } from "../append-queue.ts";
import type { Context } from "../context.ts";
import { isLocalHost, neighbourhoodOf, networkOf } from "../networks.ts";
import type { Claims, SignInFlow } from "../oidc.ts";
import { Refused } from "../refused.ts";
import type { Identity } from "../tokens.ts";
import { createUnderwayCounts } from "./attempt-counts.ts";
import { checkMayRegister } from "./registration.ts";
import type { Sessions } from "./sessions.ts";
import type { SignUpLimit } from "./sign-up-limit.ts";
import { type StartedSession, startSession } from "./start-session.ts";

/** Signing in through providers of OpenID Connect. */
export interface Identities {
  /** @throws {Refused} validation_error, no_such_provider, provider_away */
  begin(provider: string, redirectUri: string, ip: string): Promise<{ url: string; flow: string }>;
  /** Signs in; makes an account where the provider's is linked to none. @throws {Refused} not_vouched_for, suspended, … */
  finish(provider: string, given: FinishSignIn, ip: string): Promise<StartedSession & { userId: number }>;
  /** @throws {Refused} wrong_password, not_vouched_for, taken, full, … */
  link(by: Identity, given: LinkIdentity, ip: string): Promise<IdentityRow>;
  list(by: Identity): Promise<readonly IdentityRow[]>;
  /** @throws {Refused} no_such_identity, last_identity */
  delete(by: Identity, id: number): Promise<void>;
  /** The name by which the provider is set up now; null where it is no longer. */
  providerOf(issuer: string): string | null;
}

const FLOW_MS = 10 * 60_000;
/** Sign-ins of one network, and of all, that wait for a provider. */
const MAX_UNDERWAY_OF_NETWORK = 10;
const MAX_UNDERWAY = 100;
/** Names that are tried for a new account. */
const TRIES = 5;

export function createIdentities(
  context: Context,
  deps: { sessions: Pick<Sessions, "checkAll">; signUps: SignUpLimit },
): Identities {
  const { db, oidc, keyring, settings, clock, log } = context;
  const underway = createUnderwayCounts();

  /** Each asks a provider for something, whoever it is that asks. @throws {Overloaded} */
  async function counted<Result>(ip: string, run: () => Promise<Result>): Promise<Result> {
    const network = networkOf(ip);
    if (underway.of(network) >= MAX_UNDERWAY_OF_NETWORK || underway.of("") >= MAX_UNDERWAY) {
      throw new Overloaded("too many sign in at this moment");
    }
    underway.begin(network);
    underway.begin("");
    try {
      return await run();
    } finally {
      underway.end(network);
      underway.end("");
    }
  }

  /** A browser is sent to no other place than this deployment, or a program on the same machine. */
  function checkRedirect(text: string): void {
    const url = URL.parse(text);
    const isOwn = url !== null && settings.publicUrl !== undefined && url.origin === new URL(settings.publicUrl).origin;
    const isLocal = url !== null && url.protocol === "http:" && isLocalHost(url);
    if (url === null || !(isOwn || isLocal) || url.search !== "" || url.hash !== "" || url.username !== "") {
      throw new Refused(
        "validation_error",
        "redirect_uri is a page of this deployment (PUBLIC_URL), or http://127.0.0.1 with a port, and has no query",
      );
    }
  }

  const seal = (flow: SignInFlow): string =>
    Buffer.from(
      keyring.contents.seal(signInContext, Buffer.from(JSON.stringify({ ...flow, until: clock.now() + FLOW_MS }))),
    ).toString("base64url");

  /** @throws {Refused} not_vouched_for */
  function unseal(provider: string, sealed: string): SignInFlow {
    try {
      const bytes = keyring.contents.unseal(signInContext, Buffer.from(sealed, "base64url"));
      const { until, ...flow } = JSON.parse(bytes.toString()) as SignInFlow & { until: number };
      if (until > clock.now() && flow.provider === provider) return flow;
    } catch (error) {
      if (!(error instanceof SealError)) throw error;
    }
    throw new Refused("not_vouched_for", "this sign-in was not begun here, or more than ten minutes ago; begin again");
  }

  /** What the provider says of who came back. @throws {Refused} */
  async function readClaims(provider: string, sealed: string, callbackUrl: string, ip: string): Promise<Claims> {
    if (!oidc.list.some(({ name }) => name === provider)) throw new Refused("no_such_provider", "no such provider is set up");
    const flow = unseal(provider, sealed);
    if (URL.parse(callbackUrl) === null) throw new Refused("validation_error", "callback_url is no URL");
    const claims = await counted(ip, () => oidc.finish(flow, callbackUrl));
    // A provider takes a code once; should it not, this does.
    if (!(await takeSignIn(db, tokenHash(`sign-in ${flow.state}`)))) {
      throw new Refused("not_vouched_for", "this sign-in has ended already; begin again");
    }
    return claims;
  }

  /** The names of a new account, in the order they are tried in. */
  function* namesOf({ username, fullName, email }: Claims): Generator<Omit<NewUser, "passwordHash">> {
    const mail = email === undefined || keyOr(emailKey, email) === null ? undefined : email;
    const told = username ?? mail?.split("@")[0];
    let mayHave = told;
    try {
      if (told !== undefined) checkUsername(told);
    } catch {
      mayHave = undefined;
    }
    const rest = { phoneNumber: null, phoneKey: null, fullName: fullName ?? null };
    for (let n = 0; n < TRIES; n += 1) {
      const suffix = randomBytes(4).toString("hex");
      const name = mayHave === undefined ? `user-${suffix}` : n === 0 ? mayHave : `${mayHave.slice(0, 50)}-${suffix}`;
      const named = { username: name, usernameKey: usernameKey(name) };
      // Whoever has the address already has shown nothing of it here: it stays theirs.
      if (mail !== undefined && n === 0) yield { ...rest, ...named, email: mail, emailKey: emailKey(mail) };
      yield { ...rest, ...named, email: null, emailKey: null };
    }
  }

  /** @throws {Refused} registration_closed, too_many_sign_ups */
  async function register(claims: Claims, ip: string): Promise<IdentityHolder> {
    checkMayRegister(settings, { email: claims.email });
    return deps.signUps.attempt(ip, async () => {
      for (const names of namesOf(claims)) {
        if ((await findTaken(db, names)) !== undefined) continue;
        const made = await createUserOfIdentity(db, names, claims);
        if (made === "known") break;
        if ("id" in made) {
          log.info({ user: made.id, issuer: claims.issuer }, "an account was made for who signed in through a provider");
          return { userId: made.id, name: names.username ?? "", role: "user", isSuspended: false };
        }
      }
      const found = await useIdentity(db, claims);
      if (found === null) throw new Overloaded("no name was found for a new account");
      return found;
    });
  }

  return {
    async begin(provider, redirectUri, ip) {
      checkRedirect(redirectUri);
      const { url, flow } = await counted(ip, () => oidc.begin(provider, redirectUri));
      return { url, flow: seal(flow) };
    },
    async finish(provider, { flow, callback_url: callbackUrl, device_name: deviceName }, ip) {
      const claims = await readClaims(provider, flow, callbackUrl, ip);
      const user = (await useIdentity(db, claims)) ?? (await register(claims, ip));
      if (user.isSuspended) throw new Refused("suspended", "this account is suspended: ask whoever runs this Messenger");
      await rememberNetwork(db, user.userId, neighbourhoodOf(ip));
      const device = { passwordHash: null, name: deviceName ?? null, publicKey: null, address: null };
      return { userId: user.userId, ...(await startSession(context, user, device)) };
    },
    async link(by, { provider, flow, callback_url: callbackUrl, ...given }, ip) {
      await deps.sessions.checkAll(by, given, ip);
      const linked = await linkIdentity(db, by.userId, await readClaims(provider, flow, callbackUrl, ip));
      if (linked === "gone") throw new Refused("unauthorized", "the account was deleted");
      if (linked === "taken") throw new Refused("taken", "somebody signs in by this account already");
      if (linked === "full") throw new Refused("full", "one signs in by ten such accounts at most");
      return linked;
    },
    list: ({ userId }) => listIdentities(db, userId),
    async delete({ userId }, id) {
      const result = await deleteIdentity(db, userId, id);
      if (result === "unknown") throw new Refused("no_such_identity", "there is no such identity, or it is not yours");
      if (result === "last") throw new Refused("last_identity", "nothing else signs in to this account: set a password first");
    },
    providerOf: (issuer) => oidc.list.find((one) => one.issuer === issuer)?.name ?? null,
  };
}
