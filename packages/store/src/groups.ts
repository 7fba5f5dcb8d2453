import { sql } from "kysely";
import { announce, type AppendedEvents, lockMembers, MembersChanged, transactionOfMembers } from "./append-events.ts";
import type { Db } from "./database.ts";
import { deleteSome } from "./delete-some.ts";
import { refusesToBeAdded } from "./people.ts";

export type Role = "owner" | "admin" | "member";

/** People in a group, at most: an event of it is written to the inbox of each. */
export const MAX_MEMBERS = 256;
/** Groups that one is an owner of. */
export const MAX_GROUPS = 1_000;
/** Links by which one can join a group. */
export const MAX_INVITES = 20;
/** People who are kept out of a group. */
export const MAX_BANS = 1_000;

/** Why a group was not changed. */
export type GroupRefusal =
  /** There is no such group, or the user takes no part in it. */
  | "no-conversation"
  /** The user's role does not allow it. */
  | "forbidden"
  /** There is no such user, or, where one that takes part is meant, they do not. */
  | "no-user"
  | "banned"
  /** It would have more members, invites or bans than it may. */
  | "full"
  /** A group with members has an owner. */
  | "last-owner"
  | "no-invite";

/** What a change of a group came to: why it was refused, or what it told the members. */
export type GroupResult<Done = object> = GroupRefusal | (Done & AppendedEvents);

interface Member {
  userId: number;
  inbox: number;
  role: Role;
}

/** A group whose members cannot change, and whose members' inboxes are locked. */
interface LockedGroup {
  id: number;
  members: readonly Member[];
  /** The inbox of somebody who is locked besides; undefined where there is no such user. */
  inboxOf(userId: number): number | undefined;
  /** Sealed under {@link titleContext}. */
  title: Uint8Array;
}

const NOTHING: AppendedEvents = { events: [], outboxId: null };

/** What the request is sealed under that a group was made by. */
export const groupRequestContext = "request";

/** What the title of a group is sealed under. */
export function titleContext(conversation: number): string {
  return `title/${conversation}`;
}

/**
 * Locks the inboxes of a group's members, and of others, by id, and then the group. Null where there is no
 * such group.
 * @throws {MembersChanged}
 */
async function lockGroup(tx: Db, conversation: number, others: readonly number[]): Promise<LockedGroup | null> {
  const boxes = await sql<{ id: number; userId: number }>`
    select id, user_id as "userId" from inboxes
    where user_id in (
      select unnest(${others}::bigint[]) union select user_id from participants where conversation_id = ${conversation}
    )
    order by id for no key update
  `.execute(tx);
  const found = await sql<{ title: Uint8Array }>`
    select title from conversations where id = ${conversation} and low_user_id is null for update
  `.execute(tx);
  const [group] = found.rows;
  if (group === undefined) return null;
  const inboxes = new Map(boxes.rows.map(({ id, userId }) => [userId, id]));
  const { rows } = await sql<{ userId: number; role: Role }>`
    select user_id as "userId", role from participants where conversation_id = ${conversation} order by joined_at, user_id
  `.execute(tx);
  const members: Member[] = [];
  for (const { userId, role } of rows) {
    const inbox = inboxes.get(userId);
    if (inbox === undefined) throw new MembersChanged();
    members.push({ userId, inbox, role });
  }
  return { id: conversation, members, inboxOf: (userId) => inboxes.get(userId), title: group.title };
}

/** Runs a change of a group, in a transaction, with its members locked. What it refuses changes nothing. */
function lockAndChange<Done>(
  db: Db,
  conversation: number,
  others: readonly number[],
  change: (tx: Db, group: LockedGroup) => Promise<GroupResult<Done>>,
): Promise<GroupResult<Done>> {
  return transactionOfMembers(db, async (tx) => {
    await lockMembers(tx, conversation);
    const group = await lockGroup(tx, conversation, others);
    return group === null ? "no-conversation" : change(tx, group);
  });
}

/**
 * Likewise, for one of the members, who must be an owner or admin where `isManaged`. That is looked at before
 * anything is locked, so that nobody else holds the members up, and again after that.
 */
