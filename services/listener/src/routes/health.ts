import type { HEALTH_ROUTES } from "@messenger/contracts";
import type { Context } from "../context.ts";
import type { Handlers } from "../http/route.ts";
import { Refused } from "../refused.ts";

const OK = { status: "ok" } as const;

export function healthHandlers(context: Context): Handlers<typeof HEALTH_ROUTES> {
  return {
    health: () => Promise.resolve(OK),
    live: () => Promise.resolve(OK),
    async ready() {
      const reason = await context.unreadiness();
      if (reason !== undefined) throw new Refused("not_ready", reason);
      return OK;
    },
  };
}
