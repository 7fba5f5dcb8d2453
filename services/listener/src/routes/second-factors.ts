import type { SECOND_FACTOR_ROUTES } from "@messenger/contracts";
import type { Handlers } from "../http/route.ts";
import type { PasswordResets } from "../use-cases/password-resets.ts";
import type { Sessions } from "../use-cases/sessions.ts";

export function secondFactorHandlers(sessions: Sessions, resets: PasswordResets): Handlers<typeof SECOND_FACTOR_ROUTES> {
  return {
    beginTotp: ({ identity, body, ip }) => sessions.beginTotp(identity, body.password, ip),
    async confirmTotp({ identity, body, ip }) {
      return { recovery_codes: [...(await sessions.confirmTotp(identity, body.code, ip))] };
    },
    deleteTotp: ({ identity, body, ip }) => sessions.deleteTotp(identity, body, ip),
    async requestReset({ body, ip }) {
      resets.request(body.username, ip);
    },
    confirmReset: ({ body, ip }) => resets.confirm(body, ip),
  };
}
