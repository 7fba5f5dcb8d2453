import type { SESSION_ROUTES } from "@messenger/contracts";
import type { Handlers } from "../http/route.ts";
import type { Sessions } from "../use-cases/sessions.ts";

export function sessionHandlers(sessions: Sessions): Handlers<typeof SESSION_ROUTES> {
  return {
    async logIn(request) {
      const { userId, tokens, webhookSecret, addressRefusal } = await sessions.logIn(request.body, request.ip);
      request.signedInAs = userId;
      return {
        msg: "Login successful.",
        user_id: userId,
        token: tokens.access_token,
        ...tokens,
        webhook_secret: webhookSecret as string,
        address_refusal: addressRefusal,
      };
    },
    async startSession(request) {
      const { userId, tokens } = await sessions.start(request.body, request.ip);
      request.signedInAs = userId;
      return { user_id: userId, ...tokens };
    },
    async logOut(request) {
      const { username } = request.body;
      await sessions.logOut(request.identity, username);
      return { msg: "Logout successful.", username };
    },
    refreshToken: (request) => sessions.refresh(request.body.refresh_token),
  };
}
