import type { Session, SESSION_ROUTES } from "@messenger/contracts";
import type { SessionRow } from "@messenger/store";
import type { Handlers } from "../http/route.ts";
import type { Sessions } from "../use-cases/sessions.ts";

export function sessionHandlers(sessions: Sessions): Handlers<typeof SESSION_ROUTES> {
  const describe = (
    { id, deviceName, publicKey, address, createdAt, lastSeenAt, expiresAt }: SessionRow,
    current: number,
  ): Session => ({
    session_id: id,
    device_name: deviceName,
    public_key: publicKey,
    address,
    is_current: id === current,
    created_at: createdAt.toISOString(),
    last_seen_at: lastSeenAt.toISOString(),
    expires_at: expiresAt?.toISOString() ?? null,
  });

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
    async listSessions({ identity }) {
      return { sessions: (await sessions.list(identity)).map((row) => describe(row, identity.sessionId)) };
    },
    changeSession: async ({ identity, params, body }) =>
      describe(await sessions.change(identity, params.id, body), identity.sessionId),
    endSession: ({ identity, params }) => sessions.endOne(identity, params.id),
    async logOut(request) {
      const { username } = request.body;
      await sessions.logOut(request.identity, username);
      return { msg: "Logout successful.", username };
    },
    refreshToken: (request) => sessions.refresh(request.body.refresh_token),
  };
}
