import { ADMIN_ROUTES } from "./admin.ts";
import { BOT_ROUTES } from "./bots.ts";
import { CONTACT_ROUTES } from "./contacts.ts";
import { CONVERSATION_ROUTES } from "./conversations.ts";
import { DOOR_ROUTES } from "./doors.ts";
import { ENDPOINT_ROUTES } from "./endpoints.ts";
import { EVENT_ROUTES } from "./events.ts";
import { GROUP_ROUTES } from "./groups.ts";
import { HEALTH_ROUTES } from "./health.ts";
import { IDENTITY_ROUTES } from "./identities.ts";
import { MESSAGE_ROUTES } from "./messages.ts";
import { NOTIFICATION_ROUTES } from "./notifications.ts";
import { PEOPLE_ROUTES } from "./people.ts";
import type { Route } from "./route.ts";
import { SECOND_FACTOR_ROUTES } from "./second-factors.ts";
import { SESSION_ROUTES } from "./sessions.ts";
import { TOKEN_ROUTES } from "./tokens.ts";
import { USER_ROUTES } from "./users.ts";

/** Every operation of the API, by its id. */
export const ROUTES = {
  ...USER_ROUTES,
  ...SESSION_ROUTES,
  ...SECOND_FACTOR_ROUTES,
  ...IDENTITY_ROUTES,
  ...TOKEN_ROUTES,
  ...BOT_ROUTES,
  ...PEOPLE_ROUTES,
  ...MESSAGE_ROUTES,
  ...CONVERSATION_ROUTES,
  ...GROUP_ROUTES,
  ...EVENT_ROUTES,
  ...ENDPOINT_ROUTES,
  ...NOTIFICATION_ROUTES,
  ...CONTACT_ROUTES,
  ...ADMIN_ROUTES,
  ...HEALTH_ROUTES,
  ...DOOR_ROUTES,
} as const satisfies Record<string, Route>;
