import type { PEOPLE_ROUTES } from "@messenger/contracts";
import type { Handlers } from "../http/route.ts";
import type { People } from "../use-cases/people.ts";

export function peopleHandlers(people: People): Handlers<typeof PEOPLE_ROUTES> {
  return {
    async listBlocks({ identity }) {
      const blocked = (await people.listBlocks(identity)).map(({ id, username, fullName, at }) => ({
        user_id: id,
        username,
        full_name: fullName,
        blocked_at: at.toISOString(),
      }));
      return { blocked };
    },
    blockUser: ({ identity, params }) => people.block(identity, params.id),
    unblockUser: ({ identity, params }) => people.unblock(identity, params.id),
  };
}
