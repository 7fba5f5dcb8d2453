import type { Identity, IDENTITY_ROUTES } from "@messenger/contracts";
import type { IdentityRow } from "@messenger/store";
import type { Handlers } from "../http/route.ts";
import type { OidcProvider } from "../oidc.ts";
import type { Identities } from "../use-cases/identities.ts";

export function identityHandlers(identities: Identities, providers: readonly OidcProvider[]): Handlers<typeof IDENTITY_ROUTES> {
  const describe = ({ id, issuer, createdAt, lastUsedAt }: IdentityRow): Identity => ({
    identity_id: id,
    issuer,
    provider: identities.providerOf(issuer),
    created_at: createdAt.toISOString(),
    last_used_at: lastUsedAt.toISOString(),
  });

  return {
    listProviders: async () => ({
      providers: providers.map(({ name, title, issuer }) => ({ provider: name, title, issuer })),
    }),
    async beginSignIn({ params, body, ip }) {
      const { url, flow } = await identities.begin(params.provider, body.redirect_uri, ip);
      return { authorization_url: url, flow };
    },
    async finishSignIn(request) {
      const { userId, tokens } = await identities.finish(request.params.provider, request.body, request.ip);
      request.signedInAs = userId;
      return { user_id: userId, ...tokens };
    },
    listIdentities: async ({ identity }) => ({ identities: (await identities.list(identity)).map(describe) }),
    linkIdentity: async ({ identity, body, ip }) => describe(await identities.link(identity, body, ip)),
    deleteIdentity: ({ identity, params }) => identities.delete(identity, params.id),
  };
}
