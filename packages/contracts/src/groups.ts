import { type Static, Type } from "typebox";
import { conversationParam, Role } from "./conversations.ts";
import { Id, Timestamp } from "./fields.ts";
import { MESSAGE_ID, MessageId } from "./messages.ts";
import { pageFields } from "./pages.ts";
import { type Route, shape, SMALL_BYTES } from "./route.ts";

const MEMBER_EXAMPLE = {
  user_id: 17,
  username: "ada",
  full_name: null,
  role: "owner" as const,
  joined_at: "2026-11-27T09:30:00.412Z",
};

const Member = shape(
  "Member",
  {
    user_id: Id,
    username: Type.Union([Type.String(), Type.Null()]),
    full_name: Type.Union([Type.String(), Type.Null()]),
    role: Role,
    joined_at: Timestamp,
  },
  MEMBER_EXAMPLE,
);

export const Members = shape(
  "Members",
  { members: Type.Array(Member), seq: pageFields.seq },
  { members: [MEMBER_EXAMPLE], seq: 4 },
);

export const AddMember = shape("AddMember", { user_id: Id }, { user_id: 23 }, { additionalProperties: false });

export const ChangeMember = shape("ChangeMember", { role: Role }, { role: "admin" as const }, { additionalProperties: false });

const BAN_EXAMPLE = { user_id: 31, username: "mallory", by_user_id: 17, at: "2026-11-27T09:30:00.412Z" };

export const Bans = shape(
  "Bans",
  {
    bans: Type.Array(
      Type.Object({ user_id: Id, username: Type.Union([Type.String(), Type.Null()]), by_user_id: Id, at: Timestamp }),
    ),
  },
  { bans: [BAN_EXAMPLE] },
);

const token = Type.String({ minLength: 1, maxLength: 100, description: "Of an invite: whoever has it can join." });

const INVITE_EXAMPLE = {
  invite_id: MESSAGE_ID,
  token: "GmVq0dLk1fE8u3yRzq2b1w",
  by_user_id: 17,
  created_at: "2026-11-27T09:30:00.412Z",
  expires_at: "2026-12-04T09:30:00.412Z",
};

export const Invite = shape(
  "Invite",
  { invite_id: Type.String(), token, by_user_id: Id, created_at: Timestamp, expires_at: Timestamp },
  INVITE_EXAMPLE,
);
export type Invite = Static<typeof Invite>;

export const Invites = shape("Invites", { invites: Type.Array(Invite) }, { invites: [INVITE_EXAMPLE] });

export const CreateInvite = shape(
  "CreateInvite",
  {
    expires_in: Type.Integer({
      minimum: 60,
      maximum: 2_592_000,
      description: "Seconds until it ends: from a minute to thirty days.",
    }),
  },
  { expires_in: 604_800 },
  { additionalProperties: false },
);

export const JoinConversation = shape(
  "JoinConversation",
  { token },
  { token: INVITE_EXAMPLE.token },
  { additionalProperties: false },
);

export const Joined = shape("Joined", { conversation_id: Id }, { conversation_id: 9 });

const params = Type.Object(conversationParam);
const memberParams = Type.Object({ ...conversationParam, user_id: Id });
const ofGroup = { auth: "session", tag: "groups" } as const;