async function changeGroup<Done>(
  db: Db,
  {
    conversation,
    by,
    others = [],
    isManaged = true,
  }: { conversation: number; by: number; others?: readonly number[]; isManaged?: boolean },
  change: (tx: Db, group: LockedGroup, me: Member) => Promise<GroupResult<Done>>,
): Promise<GroupResult<Done>> {
  const role = await findGroupRole(db, by, conversation);
  if (role === null) return "no-conversation";
  if (isManaged && role === "member") return "forbidden";
  return lockAndChange(db, conversation, others, async (tx, group) => {
    const me = memberOf(group, by);
    if (me === undefined) return "no-conversation";
    if (isManaged && !isManager(me)) return "forbidden";
    return change(tx, group, me);
  });
}

const memberOf = (group: LockedGroup, userId: number): Member | undefined =>
  group.members.find((member) => member.userId === userId);
const isManager = (member: Member | undefined): boolean => member !== undefined && member.role !== "member";

/** What an append that waited for the inboxes sees it by. */
async function raiseVersion(tx: Db, conversation: number): Promise<void> {
  await sql`update conversations set members_version = members_version + 1 where id = ${conversation}`.execute(tx);
}

/** How a group is once it was changed. */
export interface GroupNow {
  /** Sealed under {@link titleContext}. */
  title: Uint8Array;
  /** How many take part. */
  members: number;
  /** Of who was added: the user name; null where they have none. */
  username?: string | null;
}

/** An event of a group. */
export interface GroupEvent {
  eventId: string;
  /** What it says, sealed. */
  sealData: (now: GroupNow) => Uint8Array;
}

/** By whom a group is changed. */
export interface GroupChange extends GroupEvent {
  conversation: number;
  by: number;
}

function tell(
  tx: Db,
  group: LockedGroup,
  kind: string,
  { eventId, sealData }: GroupEvent,
  now: GroupNow,
  more: readonly number[] = [],
): Promise<AppendedEvents> {
  const inboxes = [...group.members.map(({ inbox }) => inbox), ...more];
  return announce(tx, inboxes, { kind, eventId, conversation: group.id, data: sealData(now) });
}

export interface NewGroup {
  by: number;
  /** Beside whoever makes it. */
  members: readonly number[];
  sealTitle: (conversation: number) => Uint8Array;
  eventId: string;
  sealData: (members: number) => Uint8Array;
  /** SHA-256 of the user and the `Idempotency-Key`; what is asked for, sealed; and whether a sealed one is the same. */
  request: { key: Uint8Array; sealed: Uint8Array; isSame: (sealed: Uint8Array) => boolean } | null;
}

export type MadeGroup =
  | { status: "made"; id: number; events: AppendedEvents }
  /** Was made before, under this request key; `isSame` says whether by the same request. */
  | { status: "repeat"; id: number; isSame: boolean }
  | { status: "no-user" }
  /** One owns as many groups as one may. */
  | { status: "full" };

/** Makes a group. Locks the inboxes of its members, by id. */
export async function createGroup(db: Db, { by, members, sealTitle, eventId, sealData, request }: NewGroup): Promise<MadeGroup> {
  const all = [...new Set([by, ...members])];
  return db.transaction().execute(async (tx): Promise<MadeGroup> => {
    const before = request === null ? null : await findMade(tx, request);
    if (before !== null) return before;
    const boxes = await sql<{ id: number }>`
      select id from inboxes where user_id = any(${all}::bigint[]) order by id for no key update
    `.execute(tx);
    if (boxes.rows.length < all.length || (await refusesToBeAdded(tx, { by: members, who: by }))) return { status: "no-user" };
    const { rows: own } = await sql`
      select from participants where user_id = ${by} and role = 'owner' limit ${MAX_GROUPS}
    `.execute(tx);
    if (own.length >= MAX_GROUPS) return { status: "full" };
    // Its id is drawn first: the title is sealed under it. A repeat finds it by the request key.
    const made = await sql<{ id: number }>`
      with drawn as (select nextval(pg_get_serial_sequence('conversations', 'id')) as id)
      insert into conversations (id, title, request_key, request) overriding system value
      select id, ''::bytea, ${request?.key ?? null}::bytea, ${request?.sealed ?? null}::bytea from drawn
      on conflict do nothing returning id
    `.execute(tx);
    const id = made.rows[0]?.id;
    // Somebody else made it under this key while the inboxes were waited for.
    if (id === undefined) return (await findMade(tx, request as NonNullable<typeof request>)) as MadeGroup;
    await sql`update conversations set title = ${sealTitle(id)} where id = ${id}`.execute(tx);
    await sql`
      insert into participants (conversation_id, user_id, role, joined_at)
      select ${id}, user_id, case when user_id = ${by} then 'owner' else 'member' end, clock_timestamp()
      from unnest(${all}::bigint[]) as member (user_id)
    `.execute(tx);
    const inboxes = boxes.rows.map((box) => box.id);
    const created = { kind: "conversation.created", eventId, conversation: id, data: sealData(all.length) };
    return { status: "made", id, events: await announce(tx, inboxes, created) };
  });
}

