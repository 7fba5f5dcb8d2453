import { LoginAnswer, LoginBody, LogoutAnswer, LogoutBody, RefreshBody, SessionTokens } from "@messenger/contracts";
import { endSession, findCredentials, isFamiliarNetwork, rememberNetwork, rotateRefresh } from "@messenger/store";
import type { App } from "../app.ts";
import type { Context } from "../context.ts";
import { HttpProblem, VALIDATION_TEXT } from "../http/problem.ts";
import { identityOf } from "../http/session.ts";
import { loginKeys } from "../login-keys.ts";
import { createLoginThrottle } from "../login-throttle.ts";
import { neighbourhoodOf, networkOf } from "../networks.ts";
import { REFRESH_DAYS, sessionTokens, startSession } from "../start-session.ts";

const WRONG = "Incorrect username or password.";
const SMALL_BYTES = 4 * 1024;
/** Its largest part is the public key, each character of which can be written as six bytes. */
const LOGIN_BYTES = 128 * 1024;
/** What an index of PostgreSQL can hold, with something to spare. */
const MAX_ADDRESS_BYTES = 2_000;

/** Signing in and out. */
export function sessionRoutes(app: App, context: Context): void {
  const { db } = context;
  const throttle = createLoginThrottle(context.clock);

  app.post(
    "/api/login",
    {
      config: { contract: true, secret: true, refusals: [401] },
      bodyLimit: LOGIN_BYTES,
      schema: {
        operationId: "logIn",
        summary: "Sign in, and have messages pushed to an address",
        description: "What no other endpoint has taken yet is pushed to it at once.",
        tags: ["sessions"],
        body: LoginBody,
        response: { 200: LoginAnswer },
      },
    },
    async (request) => {
      const { username, password, user_address, public_key } = request.body;
      if (Buffer.byteLength(user_address) > MAX_ADDRESS_BYTES) {
        const detail = `user_address has at most ${MAX_ADDRESS_BYTES} bytes of UTF-8`;
        throw new HttpProblem({ status: 400, code: "validation_error", detail, text: VALIDATION_TEXT });
      }
      const { ip } = request;
      const keys = loginKeys(username);
      const nameKey = keys.usernameKey ?? keys.emailKey ?? username;
      if (throttle.checkRemembered(ip, nameKey)) context.passwords.checkRoom({ network: networkOf(ip), urgency: "log-in" });
      const found = await findCredentials(db, keys);
      const isFamiliar = found !== null && (await isFamiliarNetwork(db, found.id, neighbourhoodOf(ip)));
      // By id, so that an account has no more guesses for each of its names.
      const account = found === null ? nameKey : String(found.id);
      throttle.remember(nameKey, { ip, account, isFamiliar });
      const from = { network: networkOf(ip), urgency: isFamiliar ? ("familiar" as const) : ("log-in" as const) };
      const user = await throttle.attempt({ ip, account, isFamiliar }, async () =>
        (await context.passwords.matches(found?.passwordHash ?? null, password, from)) ? found : null,
      );
      if (user === null) throw new HttpProblem({ status: 401, code: "wrong_credentials", detail: WRONG });
      request.signedInAs = user.id;
      await rememberNetwork(db, user.id, neighbourhoodOf(ip));
      throttle.remember(nameKey, { ip, account, isFamiliar: true });
      const { id: userId, name, role } = user;
      const session = await startSession(context, { userId, name, role }, { publicKey: public_key, address: user_address });
      return {
        msg: "Login successful.",
        user_id: userId,
        token: session.tokens.access_token,
        ...session.tokens,
        webhook_secret: session.webhookSecret as string,
        address_refusal: session.addressRefusal,
      };
    },
  );

  app.post(
    "/api/logout",
    {
      config: { contract: true, session: true },
      bodyLimit: SMALL_BYTES,
      schema: {
        operationId: "logOut",
        summary: "End this session",
        description: "Its address gets no more pushes, unless another session uses it.",
        tags: ["sessions"],
        security: [{ session: [] }],
        body: LogoutBody,
        response: { 200: LogoutAnswer },
      },
    },
    async (request) => {
      const { username } = request.body;
      const { userId, sessionId } = identityOf(request);
      const named = await findCredentials(db, loginKeys(username));
      if (named?.id !== userId) {
        throw new HttpProblem({
          status: 400,
          code: "validation_error",
          detail: "username is not the name of the user who is signed in",
          text: VALIDATION_TEXT,
        });
      }
      context.publisher.wake(await endSession(db, userId, sessionId));
      context.revocations.add(sessionId);
      return { msg: "Logout successful.", username };
    },
  );

  app.post(
    "/api/token/refresh",
    {
      config: { secret: true, refusals: [401] },
      bodyLimit: SMALL_BYTES,
      schema: {
        operationId: "refreshToken",
        summary: "Get a new access token",
        description:
          "The refresh token is replaced by the one in the answer. The same token again within 30 s gets the same answer, for a client that did not get it; later it ends the session.",
        tags: ["sessions"],
        body: RefreshBody,
        response: { 200: SessionTokens },
      },
    },
    async (request) => {
      const refused = new HttpProblem({
        status: 401,
        code: "unauthorized",
        detail: "the refresh token is not valid: sign in again",
      });
      const presented = context.tokens.readRefreshToken(request.body.refresh_token);
      if (presented === undefined) throw refused;
      const { sessionId } = presented;
      const [next, ...others] = context.tokens.nextRefreshTokens(presented);
      const result = await rotateRefresh(db, {
        sessionId,
        presented: presented.hash,
        successors: [next.hash, ...others.map(({ hash }) => hash)],
        refreshDays: REFRESH_DAYS,
      });
      if (result.status === "refreshed") {
        const given = others.find(({ hash }) => Buffer.compare(hash, result.refreshHash) === 0) ?? next;
        return sessionTokens(context, result, given.token);
      }
      if (result.status === "reused") {
        context.publisher.wake(await endSession(db, result.userId, sessionId));
        context.revocations.add(sessionId);
      }
      throw refused;
    },
  );
}
