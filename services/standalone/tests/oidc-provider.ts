import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { decodeJwt, exportJWK, generateKeyPair, type JWK, type JWTPayload, SignJWT, UnsecuredJWT } from "jose";
import { interactionPolicy, Provider } from "oidc-provider";

/** Somebody who has an account at the provider. */
export interface Account {
  sub: string;
  preferred_username?: string;
  name?: string;
  email?: string;
  email_verified?: boolean;
}

type Lie = (token: string) => Promise<string>;

/** A provider of OpenID Connect, with a front that can make it lie. */
export interface TestProvider {
  readonly issuer: string;
  readonly client: { client_id: string; client_secret: string };
  /** Goes where a browser goes, as somebody who signs in at once; returns where it comes back to. */
  signIn(authorizationUrl: string, account: Account): Promise<string>;
  /** What becomes of the next ID tokens; undefined where it tells the truth. */
  lie: Lie | undefined;
  /** Signs an ID token anew, with other claims. */
  claiming(changes: JWTPayload): Lie;
  /** An ID token that nobody signed. */
  unsigned: Lie;
  /** Signed by a key that the provider does not publish. */
  forged: Lie;
  /** Signs by other keys from now on, and publishes those alone. */
  rotateKeys(): Promise<void>;
  /** Whether a code is taken any number of times, and each gets the first answer. */
  takesCodesAgain: boolean;
  /** Whether it answers nothing, or 500, as it is. */
  isAway: boolean;
  /** Requests by path. */
  readonly asked: string[];
  close(): Promise<void>;
}

const CLIENT = { client_id: "messenger", client_secret: "the secret of the tests" };
const MAX_REDIRECTS = 10;

async function newKey(kid: string): Promise<JWK> {
  const { privateKey } = await generateKeyPair("RS256", { extractable: true });
  return { ...(await exportJWK(privateKey)), kid, alg: "RS256", use: "sig" };
}

const publicPart = ({ kty, n, e, kid, alg, use }: JWK): JWK => ({ kty, n, e, kid, alg, use });

async function bodyOf(stream: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

export async function startProvider(redirectUris: readonly string[]): Promise<TestProvider> {
  let key = await newKey("first");
  const own = key;
  const stranger = await newKey("first");
  const accounts = new Map<string, Account>();
  let signingIn = "";
  const answers = new Map<string, string>();

  const inner = createServer();
  const front = createServer((request, response) => void pass(request, response).catch(() => response.destroy()));
  for (const server of [inner, front]) {
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
  }
  const portOf = (server: Server): number => (server.address() as AddressInfo).port;
  const issuer = `http://127.0.0.1:${portOf(front)}`;

  const provider = new Provider(issuer, {
    clients: [{ ...CLIENT, redirect_uris: [...redirectUris] }],
    jwks: { keys: [own] },
    cookies: { keys: ["a key of the tests"] },
    conformIdTokenClaims: false,
    claims: { openid: ["sub"], profile: ["preferred_username", "name"], email: ["email", "email_verified"] },
    features: { devInteractions: { enabled: false } },
    interactions: { policy: interactionPolicy.base(), url: (_ctx, { uid }) => `/interaction/${uid}` },
    findAccount: (_ctx, id) => ({ accountId: id, claims: () => Promise.resolve({ ...accounts.get(id), sub: id }) as never }),
    async loadExistingGrant(ctx) {
      const { client, session } = ctx.oidc;
      if (client === undefined || session?.accountId === undefined) return undefined;
      const grant = new ctx.oidc.provider.Grant({ clientId: client.clientId, accountId: session.accountId });
      grant.addOIDCScope("openid profile email");
      await grant.save();
      return grant;
    },
  });
  provider.proxy = true;
  const handle = provider.callback();
  inner.on("request", (request, response) => {
    if (request.url?.startsWith("/interaction/") === true) {
      void provider.interactionFinished(request, response, { login: { accountId: signingIn } });
    } else void handle(request, response);
  });

  const sign = (claims: JWTPayload, by: JWK): Promise<string> =>
    new SignJWT(claims).setProtectedHeader({ alg: "RS256", kid: by.kid }).sign(by);

  /** Passes a request on, and what it answers, unless there is a lie to tell. */
  async function pass(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = request.url ?? "/";
    self.asked.push(path);
    if (self.isAway) {
      request.socket.destroy();
      return;
    }
    const body = await bodyOf(request);
    const code = new URLSearchParams(body.toString()).get("code") ?? "";
    const known = self.takesCodesAgain ? answers.get(code) : undefined;
    if (path === "/token" && known !== undefined) {
      response.setHeader("content-type", "application/json").end(known);
      return;
    }
    const passed = await fetch(`http://127.0.0.1:${portOf(inner)}${path}`, {
      method: request.method as string,
      headers: { ...(request.headers as Record<string, string>), "x-forwarded-host": new URL(issuer).host, connection: "close" },
      ...(body.length > 0 && { body }),
      redirect: "manual",
    });
    let text = await passed.text();
    if (path === "/jwks") text = JSON.stringify({ keys: [publicPart(key)] });
    if (path === "/token" && passed.status === 200) {
      const given = JSON.parse(text) as { id_token: string };
      if (key !== own) given.id_token = await sign(decodeJwt(given.id_token), key);
      if (self.lie !== undefined) given.id_token = await self.lie(given.id_token);
      text = JSON.stringify(given);
      answers.set(code, text);
    }
    response.statusCode = passed.status;
    for (const name of ["content-type", "location"]) {
      const value = passed.headers.get(name);
      if (value !== null) response.setHeader(name, value);
    }
    response.setHeader("set-cookie", passed.headers.getSetCookie());
    response.end(text);
  }

  const self: TestProvider = {
    issuer,
    client: CLIENT,
    lie: undefined,
    takesCodesAgain: false,
    isAway: false,
    asked: [],
    async signIn(authorizationUrl, account) {
      accounts.set(account.sub, account);
      signingIn = account.sub;
      const cookies = new Map<string, string>();
      let url = authorizationUrl;
      for (let n = 0; n < MAX_REDIRECTS; n += 1) {
        const cookie = Array.from(cookies, ([name, value]) => `${name}=${value}`).join("; ");
        const answer = await fetch(url, { redirect: "manual", headers: { cookie } });
        for (const set of answer.headers.getSetCookie()) {
          const [, name = "", value = ""] = /^([^=]+)=([^;]*)/u.exec(set) ?? [];
          cookies.set(name, value);
        }
        const location = answer.headers.get("location");
        if (location === null) throw new Error(`the provider answered ${answer.status}: ${await answer.text()}`);
        url = new URL(location, url).href;
        if (redirectUris.some((one) => url.startsWith(one))) return url;
      }
      throw new Error("the provider sends the browser around in circles");
    },
    claiming: (changes) => (token) => sign({ ...decodeJwt(token), ...changes }, key),
    unsigned: async (token) => new UnsecuredJWT(decodeJwt(token)).encode(),
    forged: (token) => sign(decodeJwt(token), stranger),
    async rotateKeys() {
      key = await newKey(`rotated ${Date.now()}`);
    },
    async close() {
      for (const server of [front, inner]) {
        server.close();
        server.closeAllConnections();
      }
    },
  };
  return self;
}