/** The group that was made under a request key; null where there is none. */
async function findMade(tx: Db, { key, isSame }: NonNullable<NewGroup["request"]>): Promise<MadeGroup | null> {
  const { rows } = await sql<{ id: number; request: Uint8Array }>`
    select id, request from conversations where request_key = ${key}
  `.execute(tx);
  const [row] = rows;
  return row === undefined ? null : { status: "repeat", id: row.id, isSame: isSame(row.request) };
}

/** Finds the conversation of two users, or makes it; null where there is no such user. Locks their inboxes, by id. */
export async function openDirect(db: Db, by: number, userId: number): Promise<number | null> {
  return db.transaction().execute(async (tx) => {
    const both = [...new Set([by, userId])];
    const boxes = await sql`select from inboxes where user_id = any(${both}::bigint[]) order by id for no key update`.execute(tx);
    if (boxes.rows.length < both.length) return null;
    const { rows } = await sql<{ id: number }>`
      insert into conversations (low_user_id, high_user_id) values (${Math.min(by, userId)}, ${Math.max(by, userId)})
      on conflict (low_user_id, high_user_id) do update set low_user_id = excluded.low_user_id
      returning id
    `.execute(tx);
    const { id } = rows[0] as { id: number };
    await sql`
      insert into participants (conversation_id, user_id, request)
      select ${id}, user_id, case when screens and user_id <> ${by} then 'waiting' end from inboxes where user_id = any(${both}::bigint[])
      on conflict do nothing
    `.execute(tx);
    return id;
  });
}

/** Gives a group another title. */
export function renameGroup(
  db: Db,
  { conversation, by, title, ...event }: GroupChange & { title: Uint8Array },
): Promise<GroupResult> {
  return changeGroup(db, { conversation, by }, async (tx, group) => {
    await sql`update conversations set title = ${title} where id = ${conversation}`.execute(tx);
    return tell(tx, group, "conversation.changed", event, { title, members: group.members.length });
  });
}

/** Lets somebody in whose inbox is locked; who is a member already stays what they are. */
async function admit(tx: Db, group: LockedGroup, userId: number, event: GroupEvent): Promise<GroupResult> {
  if (memberOf(group, userId) !== undefined) return NOTHING;
  const inbox = group.inboxOf(userId);
  if (inbox === undefined) return "no-user";
  const bans = await sql`select from bans where conversation_id = ${group.id} and user_id = ${userId}`.execute(tx);
  if (bans.rows.length > 0) return "banned";
  if (group.members.length >= MAX_MEMBERS) return "full";
  await sql`
    insert into participants (conversation_id, user_id, role, joined_at)
    values (${group.id}, ${userId}, 'member', clock_timestamp())
  `.execute(tx);
  await raiseVersion(tx, group.id);
  const { rows } = await sql<{ username: string | null }>`select username from users where id = ${userId}`.execute(tx);
  const now = { title: group.title, members: group.members.length + 1, username: rows[0]?.username ?? null };
  return tell(tx, group, "member.added", event, now, [inbox]);
}

/** Makes somebody a member; one who is already stays what they are. */
export function addMember(
  db: Db,
  { conversation, by, userId, ...event }: GroupChange & { userId: number },
): Promise<GroupResult> {
  return changeGroup(db, { conversation, by, others: [userId] }, async (tx, group) => {
    if (await refusesToBeAdded(tx, { by: [userId], who: by })) return "no-user";
    return admit(tx, group, userId, event);
  });
}

