import { type Account, FindUserQuery, type ReceiptKey, type USER_ROUTES } from "@messenger/contracts";
import type { AccountRow } from "@messenger/store";
import { Value } from "typebox/value";
import type { Handlers } from "../http/route.ts";
import { Refused } from "../refused.ts";
import type { Export } from "../use-cases/export.ts";
import type { People } from "../use-cases/people.ts";
import type { Sessions } from "../use-cases/sessions.ts";
import type { Users } from "../use-cases/users.ts";

export function userHandlers(
  users: Users,
  sessions: Sessions,
  people: People,
  exported: Export,
  receiptKey: object,
): Handlers<typeof USER_ROUTES> {
  const describe = ({
    id,
    username,
    email,
    phoneNumber,
    fullName,
    about,
    foundByEmail,
    foundByPhone,
    receipts,
    typing,
    presence,
    messageRequests,
    hasTotp,
    createdAt,
  }: AccountRow): Account => ({
    user_id: id,
    username,
    email,
    phone_number: phoneNumber,
    full_name: fullName,
    about,
    found_by_email: foundByEmail,
    found_by_phone: foundByPhone,
    receipts,
    typing,
    presence,
    message_requests: messageRequests,
    totp: hasTotp,
    created_at: createdAt.toISOString(),
  });

  return {
    async createUser(request) {
      const { id, username, tokens } = await users.create(request.body, request.ip);
      request.signedInAs = id;
      return { user_id: id, username, ...tokens };
    },
    async findUser(request) {
      const { q } = request.query;
      if (q !== undefined) {
        if (request.query.username !== undefined) throw new Refused("validation_error", "give username or q, not both");
        const found = await people.search(request.identity, q);
        return {
          users: found.map(({ id, username, fullName, about }) => ({ user_id: id, username, full_name: fullName, about })),
        };
      }
      const body = request.body ?? {};
      if (!Value.Check(FindUserQuery, body)) {
        throw new Refused("validation_error", "body: username must be a string of 1 to 64 characters");
      }
      const name = request.query.username ?? body.username;
      if (name === undefined) throw new Refused("validation_error", "give username, as a query or as a JSON body");
      const { id, username, fullName, about, isBot, publicKey } = await users.findByName(name);
      return { user_id: id, username, full_name: fullName, about, is_bot: isBot, public_key: publicKey };
    },
    readAccount: async ({ identity }) => describe(await users.readAccount(identity)),
    changeAccount: async ({ identity, body }) => describe(await users.changeAccount(identity, body)),
    async exportAccount({ identity }, reply) {
      const gone = new AbortController();
      reply.raw.once("close", () => gone.abort());
      reply.header("content-disposition", `attachment; filename="messenger-${identity.userId}.zip"`);
      return exported.open(identity, gone.signal);
    },
    async changeEmail({ identity, body, ip }) {
      await sessions.checkPassword(identity, body.password, ip);
      return describe(await users.changeSignIn(identity, "email", body.contact_id));
    },
    async changePhone({ identity, body, ip }) {
      await sessions.checkPassword(identity, body.password, ip);
      return describe(await users.changeSignIn(identity, "phone_number", body.contact_id));
    },
    changePassword: ({ identity, body, ip }) => sessions.changePassword(identity, body, ip),
    async deleteAccount({ identity, body, ip }) {
      await sessions.checkAll(identity, body, ip);
      return { user_id: identity.userId, receipt: await users.deleteOwn(identity) };
    },
    readReceiptKey: () => Promise.resolve(receiptKey as ReceiptKey),
    async deleteUser(request) {
      await users.delete(request.identity, request.body);
      return { msg: "User deleted.", user_id: request.body.user_id };
    },
  };
}
