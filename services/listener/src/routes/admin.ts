import type { ADMIN_ROUTES, AdminAccount, AdminEndpoints, Invitations } from "@messenger/contracts";
import type { AccountOfOperator, FailingEndpoint, InvitationRow } from "@messenger/store";
import type { Handlers } from "../http/route.ts";
import type { Administration } from "../use-cases/administration.ts";
import type { Moderation } from "../use-cases/moderation.ts";
import type { Sessions } from "../use-cases/sessions.ts";

/** Of an address, what says where it is; its path and query may hold secrets. */
function originOf(address: string): string {
  const url = URL.parse(address);
  return url === null || url.host === "" ? address.slice(0, address.indexOf(":") + 1) : `${url.protocol}//${url.host}`;
}

export function adminHandlers(
  administration: Administration,
  moderation: Moderation,
  sessions: Sessions,
): Handlers<typeof ADMIN_ROUTES> {
  const describe = ({ id, suspendedAt, createdAt, ...account }: AccountOfOperator): AdminAccount => ({
    user_id: id,
    username: account.username,
    email: account.email,
    role: account.role,
    plan: account.plan,
    suspended_at: suspendedAt?.toISOString() ?? null,
    created_at: createdAt.toISOString(),
    sessions: account.sessions,
    endpoints: account.endpoints,
  });
  const describeEndpoint = (row: FailingEndpoint): AdminEndpoints["endpoints"][number] => ({
    endpoint_id: row.id,
    user_id: row.userId,
    origin: originOf(row.address),
    state: row.state,
    reason: row.reason,
    failures: row.failures,
    failing_since: row.failingSince?.toISOString() ?? null,
    behind: row.behind,
    dead_letters: row.deadLetters,
  });
  const describeInvitation = ({ id, createdAt, expiresAt, usedAt }: InvitationRow): Invitations["invitations"][number] => ({
    invitation_id: id,
    created_at: createdAt.toISOString(),
    expires_at: expiresAt.toISOString(),
    used_at: usedAt?.toISOString() ?? null,
  });

  return {
    reportMessage: ({ identity, params, body }) => moderation.report(identity, params.id, body),
    confirmPassword: ({ identity, body, ip }) => sessions.confirm(identity, body, ip),
    async listUsers({ query }) {
      const { items, nextCursor } = await administration.listUsers(query);
      return { users: items.map(describe), next_cursor: nextCursor };
    },
    readUser: async ({ params }) => describe(await administration.readUser(params.id)),
    suspendUser: async ({ identity, params }) => describe(await administration.suspend(identity, params.id)),
    restoreUser: async ({ identity, params }) => describe(await administration.restore(identity, params.id)),
    signOutUser: async ({ identity, params }) => describe(await administration.signOut(identity, params.id)),
    changePlan: async ({ identity, params, body }) => describe(await administration.changePlan(identity, params.id, body.plan)),
    eraseUser: ({ identity, params }) => administration.erase(identity, params.id),
    async createInvitation({ identity, body }) {
      const made = await administration.invite(identity, body.valid_days);
      return { ...describeInvitation(made), invitation: made.invitation };
    },
    async listInvitations({ query }) {
      const { items, nextCursor } = await administration.listInvitations(query);
      return { invitations: items.map(describeInvitation), next_cursor: nextCursor };
    },
    deleteInvitation: ({ identity, params }) => administration.deleteInvitation(identity, params.id),
    async listFailingEndpoints({ query }) {
      const { items, nextCursor } = await administration.listEndpoints(query);
      return { endpoints: items.map(describeEndpoint), next_cursor: nextCursor };
    },
    replayLettersOfEndpoint: async ({ identity, params }) => ({
      count: await administration.replayDeadLetters(identity, params.id),
    }),
    async readQueue() {
      const waiting = await administration.readQueue();
      return {
        outbox_rows: waiting.outboxRows,
        outbox_age_seconds: waiting.outboxAgeSeconds,
        endpoints_waiting: waiting.endpointsWaiting,
        overdue_seconds: waiting.overdueSeconds,
        endpoints_off: waiting.endpointsOff,
        dead_letters: waiting.deadLetters,
      };
    },
    async listReports({ query }) {
      const { items, nextCursor } = await moderation.list(query);
      return { reports: [...items], next_cursor: nextCursor };
    },
    resolveReport: ({ identity, params, body }) => moderation.resolve(identity, params.id, body.action),
    async listAuditLog() {
      const entries = await administration.listAudit();
      return {
        entries: entries.map(({ at, actor, action, userId }) => ({ at: at.toISOString(), actor, action, user_id: userId })),
      };
    },
  };
}