/** Takes out who takes part, and tells them, too. The last one leaves nothing behind by which others could join. */
async function takeOut(tx: Db, group: LockedGroup, kind: string, userId: number, event: GroupEvent): Promise<AppendedEvents> {
  await sql`delete from participants where conversation_id = ${group.id} and user_id = ${userId}`.execute(tx);
  await sql`insert into left_groups (user_id, conversation_id) values (${userId}, ${group.id}) on conflict do nothing`.execute(
    tx,
  );
  if (group.members.length === 1) {
    // Nobody can read it or join it any more: what is left of it is erased by `prune`.
    await sql`delete from invites where conversation_id = ${group.id}`.execute(tx);
    await sql`insert into abandoned_groups (conversation_id) values (${group.id}) on conflict do nothing`.execute(tx);
  }
  await raiseVersion(tx, group.id);
  return tell(tx, group, kind, event, { title: group.title, members: group.members.length - 1 });
}

/** Whether somebody may remove or ban another: owners may admins and members, admins may members. */
const outranks = (me: Member, other: Member): boolean =>
  me.role === "owner" ? other.role !== "owner" : me.role === "admin" && other.role === "member";

/** Removes a member, or leaves where that is oneself. */
export function removeMember(
  db: Db,
  { conversation, by, userId, ...event }: GroupChange & { userId: number },
): Promise<GroupResult> {
  return changeGroup(db, { conversation, by, isManaged: userId !== by }, async (tx, group, me) => {
    if (userId === by) {
      const hasOther = group.members.some((member) => member.userId !== by && member.role === "owner");
      if (me.role === "owner" && !hasOther && group.members.length > 1) return "last-owner";
      return takeOut(tx, group, "member.left", userId, event);
    }
    const other = memberOf(group, userId);
    if (other === undefined) return "no-user";
    if (!outranks(me, other)) return "forbidden";
    return takeOut(tx, group, "member.removed", userId, event);
  });
}

/** Gives a member another role: only an owner does. A group keeps an owner. */
export function changeRole(
  db: Db,
  { conversation, by, userId, role, ...event }: GroupChange & { userId: number; role: Role },
): Promise<GroupResult> {
  return changeGroup(db, { conversation, by }, async (tx, group, me) => {
    const other = memberOf(group, userId);
    if (me.role !== "owner") return "forbidden";
    if (other === undefined) return "no-user";
    if (other.role === role) return NOTHING;
    const owners = group.members.filter((member) => member.role === "owner");
    if (other.role === "owner" && owners.length === 1) return "last-owner";
    await sql`
      update participants set role = ${role} where conversation_id = ${conversation} and user_id = ${userId}
    `.execute(tx);
    return tell(tx, group, "member.changed", event, { title: group.title, members: group.members.length });
  });
}

/** Keeps somebody out of a group, and removes them where they take part. */
export function ban(db: Db, { conversation, by, userId, ...event }: GroupChange & { userId: number }): Promise<GroupResult> {
  return changeGroup(db, { conversation, by, others: [userId] }, async (tx, group, me) => {
    if (userId === by) return "forbidden";
    if (group.inboxOf(userId) === undefined) return "no-user";
    const other = memberOf(group, userId);
    if (other !== undefined && !outranks(me, other)) return "forbidden";
    const { rows } = await sql<{ count: number }>`
      select count(*) as count from bans where conversation_id = ${conversation} and user_id <> ${userId}
    `.execute(tx);
    if ((rows[0]?.count ?? 0) >= MAX_BANS) return "full";
    await sql`
      insert into bans (conversation_id, user_id, by_user_id) values (${conversation}, ${userId}, ${by}) on conflict do nothing
    `.execute(tx);
    return other === undefined ? NOTHING : takeOut(tx, group, "member.removed", userId, event);
  });
}

/** Lets somebody be added again, or join. */
export function unban(
  db: Db,
  { conversation, by, userId }: { conversation: number; by: number; userId: number },
): Promise<GroupResult> {
  return changeGroup(db, { conversation, by }, async (tx) => {
    await sql`delete from bans where conversation_id = ${conversation} and user_id = ${userId}`.execute(tx);
    return NOTHING;
  });
}

export interface Invite {
  id: string;
  /** Sealed under {@link inviteContext}. */
  token: Uint8Array;
  byUserId: number;
  createdAt: Date;
  expiresAt: Date;
}

/** What the token of an invite is sealed under. */
export function inviteContext(id: string): string {
  return `invite/${id}`;
}

