import { type TypeBoxTypeProvider, TypeBoxValidatorCompiler } from "@fastify/type-provider-typebox";
import {
  ADMIN_ROUTES,
  BOT_ROUTES,
  CONTACT_ROUTES,
  CONVERSATION_ROUTES,
  describeApi,
  DOOR_ROUTES,
  ENDPOINT_ROUTES,
  EVENT_ROUTES,
  GROUP_ROUTES,
  HEALTH_ROUTES,
  IDENTITY_ROUTES,
  MESSAGE_ROUTES,
  NOTIFICATION_ROUTES,
  ROUTES,
  PEOPLE_ROUTES,
  SECOND_FACTOR_ROUTES,
  SESSION_ROUTES,
  TOKEN_ROUTES,
  USER_ROUTES,
} from "@messenger/contracts";
import { traceIdOf } from "@messenger/core";
import type { IncomingMessage, ServerResponse } from "node:http";
import fastify, {
  type FastifyBaseLogger,
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
  LogController,
  type RawServerDefault,
} from "fastify";
import type { Context } from "./context.ts";
import { Refused } from "./refused.ts";
import { authDoor } from "./doors/auth.ts";
import { messageDoor } from "./doors/messages.ts";
import { sendMessageDoor } from "./doors/send-message.ts";
import { answerErrors, codeOf } from "./http/errors.ts";
import { requireLocalHost } from "./http/hosts.ts";
import { parseFormBody, parseJsonBody, refuseUnstorable } from "./http/json-body.ts";
import { servePages } from "./http/pages.ts";
import { sendProblemDetails } from "./http/problem.ts";
import { createRequestIds } from "./http/request-ids.ts";
import { createBoundedServer } from "./http/server.ts";
import { limitRequests } from "./http/rate-limit.ts";
import { addRoutes } from "./http/route.ts";
import { requireSessions } from "./http/session.ts";
import { traceRequests } from "./http/trace.ts";
import { networkOf } from "./networks.ts";
import { adminHandlers } from "./routes/admin.ts";
import { botHandlers } from "./routes/bots.ts";
import { contactHandlers } from "./routes/contacts.ts";
import { conversationHandlers } from "./routes/conversations.ts";
import { endpointHandlers } from "./routes/endpoints.ts";
import { eventHandlers } from "./routes/events.ts";
import { groupHandlers } from "./routes/groups.ts";
import { healthHandlers } from "./routes/health.ts";
import { identityHandlers } from "./routes/identities.ts";
import { messageHandlers } from "./routes/messages.ts";
import { notificationHandlers } from "./routes/notifications.ts";
import { secondFactorHandlers } from "./routes/second-factors.ts";
import { sessionHandlers } from "./routes/sessions.ts";
import { peopleHandlers } from "./routes/people.ts";
import { tokenHandlers } from "./routes/tokens.ts";
import { userHandlers } from "./routes/users.ts";
import { createTokensOfUser } from "./use-cases/api-tokens.ts";
import { createAdministration } from "./use-cases/administration.ts";
import { createBots } from "./use-cases/bots.ts";
import { createContacts } from "./use-cases/contacts.ts";
import { createConversations } from "./use-cases/conversations.ts";
import { createEndpoints } from "./use-cases/endpoints.ts";
import { createErasure } from "./use-cases/erasure.ts";
import { createEvents } from "./use-cases/events.ts";
import { createExport } from "./use-cases/export.ts";
import { createGroups } from "./use-cases/groups.ts";
import { createIdentities } from "./use-cases/identities.ts";
import { createMessages } from "./use-cases/messages.ts";
import { createModeration } from "./use-cases/moderation.ts";
import { createNotifications } from "./use-cases/notifications.ts";
import { createPasswordResets } from "./use-cases/password-resets.ts";
import { createPeople } from "./use-cases/people.ts";
import { createReports } from "./use-cases/reports.ts";
import { startRetention } from "./use-cases/retention.ts";
import { createSessions } from "./use-cases/sessions.ts";
import { createSignUpLimit } from "./use-cases/sign-up-limit.ts";
import { createSignals } from "./use-cases/signals.ts";
import { createUsers } from "./use-cases/users.ts";

export type App = FastifyInstance<RawServerDefault, IncomingMessage, ServerResponse, FastifyBaseLogger, TypeBoxTypeProvider>;

