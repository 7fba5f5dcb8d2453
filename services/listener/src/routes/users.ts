import { DeleteUserAnswer, DeleteUserBody, FindUserQuery, NewUserAnswer, NewUserBody, UserAnswer } from "@messenger/contracts";
import { checkUsername, emailKey, InvalidName, phoneKey, usernameKey } from "@messenger/core";
import {
  createUser,
  deleteUser,
  findRole,
  findTaken,
  findUserByName,
  type NewUser,
  rememberNetwork,
  type UniqueUserField,
} from "@messenger/store";
import { Type } from "typebox";
import { Value } from "typebox/value";
import type { App } from "../app.ts";
import type { Context } from "../context.ts";
import { HttpProblem, speaksText, VALIDATION_TEXT } from "../http/problem.ts";
import { identityOf } from "../http/session.ts";
import { keyOr } from "../login-keys.ts";
import { neighbourhoodOf, networkOf } from "../networks.ts";
import { createSignUpLimit } from "../sign-up-limit.ts";
import { startSession } from "../start-session.ts";

const USER_BYTES = 64 * 1024;

const isTaken = (field: UniqueUserField): HttpProblem =>
  new HttpProblem({ status: 409, code: "taken", detail: `this ${field.replace("_", " ")} is taken` });

const invalid = (detail: string): HttpProblem =>
  new HttpProblem({ status: 400, code: "validation_error", detail, text: VALIDATION_TEXT });

/** The names of a new user, in the forms they are shown and compared in. @throws {HttpProblem} 400 */
function namesOf(body: NewUserBody): Omit<NewUser, "passwordHash"> {
  const { username, phone_number, email, full_name } = body;
  const named = username !== undefined && phone_number !== undefined;
  const mailed = username === undefined && phone_number === undefined && email !== undefined && full_name !== undefined;
  if (!named && !mailed) throw invalid("give username, phone_number and password, or email, full_name and password");
  try {
    if (username !== undefined) checkUsername(username);
    return {
      username: username ?? null,
      usernameKey: username === undefined ? null : usernameKey(username),
      phoneNumber: phone_number ?? null,
      phoneKey: phone_number === undefined ? null : phoneKey(phone_number),
      email: email ?? null,
      emailKey: email === undefined ? null : emailKey(email),
      fullName: full_name ?? null,
    };
  } catch (error) {
    if (error instanceof InvalidName) throw invalid(error.message);
    throw error;
  }
}

/** Accounts. */
export function userRoutes(app: App, context: Context): void {
  const { db, settings } = context;
  const signUps = createSignUpLimit(context.clock, settings.signUpsPerHour);

  app.post(
    "/api/users",
    {
      config: { contract: true, secret: true, refusals: [401, 409] },
      bodyLimit: USER_BYTES,
      schema: {
        operationId: "createUser",
        summary: "Make an account, and sign in",
        tags: ["account"],
        body: NewUserBody,
        response: { 201: NewUserAnswer },
      },
    },
    async (request, reply) => {
      const { password } = request.body;
      const names = namesOf(request.body);
      if (Array.from(password).length < settings.passwordMinLength) {
        throw invalid(`a password has at least ${settings.passwordMinLength} characters`);
      }
      const made = await signUps.attempt(request.ip, async () => {
        // Before the hash, which is what costs; the database has the last word.
        const taken = await findTaken(db, names);
        if (taken !== undefined) return { taken };
        const passwordHash = await context.passwords.hash(password, networkOf(request.ip));
        return createUser(db, { ...names, passwordHash });
      });
      if ("taken" in made) throw isTaken(made.taken);
      request.signedInAs = made.id;
      await rememberNetwork(db, made.id, neighbourhoodOf(request.ip));
      const user = { userId: made.id, name: names.username ?? names.email ?? "", role: "user" as const };
      const session = await startSession(context, user, { publicKey: null, address: null });
      return reply.code(201).send({ user_id: made.id, username: names.username, ...session.tokens });
    },
  );

  app.get(
    "/api/users",
    {
      config: { contract: true, session: true, refusals: [404] },
      bodyLimit: USER_BYTES,
      schema: {
        operationId: "findUser",
        summary: "Find a user by name",
        description: "The name is given as a query, or as a JSON body.",
        tags: ["account"],
        security: [{ session: [] }],
        querystring: FindUserQuery,
        response: { 200: UserAnswer },
      },
    },
    async (request) => {
      if (request.query.q !== undefined) throw invalid("give username; users cannot be searched for yet, nor by both at once");
      const body: unknown = request.body ?? {};
      if (!Value.Check(FindUserQuery, body)) throw invalid("body: username must be a string of 1 to 64 characters");
      const username = request.query.username ?? body.username;
      if (username === undefined) throw invalid("give username, as a query or as a JSON body");
      const key = keyOr(usernameKey, username);
      const user = key === null ? null : await findUserByName(db, key);
      if (user === null) throw new HttpProblem({ status: 404, code: "no_such_user", detail: "User not found." });
      return { user_id: user.id, username: user.username, full_name: user.fullName, public_key: user.publicKey };
    },
  );

  app.delete(
    "/api/users",
    {
      config: { contract: true, session: true, refusals: [403, 404] },
      bodyLimit: USER_BYTES,
      schema: {
        operationId: "deleteUser",
        summary: "Delete an account",
        description: "One's own, or any as an admin. What was sent stays with those who received it.",
        tags: ["account"],
        security: [{ session: [] }],
        body: DeleteUserBody,
        response: { 200: Type.Union([Type.String(), DeleteUserAnswer]) },
      },
    },
    async (request, reply) => {
      const { user_id } = request.body;
      const { userId, sessionId } = identityOf(request);
      // Not by the token: an admin that was demoted is none at once.
      if (user_id !== userId && (await findRole(db, userId)) !== "admin") {
        throw new HttpProblem({ status: 403, code: "forbidden", detail: "only an admin deletes another user's account" });
      }
      if (!(await deleteUser(db, user_id)))
        throw new HttpProblem({ status: 404, code: "no_such_user", detail: "User not found." });
      if (user_id === userId) context.revocations.add(sessionId);
      const msg = "User deleted.";
      reply.serializer((payload) => (typeof payload === "string" ? payload : JSON.stringify(payload)));
      if (speaksText(request)) return reply.type("text/plain; charset=utf-8").send(msg);
      return reply.type("application/json; charset=utf-8").send({ msg, user_id });
    },
  );
}