/** Makes a link by which anybody can join until it ends; those that have ended are dropped. */
export function createInvite(
  db: Db,
  invite: { conversation: number; by: number; id: string; token: Uint8Array; tokenHash: Uint8Array; seconds: number },
): Promise<GroupResult<{ invite: Invite }>> {
  const { conversation, by, id, token, tokenHash, seconds } = invite;
  return changeGroup(db, { conversation, by }, async (tx) => {
    await sql`delete from invites where conversation_id = ${conversation} and expires_at < now()`.execute(tx);
    const there = await sql`select from invites where conversation_id = ${conversation}`.execute(tx);
    if (there.rows.length >= MAX_INVITES) return "full";
    const { rows } = await sql<Invite>`
      insert into invites (id, conversation_id, token_hash, token, by_user_id, expires_at)
      values (${id}, ${conversation}, ${tokenHash}, ${token}, ${by}, now() + ${seconds} * interval '1 second')
      returning id, token, by_user_id as "byUserId", created_at as "createdAt", expires_at as "expiresAt"
    `.execute(tx);
    return { invite: rows[0] as Invite, ...NOTHING };
  });
}

/** Makes a link useless. */
export function deleteInvite(
  db: Db,
  { conversation, by, id }: { conversation: number; by: number; id: string },
): Promise<GroupResult> {
  return changeGroup(db, { conversation, by }, async (tx) => {
    const { rows } = await sql`delete from invites where id = ${id} and conversation_id = ${conversation} returning id`.execute(
      tx,
    );
    return rows.length === 0 ? "no-invite" : NOTHING;
  });
}

/** The group that a link leads to; null where it has ended. */
export async function findInvited(db: Db, tokenHash: Uint8Array): Promise<number | null> {
  const { rows } = await sql<{ id: number }>`
    select conversation_id as id from invites where token_hash = ${tokenHash} and expires_at > now()
  `.execute(db);
  return rows[0]?.id ?? null;
}

/** Joins a group by a link; who takes part already stays what they are. */
export function joinGroup(
  db: Db,
  { conversation, by, tokenHash, ...event }: GroupChange & { tokenHash: Uint8Array },
): Promise<GroupResult> {
  return lockAndChange(db, conversation, [by], async (tx, group) => {
    // Again, under the lock: the link may have been taken back.
    if ((await findInvited(tx, tokenHash)) !== conversation) return "no-invite";
    return admit(tx, group, by, event);
  });
}

export interface MemberRow {
  userId: number;
  username: string | null;
  fullName: string | null;
  role: Role;
  joinedAt: Date;
}

/**
 * The members of a group, in the order in which they joined; null where the user takes no part in it. `head`
 * is that of the user's inbox at the same moment.
 */
export async function listMembers(
  db: Db,
  userId: number,
  conversation: number,
): Promise<{ head: number; members: readonly MemberRow[] } | null> {
  const { rows } = await sql<MemberRow & { head: number }>`
    select b.head, p.user_id as "userId", u.username, u.full_name as "fullName", p.role, p.joined_at as "joinedAt"
    from participants own join conversations c on c.id = own.conversation_id and c.low_user_id is null
      join inboxes b on b.user_id = own.user_id
      join participants p on p.conversation_id = own.conversation_id join users u on u.id = p.user_id
    where own.conversation_id = ${conversation} and own.user_id = ${userId}
    order by p.joined_at, p.user_id
  `.execute(db);
  const [first] = rows;
  if (first === undefined) return null;
  return { head: first.head, members: rows };
}

/** What a user is in a group; null where they take no part in it. */
export async function findGroupRole(db: Db, userId: number, conversation: number): Promise<Role | null> {
  const { rows } = await sql<{ role: Role }>`
    select p.role from participants p join conversations c on c.id = p.conversation_id and c.low_user_id is null
    where p.conversation_id = ${conversation} and p.user_id = ${userId}
  `.execute(db);
  return rows[0]?.role ?? null;
}

/** The links of a group that have not ended, the newest first. */
export async function listInvites(db: Db, conversation: number): Promise<readonly Invite[]> {
  const { rows } = await sql<Invite>`
    select id, token, by_user_id as "byUserId", created_at as "createdAt", expires_at as "expiresAt"
    from invites where conversation_id = ${conversation} and expires_at > now() order by created_at desc, id desc
  `.execute(db);
  return rows;
}