declare module "fastify" {
  interface FastifyRequest {
    /** The message that it made, for its line and its span. */
    messageId: string | undefined;
    /** The bytes of the body, where they are signed. */
    rawBody: Buffer | undefined;
    /** The user who signed in, or up, by it. */
    signedInAs: number | undefined;
  }
}

/** In JSON, a byte of a message can take six: `\u001f`. */
const ESCAPED_BYTES = 6;
const OTHER_FIELDS_BYTES = 32 * 1024;
/** Of the API, as its description says. */
const VERSION = "0.1.0";
const HEALTH = "/api/health";
const FORM = "application/x-www-form-urlencoded";
/** Of a path, in a line of the log. */
const LOGGED_PATH = 200;
const MAX_PARAMETER = 200;
/** Beside streams. */
const OTHER_CONNECTIONS = 2_000;

const IS_ID = /^(?:\d{1,16}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})$/iu;

/**
 * A path without what somebody wrote: a query can hold names; what is percent-encoded, and parameters that are no ids,
 * are texts, such as a reaction.
 */
function loggedPath({ url, routeOptions }: FastifyRequest): string {
  const parameters = (routeOptions.url ?? "").split("/").map((part) => part.startsWith(":"));
  const parts = (url.split("?", 1)[0] ?? "")
    .split("/")
    .map((part, n) => (parameters[n] === true && !IS_ID.test(part) ? "…" : part));
  return parts
    .join("/")
    .slice(0, LOGGED_PATH)
    .replace(/(%[0-9a-f]{2})+/giu, "…");
}

