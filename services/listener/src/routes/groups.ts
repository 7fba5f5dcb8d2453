import type { GROUP_ROUTES, Invite } from "@messenger/contracts";
import type { Handlers } from "../http/route.ts";
import type { Groups } from "../use-cases/groups.ts";

export function groupHandlers(groups: Groups): Handlers<typeof GROUP_ROUTES> {
  const describe = (invite: Awaited<ReturnType<Groups["invite"]>>): Invite => ({
    invite_id: invite.id,
    token: invite.token,
    by_user_id: invite.byUserId,
    created_at: invite.createdAt.toISOString(),
    expires_at: invite.expiresAt.toISOString(),
  });

  return {
    async listMembers({ identity, params }) {
      const { members, seq } = await groups.members(identity, params.id);
      return {
        members: members.map(({ userId, username, fullName, role, joinedAt }) => ({
          user_id: userId,
          username,
          full_name: fullName,
          role,
          joined_at: joinedAt.toISOString(),
        })),
        seq,
      };
    },
    addMember: ({ identity, params, body }) => groups.add(identity, params.id, body.user_id),
    changeMember: ({ identity, params, body }) => groups.changeRole(identity, params.id, params.user_id, body.role),
    removeMember: ({ identity, params }) => groups.remove(identity, params.id, params.user_id),
    async listBans({ identity, params }) {
      const bans = await groups.bans(identity, params.id);
      return {
        bans: bans.map(({ userId, username, byUserId, at }) => ({
          user_id: userId,
          username,
          by_user_id: byUserId,
          at: at.toISOString(),
        })),
      };
    },
    banMember: ({ identity, params }) => groups.ban(identity, params.id, params.user_id),
    unbanMember: ({ identity, params }) => groups.unban(identity, params.id, params.user_id),
    async listInvites({ identity, params }) {
      const invites = await groups.invites(identity, params.id);
      return { invites: invites.map(describe) };
    },
    createInvite: async ({ identity, params, body }) => describe(await groups.invite(identity, params.id, body.expires_in)),
    deleteInvite: ({ identity, params }) => groups.endInvite(identity, params.id, params.invite_id),
    joinConversation: async ({ identity, body }) => ({ conversation_id: await groups.join(identity, body.token) }),
  };
}