/** Who is kept out of a group, the latest first. */
export async function listBans(
  db: Db,
  conversation: number,
): Promise<readonly { userId: number; username: string | null; byUserId: number; at: Date }[]> {
  const { rows } = await sql<{ userId: number; username: string | null; byUserId: number; at: Date }>`
    select bans.user_id as "userId", u.username, bans.by_user_id as "byUserId", bans.at
    from bans left join users u on u.id = bans.user_id
    where conversation_id = ${conversation} order by bans.at desc, bans.user_id desc
  `.execute(db);
  return rows;
}

/** What a user says of a conversation for oneself; what is undefined stays. */
export interface Preferences {
  muted: boolean;
  archived: boolean;
  pinned: boolean;
}

/**
 * Changes how a user likes to see a conversation, and tells the user's own clients. Null where the user takes
 * no part in it. Locks the user's inbox, then the participant.
 */
export function changePreferences(
  db: Db,
  change: {
    userId: number;
    conversation: number;
    given: Partial<Preferences>;
    eventId: string;
    sealData: (preferences: Preferences) => Uint8Array;
  },
): Promise<{ preferences: Preferences; events: AppendedEvents } | null> {
  const { userId, conversation, given, eventId, sealData } = change;
  return db.transaction().execute(async (tx) => {
    const box = await sql<{ id: number }>`select id from inboxes where user_id = ${userId} for no key update`.execute(tx);
    const inbox = box.rows[0]?.id;
    if (inbox === undefined) return null;
    const { rows } = await sql<Preferences>`
      update participants p set muted = coalesce(${given.muted ?? null}, p.muted), archived = coalesce(${given.archived ?? null}, p.archived),
        pinned = coalesce(${given.pinned ?? null}, p.pinned)
      where p.conversation_id = ${conversation} and p.user_id = ${userId}
      returning p.muted, p.archived, p.pinned
    `.execute(tx);
    const [preferences] = rows;
    if (preferences === undefined) return null;
    const changed = { kind: "preferences.changed", eventId, conversation, data: sealData(preferences) };
    return { preferences, events: await announce(tx, [inbox], changed) };
  });
}

/**
 * Leaves all groups of a user whose account is being deleted: the admin, or else the member, who has been
 * there longest follows an owner who was the only one.
 */
export async function leaveGroups(
  db: Db,
  userId: number,
  eventOf: (newOwner: number | undefined) => GroupEvent,
): Promise<readonly AppendedEvents[]> {
  const { rows } = await sql<{ id: number }>`
    select p.conversation_id as id from participants p join conversations c on c.id = p.conversation_id and c.low_user_id is null
    where p.user_id = ${userId}
  `.execute(db);
  const told: AppendedEvents[] = [];
  for (const { id } of rows) {
    const left = await lockAndChange(db, id, [], async (tx, group) => {
      if (memberOf(group, userId) === undefined) return NOTHING;
      const rest = group.members.filter((member) => member.userId !== userId);
      const hasOwner = rest.some(({ role }) => role === "owner");
      const heir = hasOwner ? undefined : (rest.find(({ role }) => role === "admin") ?? rest[0]);
      if (heir !== undefined) {
        await sql`
          update participants set role = 'owner' where conversation_id = ${id} and user_id = ${heir.userId}
        `.execute(tx);
      }
      return takeOut(tx, group, "member.left", userId, eventOf(heir?.userId));
    });
    if (typeof left !== "string") told.push(left);
  }
  return told;
}

/** Erases groups that everybody left so many days ago: by then, every endpoint has what was written to it, or is off. */
export async function eraseAbandonedGroups(db: Db, days: number): Promise<void> {
  const { rows } = await sql<{ id: number }>`
    select conversation_id as id from abandoned_groups where at < now() - ${days} * interval '1 day' limit 100
  `.execute(db);
  for (const { id } of rows) {
    const messages = sql`(select id from messages where conversation_id = ${id})`;
    await deleteSome(db, "message_versions", sql`message_id in ${messages}`);
    await deleteSome(db, "reactions", sql`message_id in ${messages}`);
    await deleteSome(db, "messages", sql`conversation_id = ${id}`);
    await sql`delete from bans where conversation_id = ${id}`.execute(db);
    await sql`delete from left_groups where conversation_id = ${id}`.execute(db);
    await sql`delete from conversations where id = ${id}`.execute(db);
    await sql`delete from abandoned_groups where conversation_id = ${id}`.execute(db);
  }
}
