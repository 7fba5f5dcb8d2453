import type { ApiToken, TOKEN_ROUTES } from "@messenger/contracts";
import type { ApiTokenRow } from "@messenger/store";
import type { Handlers } from "../http/route.ts";
import type { TokensOfUser } from "../use-cases/api-tokens.ts";

export function tokenHandlers(tokens: TokensOfUser): Handlers<typeof TOKEN_ROUTES> {
  const describe = ({ id, name, scopes, createdAt, lastUsedAt, expiresAt }: ApiTokenRow): ApiToken => ({
    token_id: id,
    name,
    scopes: [...scopes] as ApiToken["scopes"],
    created_at: createdAt.toISOString(),
    last_used_at: lastUsedAt?.toISOString() ?? null,
    expires_at: expiresAt.toISOString(),
  });

  return {
    listTokens: async ({ identity }) => ({ tokens: (await tokens.list(identity)).map(describe) }),
    async createToken({ identity, body, ip }) {
      const { made, token } = await tokens.create(identity, body, ip);
      return { ...describe(made), token };
    },
    deleteToken: ({ identity, params }) => tokens.delete(identity, params.id),
  };
}
