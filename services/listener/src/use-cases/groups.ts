import type { ProblemCode, Role } from "@messenger/contracts";
import { newToken, tokenHash } from "@messenger/runtime";
import {
  addMember,
  ban,
  changeRole,
  createInvite,
  deleteInvite,
  findGroupRole,
  findInvited,
  type GroupEvent,
  type GroupNow,
  type GroupRefusal,
  type GroupResult,
  type Invite,
  inviteContext,
  joinGroup,
  listBans,
  listInvites,
  listMembers,
  MAX_BANS,
  MAX_INVITES,
  MAX_MEMBERS,
  type MemberRow,
  removeMember,
  renameGroup,
  titleContext,
  unban,
} from "@messenger/store";
import type { Context } from "../context.ts";
import { publishEvents } from "../publisher.ts";
import { Refused } from "../refused.ts";
import type { Identity } from "../tokens.ts";
import { sealJson } from "./contents.ts";

/**
 * Who takes part in groups, and who may do what. All of it throws no_such_conversation where one takes no
 * part in the group oneself.
 */
export interface Groups {
  members(by: Identity, id: number): Promise<{ members: readonly MemberRow[]; seq: number }>;
  /** @throws {Refused} forbidden */
  rename(by: Identity, id: number, title: string): Promise<void>;
  /** @throws {Refused} forbidden, banned, unknown_receiver, full */
  add(by: Identity, id: number, userId: number): Promise<void>;
  /** @throws {Refused} forbidden, no_such_user, last_owner */
  changeRole(by: Identity, id: number, userId: number, role: Role): Promise<void>;
  /** Leaves, where it is oneself. @throws {Refused} forbidden, no_such_user, last_owner */
  remove(by: Identity, id: number, userId: number): Promise<void>;
  /** @throws {Refused} forbidden */
  bans(by: Identity, id: number): ReturnType<typeof listBans>;
  /** @throws {Refused} forbidden, no_such_user, full */
  ban(by: Identity, id: number, userId: number): Promise<void>;
  /** @throws {Refused} forbidden */
  unban(by: Identity, id: number, userId: number): Promise<void>;
  /** @throws {Refused} forbidden */
  invites(by: Identity, id: number): Promise<readonly OpenedInvite[]>;
  /** @throws {Refused} forbidden, full */
  invite(by: Identity, id: number, seconds: number): Promise<OpenedInvite>;
  /** @throws {Refused} forbidden, no_such_invite */
  endInvite(by: Identity, id: number, inviteId: string): Promise<void>;
  /** Joins by a link. @throws {Refused} banned, no_such_invite, full */
  join(by: Identity, token: string): Promise<number>;
}

type OpenedInvite = Omit<Invite, "token"> & { token: string };

const REFUSALS: Readonly<Record<GroupRefusal, [ProblemCode, detail: string]>> = {
  "no-conversation": ["no_such_conversation", "there is no such group, or you are not in it"],
  forbidden: ["forbidden", "your role in this group does not allow it"],
  "no-user": ["no_such_user", "there is no such user in this group"],
  banned: ["banned", "this user is banned from the group"],
  full: ["full", `a group has at most ${MAX_MEMBERS} members`],
  "last-owner": ["last_owner", "a group keeps an owner: make somebody else one first"],
  "no-invite": ["no_such_invite", "there is no such invite, or it has ended"],
};

export function createGroups({ db, keyring, ids, random, publisher }: Context): Groups {
  /** An event of a group: what it says is sealed under its id. */
  function eventOf(by: Identity, tell: (now: GroupNow) => object): { by: number } & GroupEvent {
    const eventId = ids.next();
    const sealData = (now: GroupNow): Uint8Array => sealJson(keyring, eventId, { ...tell(now), by_user_id: by.userId });
    return { by: by.userId, eventId, sealData };
  }

  const admission = (by: Identity, conversation: number, userId: number) =>
    eventOf(by, ({ title, members, username }) => ({
      user_id: userId,
      username,
      role: "member",
      title: keyring.contents.unseal(titleContext(conversation), title).toString(),
      members,
    }));

  const departure = (by: Identity, userId: number) => eventOf(by, ({ members }) => ({ user_id: userId, members }));

  /** Tells of a change. @throws {Refused} where there was none. */
  async function change<Done>(changing: Promise<GroupResult<Done>>, others: Partial<typeof REFUSALS> = {}): Promise<Done> {
    const result = await changing;
    if (typeof result === "string") throw new Refused(...(others[result] ?? REFUSALS[result]));
    publishEvents(publisher, result);
    return result;
  }

  /** @throws {Refused} forbidden, no_such_conversation */
  async function requireManager(by: Identity, id: number): Promise<void> {
    const role = await findGroupRole(db, by.userId, id);
    if (role === null) throw new Refused(...REFUSALS["no-conversation"]);
    if (role === "member") throw new Refused(...REFUSALS.forbidden);
  }

  const open = ({ token, ...invite }: Invite): OpenedInvite => ({
    ...invite,
    token: keyring.contents.unseal(inviteContext(invite.id), token).toString(),
  });

  return {
    async members(by, id) {
      const found = await listMembers(db, by.userId, id);
      if (found === null) throw new Refused(...REFUSALS["no-conversation"]);
      return { members: found.members, seq: found.head };
    },
    async rename(by, id, title) {
      const sealed = keyring.contents.seal(titleContext(id), Buffer.from(title));
      await change(renameGroup(db, { conversation: id, title: sealed, ...eventOf(by, () => ({ title })) }));
    },
    async add(by, id, userId) {
      await change(addMember(db, { conversation: id, userId, ...admission(by, id, userId) }), {
        "no-user": ["unknown_receiver", "there is no such user"],
      });
    },
    async changeRole(by, id, userId, role) {
      const event = eventOf(by, () => ({ user_id: userId, role }));
      await change(changeRole(db, { conversation: id, userId, role, ...event }));
    },
    async remove(by, id, userId) {
      await change(removeMember(db, { conversation: id, userId, ...departure(by, userId) }));
    },
    async bans(by, id) {
      await requireManager(by, id);
      return listBans(db, id);
    },
    async ban(by, id, userId) {
      await change(ban(db, { conversation: id, userId, ...departure(by, userId) }), {
        full: ["full", `at most ${MAX_BANS} users are banned from a group`],
      });
    },
    async unban(by, id, userId) {
      await change(unban(db, { conversation: id, by: by.userId, userId }));
    },
    async invites(by, id) {
      await requireManager(by, id);
      return (await listInvites(db, id)).map(open);
    },
    async invite(by, conversation, seconds) {
      const id = ids.next();
      const token = newToken(random);
      const sealed = keyring.contents.seal(inviteContext(id), Buffer.from(token));
      const invite = { conversation, by: by.userId, id, token: sealed, tokenHash: tokenHash(token), seconds };
      const full = { full: ["full", `a group has at most ${MAX_INVITES} invites`] as [ProblemCode, string] };
      return open((await change(createInvite(db, invite), full)).invite);
    },
    async endInvite(by, conversation, inviteId) {
      await change(deleteInvite(db, { conversation, by: by.userId, id: inviteId }));
    },
    async join(by, token) {
      const hash = tokenHash(token);
      const conversation = await findInvited(db, hash);
      if (conversation === null) throw new Refused(...REFUSALS["no-invite"]);
      await change(joinGroup(db, { conversation, tokenHash: hash, ...admission(by, conversation, by.userId) }));
      return conversation;
    },
  };
}