export const GROUP_ROUTES = {
  listMembers: {
    ...ofGroup,
    scope: "messages:read",
    method: "GET",
    path: "/api/conversations/{id}/members",
    summary: "List who takes part in a group",
    description: "In the order in which they joined: 256 at most.",
    params,
    answer: { status: 200, description: "All members.", body: Members },
    problems: ["no_such_conversation"],
  },
  addMember: {
    ...ofGroup,
    method: "POST",
    path: "/api/conversations/{id}/members",
    summary: "Let somebody into a group",
    description:
      "For owners and admins. An existing member keeps their role. A new one can read what is written from then on. All members get a `member.added` event, the new one too.",
    params,
    body: AddMember,
    bodyLimit: SMALL_BYTES,
    answer: { status: 204, description: "They take part." },
    problems: ["forbidden", "banned", "no_such_conversation", "unknown_receiver", "full"],
  },
  changeMember: {
    ...ofGroup,
    method: "PATCH",
    path: "/api/conversations/{id}/members/{user_id}",
    summary: "Give a member another role",
    description: "For owners. A group can have several, and keeps one. Whoever takes part gets a `member.changed` event.",
    params: memberParams,
    body: ChangeMember,
    bodyLimit: SMALL_BYTES,
    answer: { status: 204, description: "They have this role." },
    problems: ["forbidden", "no_such_conversation", "no_such_user", "last_owner"],
  },
  removeMember: {
    ...ofGroup,
    method: "DELETE",
    path: "/api/conversations/{id}/members/{user_id}",
    summary: "Leave a group, or remove somebody from it",
    description:
      "Every member can leave, but not the last owner while others remain. Owners remove admins and members; admins remove members. All members get a `member.left` or `member.removed` event, the one who goes too: it is the last event of the group that they get.",
    params: memberParams,
    answer: { status: 204, description: "They take no part in it any more." },
    problems: ["forbidden", "no_such_conversation", "no_such_user", "last_owner"],
  },
  listBans: {
    ...ofGroup,
    method: "GET",
    path: "/api/conversations/{id}/bans",
    summary: "List who is banned from a group",
    description: "For owners and admins. The latest comes first.",
    params,
    answer: { status: 200, description: "All of them.", body: Bans },
    problems: ["forbidden", "no_such_conversation"],
  },
  banMember: {
    ...ofGroup,
    method: "PUT",
    path: "/api/conversations/{id}/bans/{user_id}",
    summary: "Ban somebody from a group",
    description: "A member is removed, by those who may remove them. Nobody can add a banned user, and no invite lets them in.",
    params: memberParams,
    answer: { status: 204, description: "They are banned." },
    problems: ["forbidden", "no_such_conversation", "no_such_user", "full"],
  },
  unbanMember: {
    ...ofGroup,
    method: "DELETE",
    path: "/api/conversations/{id}/bans/{user_id}",
    summary: "Lift a ban",
    description: "For owners and admins. It does not bring them back by itself.",
    params: memberParams,
    answer: { status: 204, description: "They are not banned." },
    problems: ["forbidden", "no_such_conversation"],
  },
  listInvites: {
    ...ofGroup,
    method: "GET",
    path: "/api/conversations/{id}/invites",
    summary: "List the invites to a group",
    description: "For owners and admins; those that have not ended.",
    isSecret: true,
    params,
    answer: { status: 200, description: "All invites, the newest first.", body: Invites },
    problems: ["forbidden", "no_such_conversation"],
  },
  createInvite: {
    ...ofGroup,
    method: "POST",
    path: "/api/conversations/{id}/invites",
    summary: "Make an invite to a group",
    description: "For owners and admins; a group has at most 20 at a time. Whoever has its token can join.",
    isSecret: true,
    params,
    body: CreateInvite,
    bodyLimit: SMALL_BYTES,
    answer: { status: 201, description: "The invite, with its token.", body: Invite },
    problems: ["forbidden", "no_such_conversation", "full"],
  },
  deleteInvite: {
    ...ofGroup,
    method: "DELETE",
    path: "/api/conversations/{id}/invites/{invite_id}",
    summary: "End an invite",
    description: "For owners and admins. Who has joined by it stays a member.",
    params: Type.Object({ ...conversationParam, invite_id: MessageId }),
    answer: { status: 204, description: "Nobody can join by it any more." },
    problems: ["forbidden", "no_such_conversation", "no_such_invite"],
  },
  joinConversation: {
    ...ofGroup,
    method: "POST",
    path: "/api/conversations/join",
    summary: "Join a group by an invite",
    description: "As a member; an existing member keeps their role. All members get a `member.added` event.",
    body: JoinConversation,
    bodyLimit: SMALL_BYTES,
    answer: { status: 200, description: "The group that one takes part in now.", body: Joined },
    problems: ["banned", "no_such_invite", "full"],
  },
} as const satisfies Record<string, Route>;
