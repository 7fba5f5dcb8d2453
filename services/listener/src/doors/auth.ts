import type { DOOR_ROUTES } from "@messenger/contracts";
import type { Handlers } from "../http/route.ts";
import type { Sessions } from "../use-cases/sessions.ts";
import type { Users } from "../use-cases/users.ts";

const BEARER = "bearer";

/** The *auth* contract, over what the API itself does. */
export function authDoor(users: Users, sessions: Sessions): Handlers<Pick<typeof DOOR_ROUTES, "doorRegister" | "doorLogin">> {
  return {
    async doorRegister(request) {
      const { email, password, full_name } = request.body;
      const { id, tokens } = await users.create({ email, password, full_name }, request.ip);
      request.signedInAs = id;
      return { access_token: tokens.access_token, token_type: BEARER };
    },
    async doorLogin(request) {
      const { email, password, totp_code } = request.body;
      const code = totp_code === undefined ? {} : { totp_code };
      const { userId, tokens } = await sessions.start({ username: email, password, ...code }, request.ip);
      request.signedInAs = userId;
      return { access_token: tokens.access_token, token_type: BEARER };
    },
  };
}
