import type { Endpoint, ENDPOINT_ROUTES } from "@messenger/contracts";
import type { Handlers } from "../http/route.ts";
import type { Endpoints, OpenedEndpoint } from "../use-cases/endpoints.ts";

const describe = (endpoint: OpenedEndpoint): Endpoint => ({
  endpoint_id: endpoint.id,
  address: endpoint.address,
  channel: endpoint.channel,
  kinds: [...endpoint.kinds],
  body: endpoint.isThin ? "thin" : "full",
  header_names: [...endpoint.headerNames],
  timeout_s: endpoint.timeoutS,
  max_per_second: endpoint.maxPerSecond,
  max_in_flight: endpoint.maxInFlight,
  signatures: endpoint.publicKey === null ? ["v1"] : ["v1", "v1a"],
  public_key: endpoint.publicKey,
  state: endpoint.state,
  reason: endpoint.reason,
  made_by: endpoint.keptBy === "owner" ? "owner" : "login",
  cursor: endpoint.cursor,
  waiting: Math.max(0, endpoint.head - endpoint.cursor),
  failures: endpoint.failures,
  failing_since: endpoint.failingSince?.toISOString() ?? null,
  retry_at: endpoint.retryAt?.toISOString() ?? null,
  dead_letters: endpoint.deadLetters,
  created_at: endpoint.createdAt.toISOString(),
});

interface Reference {
  seq: number;
  eventId: string | null;
  kind: string | null;
  messageId: string | null;
}

const refer = ({ seq, eventId, kind, messageId }: Reference) => ({ seq, event_id: eventId, type: kind, message_id: messageId });

export function endpointHandlers(endpoints: Endpoints): Handlers<typeof ENDPOINT_ROUTES> {
  return {
    listEndpoints: async ({ identity }) => ({ endpoints: (await endpoints.list(identity)).map(describe) }),
    async createEndpoint({ identity, body }, reply) {
      const { endpoint, secret } = await endpoints.create(identity, body);
      reply.header("location", `/api/endpoints/${endpoint.id}/`);
      return { ...describe(endpoint), webhook_secret: secret };
    },
    readEndpoint: async ({ identity, params }) => describe(await endpoints.read(identity, params.id)),
    changeEndpoint: async ({ identity, params, body }) => describe(await endpoints.change(identity, params.id, body)),
    deleteEndpoint: ({ identity, params }) => endpoints.delete(identity, params.id),
    async testEndpoint({ identity, params }) {
      const { result, status, ms, error, answer } = await endpoints.test(identity, params.id);
      return { outcome: result, status, ms, error, answer };
    },
    verifyEndpoint: async ({ identity, params }) => describe(await endpoints.verify(identity, params.id)),
    enableEndpoint: async ({ identity, params }) => describe(await endpoints.enable(identity, params.id)),
    disableEndpoint: async ({ identity, params }) => describe(await endpoints.disable(identity, params.id)),
    async rotateEndpointSecret({ identity, params, body }) {
      const { secret, previousUntil } = await endpoints.rotateSecret(identity, params.id, body.previous_valid_s);
      return { webhook_secret: secret, previous_valid_until: previousUntil.toISOString() };
    },
    replayEndpoint: ({ identity, params, body }) => endpoints.replay(identity, params.id, body),
    async listAttempts({ identity, params, query }) {
      const { rows, nextCursor } = await endpoints.attempts(identity, params.id, query);
      return {
        attempts: rows.map((row) => ({
          ...refer(row),
          at: row.at.toISOString(),
          attempt: row.attempt,
          outcome: row.outcome,
          status: row.status,
          ms: row.ms,
          error: row.error,
          answer: row.answer,
        })),
        next_cursor: nextCursor,
      };
    },
    async listDeadLetters({ identity, params, query }) {
      const { rows, nextCursor } = await endpoints.deadLetters(identity, params.id, query);
      return {
        dead_letters: rows.map((row) => ({
          ...refer(row),
          at: row.at.toISOString(),
          reason: row.reason,
          is_replaying: row.asked,
        })),
        next_cursor: nextCursor,
      };
    },
    replayDeadLetters: async ({ identity, params, body }) => ({
      dead_letters: await endpoints.replayDeadLetters(identity, params.id, body.since),
    }),
    replayDeadLetter: async ({ identity, params }) => ({
      dead_letters: await endpoints.replayDeadLetter(identity, params.id, params.seq),
    }),
  };
}