/** The HTTP API. Holds no process code: it does not listen, and ends nothing. */
export async function createApp(context: Context): Promise<App> {
  const { settings } = context;
  const logger: FastifyBaseLogger = context.log; // the wider type, or the app would have another one
  const app = fastify({
    loggerInstance: logger,
    logController: new LogController({ disableRequestLogging: true }), // one line a request, below
    childLoggerFactory: (parent) => parent, // lines name their request themselves
    requestIdHeader: false,
    genReqId: createRequestIds(settings.trustedProxies),
    bodyLimit: settings.maxMessageBytes * ESCAPED_BYTES + OTHER_FIELDS_BYTES,
    trustProxy: settings.trustedProxies.length === 0 ? false : [...settings.trustedProxies],
    serverFactory: (handler) => createBoundedServer(handler, { maxConnections: settings.maxStreams + OTHER_CONNECTIONS }),
    return503OnClosing: false,
    routerOptions: { ignoreTrailingSlash: true, maxParamLength: MAX_PARAMETER },
    // What Fastify refuses before it knows the route: a path that cannot be decoded, for one.
    frameworkErrors(error, request, reply) {
      const problem = { code: codeOf(error), detail: error.message };
      context.metrics.onRejected(problem.code);
      void sendProblemDetails(request, reply as unknown as FastifyReply, problem);
    },
  }).withTypeProvider<TypeBoxTypeProvider>();

  app.setValidatorCompiler(TypeBoxValidatorCompiler);
  app.addHttpMethod("GET", { hasBody: true, overrideExisting: true });
  app.removeAllContentTypeParsers();
  app.addContentTypeParser(["application/json"], { parseAs: "buffer" }, async (request: FastifyRequest, body: Buffer) => {
    if (request.routeOptions.config.route?.signed !== undefined) request.rawBody = body;
    return parseJsonBody(body);
  });
  // For nobody else: any page can have a browser post a form.
  app.addContentTypeParser([FORM], { parseAs: "buffer" }, async (request: FastifyRequest, body: Buffer) => {
    const { route } = request.routeOptions.config;
    if (route?.takesAnyForm === true) return undefined;
    if (route?.signed !== "form") throw new Refused("unsupported_media_type", "the body must be application/json");
    request.rawBody = body;
    return parseFormBody(body);
  });
  app.addContentTypeParser(["multipart/form-data"], { parseAs: "buffer" }, async (request: FastifyRequest) => {
    if (request.routeOptions.config.route?.takesAnyForm === true) return undefined;
    throw new Refused("unsupported_media_type", "the body must be application/json");
  });

  // By callbacks, where nothing is waited for: every request passes all of these.
  app.addHook("preValidation", (request, _reply, done) => {
    try {
      refuseUnstorable(request.query);
      refuseUnstorable(request.params);
      done();
    } catch (error) {
      done(error as Error);
    }
  });
  app.addHook("onSend", (request, reply, _payload, done) => {
    reply.header("x-request-id", request.id);
    reply.header("x-content-type-options", "nosniff");
    const { route } = request.routeOptions.config;
    if (route !== undefined && (route.auth !== "public" || route.isSecret === true)) reply.header("cache-control", "no-store"); // tokens, and what people write
    done();
  });
  app.addHook("onResponse", (request, reply, done) => {
    const path = loggedPath(request);
    const status = reply.statusCode;
    const ms = Math.round(reply.elapsedTime * 10) / 10;
    // What asks for health all the time would hide, on a quiet day, how the others fare.
    const asksForHealth = path.startsWith(HEALTH);
    const isStream = request.routeOptions.config.route?.answer.stream !== undefined; // which lasts as long as its client likes
    if (!asksForHealth && !isStream) context.metrics.onAnswered(status, reply.elapsedTime);
    const { id, method, identity, messageId, signedInAs, trace } = request;
    // Of who is refused, the log says from where.
    const network = status >= 400 && status < 500 ? networkOf(request.ip) : undefined;
    request.log[asksForHealth ? "debug" : "info"](
      {
        requestId: id,
        method,
        path,
        status,
        ms,
        user: identity?.userId ?? signedInAs,
        network,
        message: messageId,
        trace: traceIdOf(trace),
      },
      "request",
    );
    done();
  });

  app.decorateRequest("rawBody", undefined);
  app.decorateRequest("messageId", undefined);
  app.decorateRequest("signedInAs", undefined);
  if (settings.localHostsOnly) requireLocalHost(app);
  traceRequests(app, context.tracing);
  answerErrors(app, context);
  requireSessions(app, context, await limitRequests(app, context));
  await servePages(app, describeApi(ROUTES, VERSION));

  addRoutes(app, HEALTH_ROUTES, healthHandlers(context));
  const signUps = createSignUpLimit(context.clock, settings.signUpsPerHour);
  const erasure = createErasure(context);
  app.addHook("onClose", () => erasure.stop());
  const retention = startRetention(context);
  app.addHook("onClose", () => retention.stop());
  const contacts = createContacts(context);
  const users = createUsers(context, { signUps, erasure, contacts });
  const sessions = createSessions(context);
  const people = createPeople(context);
  const messages = createMessages(context);
  const groups = createGroups(context);
  const signals = createSignals(context);
  const conversations = createConversations(context);
  const endpoints = createEndpoints(context);
  const tokens = createTokensOfUser(context, sessions);
  const identities = createIdentities(context, { sessions, signUps });
  const bots = createBots(context, { tokens, users, messages });
  const exported = createExport(context, {
    users,
    sessions,
    tokens,
    contacts,
    endpoints,
    people,
    identities,
    bots,
    conversations,
  });
  addRoutes(app, USER_ROUTES, userHandlers(users, sessions, people, exported, context.receipts.publicKey));
  addRoutes(app, SESSION_ROUTES, sessionHandlers(sessions));
  addRoutes(app, SECOND_FACTOR_ROUTES, secondFactorHandlers(sessions, createPasswordResets(context)));
  addRoutes(app, IDENTITY_ROUTES, identityHandlers(identities, context.oidc.list));
  addRoutes(app, PEOPLE_ROUTES, peopleHandlers(people));
  addRoutes(app, TOKEN_ROUTES, tokenHandlers(tokens));
  addRoutes(app, BOT_ROUTES, botHandlers(bots));
  addRoutes(app, MESSAGE_ROUTES, messageHandlers(messages));
  addRoutes(app, CONVERSATION_ROUTES, conversationHandlers(conversations, groups, messages, signals));
  addRoutes(app, GROUP_ROUTES, groupHandlers(groups));
  addRoutes(app, EVENT_ROUTES, eventHandlers(createEvents(context, signals)));
  addRoutes(app, ENDPOINT_ROUTES, endpointHandlers(endpoints));
  addRoutes(app, ADMIN_ROUTES, adminHandlers(createAdministration(context, users), createModeration(context), sessions));
  const notifications = createNotifications(context);
  addRoutes(app, NOTIFICATION_ROUTES, notificationHandlers(notifications, createReports(context)));
  addRoutes(app, CONTACT_ROUTES, contactHandlers(contacts));
  addRoutes(app, DOOR_ROUTES, { ...messageDoor(messages), ...authDoor(users, sessions), ...sendMessageDoor(notifications) });
  await app.ready();
  return app;
}
