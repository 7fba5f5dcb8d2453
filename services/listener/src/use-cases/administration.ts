import { loginKeys } from "@messenger/core";
import { newInvitation, tokenHash } from "@messenger/runtime";
import {
  type AccountOfOperator,
  type AuditEntry,
  type Backlog,
  type FailingEndpoint,
  createInvitation,
  deleteInvitation,
  findAccountByName,
  findAccountOfOperator,
  findOwner,
  type InvitationRow,
  listAccounts,
  listAudit,
  listFailingEndpoints,
  listInvitations,
  noteAudit,
  readBacklog,
  replayDeadLetters,
  restoreUser,
  setPlan,
  signOutUser,
  suspendUser,
} from "@messenger/store";
import type { Context } from "../context.ts";
import { STANDARD_PLAN } from "../rate-limits.ts";
import { Refused } from "../refused.ts";
import type { Identity } from "../tokens.ts";
import { actorOf } from "./audit.ts";
import { type Page, type PageRequest, readPageById } from "./pages.ts";
import type { Users } from "./users.ts";

/** What administrators see and do. All of what they do is in the audit log. */
export interface Administration {
  listUsers(request: PageRequest & { admins?: boolean | undefined; name?: string | undefined }): Promise<Page<AccountOfOperator>>;
  /** @throws {Refused} no_such_user */
  readUser(id: number): Promise<AccountOfOperator>;
  /** @throws {Refused} no_such_user, forbidden */
  suspend(by: Identity, id: number): Promise<AccountOfOperator>;
  /** @throws {Refused} no_such_user */
  restore(by: Identity, id: number): Promise<AccountOfOperator>;
  /** @throws {Refused} no_such_user */
  signOut(by: Identity, id: number): Promise<AccountOfOperator>;
  /** @throws {Refused} no_such_user */
  changePlan(by: Identity, id: number, plan: string): Promise<AccountOfOperator>;
  /** @throws {Refused} no_such_user, forbidden */
  erase(by: Identity, id: number): Promise<void>;
  invite(by: Identity, validDays: number): Promise<InvitationRow & { invitation: string }>;
  listInvitations(request: PageRequest): Promise<Page<InvitationRow>>;
  /** @throws {Refused} no_such_invitation */
  deleteInvitation(by: Identity, id: number): Promise<void>;
  listEndpoints(request: PageRequest): Promise<Page<FailingEndpoint>>;
  /** How many are pushed again. @throws {Refused} no_such_endpoint */
  replayDeadLetters(by: Identity, endpoint: number): Promise<number>;
  readQueue(): Promise<Backlog>;
  listAudit(): Promise<readonly AuditEntry[]>;
}

const AUDITED = 1_000;

export function createAdministration(
  { db, publisher, random, revocations, settings }: Context,
  users: Pick<Users, "delete">,
): Administration {
  async function readUser(id: number): Promise<AccountOfOperator> {
    const found = await findAccountOfOperator(db, id);
    if (found === null) throw new Refused("no_such_user", "User not found.");
    return found;
  }

  function refuseOneself(by: Identity, id: number): void {
    if (id === by.userId) throw new Refused("forbidden", "nobody does this to their own account here");
  }

  return {
    listUsers: ({ admins = false, name, ...request }) =>
      readPageById(request, async (after, limit) => {
        if (name === undefined) return listAccounts(db, { after, limit, onlyAdmins: admins });
        const found = await findAccountByName(db, loginKeys(name));
        return found === null ? [] : [found];
      }),
    readUser,
    async suspend(by, id) {
      refuseOneself(by, id);
      await suspendUser(db, actorOf(by), id);
      return readUser(id);
    },
    async restore(by, id) {
      await restoreUser(db, actorOf(by), id);
      return readUser(id);
    },
    async signOut(by, id) {
      const done = await signOutUser(db, actorOf(by), id);
      publisher.wake(done?.changed ?? null);
      for (const ended of done?.ended ?? []) revocations.add(ended);
      return readUser(id);
    },
    async changePlan(by, id, plan) {
      const known = [STANDARD_PLAN, ...settings.rateLimits.plans.keys()];
      if (!known.includes(plan))
        throw new Refused("validation_error", `body: plan must be one of ${known.join(", ")} (RATE_LIMITS)`);
      await setPlan(db, actorOf(by), id, plan);
      return readUser(id);
    },
    async erase(by, id) {
      refuseOneself(by, id);
      await users.delete(by, { user_id: id }); // and writes it down
    },
    async invite(by, validDays) {
      const invitation = newInvitation(random);
      return { ...(await createInvitation(db, actorOf(by), tokenHash(invitation), validDays)), invitation };
    },
    listInvitations: (request) => readPageById(request, (after, limit) => listInvitations(db, { after, limit })),
    async deleteInvitation(by, id) {
      const deleted = await deleteInvitation(db, actorOf(by), id);
      if (!deleted) throw new Refused("no_such_invitation", "there is no such invitation");
    },
    listEndpoints: (request) => readPageById(request, (after, limit) => listFailingEndpoints(db, { after, limit })),
    async replayDeadLetters(by, endpoint) {
      const owner = await findOwner(db, endpoint);
      const replayed = owner === null ? null : await replayDeadLetters(db, owner, endpoint, "all");
      if (replayed === null) throw new Refused("no_such_endpoint", "there is no such endpoint of a user");
      publisher.wake(replayed.changed);
      await noteAudit(db, actorOf(by), "dead_letters.replayed", owner);
      return replayed.count;
    },
    readQueue: () => readBacklog(db),
    listAudit: () => listAudit(db, AUDITED),
  };
}
