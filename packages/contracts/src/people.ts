import { type Static, Type } from "typebox";
import { Id, Timestamp } from "./fields.ts";
import { type Route, shape } from "./route.ts";

const BLOCKED_EXAMPLE = { user_id: 23, username: "bob", full_name: null, blocked_at: "2026-11-28T09:30:00.412Z" };

export const Blocks = shape(
  "Blocks",
  {
    blocked: Type.Array(
      Type.Object({
        user_id: Id,
        username: Type.Union([Type.String(), Type.Null()]),
        full_name: Type.Union([Type.String(), Type.Null()]),
        blocked_at: Timestamp,
      }),
    ),
  },
  { blocked: [BLOCKED_EXAMPLE] },
);
export type Blocks = Static<typeof Blocks>;

const ofUser = { auth: "session", tag: "people", params: Type.Object({ id: Id }) } as const;

export const PEOPLE_ROUTES = {
  listBlocks: {
    method: "GET",
    path: "/api/blocks",
    auth: "session",
    tag: "people",
    summary: "List whom one blocks",
    description: "The latest first; 1,000 at most.",
    answer: { status: 200, description: "Whom one blocks.", body: Blocks },
    problems: [],
  },
  blockUser: {
    ...ofUser,
    method: "PUT",
    path: "/api/users/{id}/block",
    summary: "Block a user",
    description:
      "What they send to oneself is answered as if there were no such receiver, and they cannot edit what they wrote before, or react to it. They do not find one by a search, cannot add one to a group, and see neither how far one has read, nor when one types or is there. Groups that both are in stay as they are. They are not told.",
    answer: { status: 204, description: "The user is blocked." },
    problems: ["no_such_user", "full"],
  },
  unblockUser: {
    ...ofUser,
    method: "DELETE",
    path: "/api/users/{id}/block",
    summary: "Unblock a user",
    description: "It is answered alike where the user was not blocked.",
    answer: { status: 204, description: "The user is not blocked." },
    problems: [],
  },
} as const satisfies Record<string, Route>;
