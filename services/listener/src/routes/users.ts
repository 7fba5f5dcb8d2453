import { type Account, FindUserQuery, type USER_ROUTES } from "@messenger/contracts";
import type { AccountRow } from "@messenger/store";
import { Value } from "typebox/value";
import type { Handlers } from "../http/route.ts";
import { Refused } from "../refused.ts";
import type { Users } from "../use-cases/users.ts";

export function userHandlers(users: Users): Handlers<typeof USER_ROUTES> {
  const describe = ({
    id,
    username,
    email,
    phoneNumber,
    fullName,
    receipts,
    typing,
    presence,
    createdAt,
  }: AccountRow): Account => ({
    user_id: id,
    username,
    email,
    phone_number: phoneNumber,
    full_name: fullName,
    receipts,
    typing,
    presence,
    created_at: createdAt.toISOString(),
  });

  return {
    async createUser(request) {
      const { id, username, tokens } = await users.create(request.body, request.ip);
      request.signedInAs = id;
      return { user_id: id, username, ...tokens };
    },
    async findUser(request) {
      if (request.query.q !== undefined) {
        throw new Refused("validation_error", "give username; users cannot be searched for yet, nor by both at once");
      }
      const body = request.body ?? {};
      if (!Value.Check(FindUserQuery, body)) {
        throw new Refused("validation_error", "body: username must be a string of 1 to 64 characters");
      }
      const name = request.query.username ?? body.username;
      if (name === undefined) throw new Refused("validation_error", "give username, as a query or as a JSON body");
      const { id, username, fullName, publicKey } = await users.findByName(name);
      return { user_id: id, username, full_name: fullName, public_key: publicKey };
    },
    readAccount: async ({ identity }) => describe(await users.readAccount(identity)),
    changeAccount: async ({ identity, body }) => describe(await users.changeAccount(identity, body)),
    async deleteUser(request) {
      await users.delete(request.identity, request.body);
      return { msg: "User deleted.", user_id: request.body.user_id };
    },
  };
}
