import type { ApiToken, TOKEN_ROUTES } from "@messenger/contracts";
import type { ApiTokenRow } from "@messenger/store";
import type { Handlers } from "../http/route.ts";
import type { TokensOfUser } from "../use-cases/api-tokens.ts";

/** An API token, as the API has it. */
export const describeToken = ({ id, name, scopes, createdAt, lastUsedAt, expiresAt }: ApiTokenRow): ApiToken => ({
  token_id: id,
  name,
  scopes: [...scopes] as ApiToken["scopes"],
  created_at: createdAt.toISOString(),
  last_used_at: lastUsedAt?.toISOString() ?? null,
  expires_at: expiresAt.toISOString(),
});

export function tokenHandlers(tokens: TokensOfUser): Handlers<typeof TOKEN_ROUTES> {
  return {
    listTokens: async ({ identity }) => ({ tokens: (await tokens.list(identity)).map(describeToken) }),
    async createToken({ identity, body, ip }) {
      const { made, token } = await tokens.create(identity, body, ip);
      return { ...describeToken(made), token };
    },
    deleteToken: ({ identity, params }) => tokens.delete(identity, params.id),
  };
}
