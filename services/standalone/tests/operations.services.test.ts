import { readFile } from "node:fs/promises";
import { type ProblemCode, PROBLEMS, type Route, ROUTES, statusOf } from "@messenger/contracts";
import { type Answer, http, logIn, messageBody, PASSWORD, type Person, register, send, sendSurely } from "@messenger/testkit";
import { Value } from "typebox/value";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { type Deployment, deployments } from "./deployments.ts";

/** People, and what they have. */
interface World {
  base: string;
  /** Where the operations are asked for; guesses are counted by each listener. */
  asked: string;
  /** Owns the group, and has written both messages. */
  ada: Person;
  /** A member of the group, to whom the direct message was written. */
  bob: Person;
  /** Has nothing to do with any of it. */
  eve: Person;
  group: number;
  direct: number;
  inGroup: string;
  toBob: string;
  invite: { id: string; token: string };
  call: (method: string, path: string, by: Person, body?: unknown) => Promise<Answer>;
}

/** One request to an operation; by Ada where it does not say by whom. */
interface Ask {
  params?: Readonly<Record<string, string | number>>;
  query?: string;
  body?: unknown;
  by?: Person | null;
  headers?: Record<string, string>;
}

/** Makes what leads to an answer, and says what to ask for then. */
type Scene = (world: World) => Ask | Promise<Ask>;
/** Shown by a test of its own: the file, and a part of the test's name. */
type Elsewhere = readonly [file: string, test: string];

/** A problem that the description names, and that no scene shows, does not compile. */
type Scenes<R extends Route> = {
  success: Scene | Elsewhere;
  problems: { [Code in R["problems"][number]]: Scene | Elsewhere };
};

const NOBODY = 2 ** 40;
const NO_MESSAGE = "0197f3a2-6c1d-7b3e-9f00-2a4b6c8d0e1f";
const THUMB = "👍";
const tooLate: Elsewhere = ["listener.services.test.ts", "is signed out everywhere"];
const bySignIn: Elsewhere = ["second-factors.services.test.ts", "one signs in by a verified address, too"];
const signIn = {
  success: bySignIn,
  problems: {
    no_such_contact: (): Ask => ({ body: { contact_id: NOBODY, password: PASSWORD } }),
    not_verified: bySignIn,
    taken: bySignIn,
    too_many_attempts: ["tokens.services.test.ts", "are made by nobody who guesses"] as const,
    wrong_password: (): Ask => ({ body: { contact_id: null, password: "wrong" } }),
  },
};
const bots = (test: string): Elsewhere => ["bots.services.test.ts", test];
const admin = (test: string): Elsewhere => ["admin.services.test.ts", test];
const ofAdmin = {
  forbidden: ({ ada }: World): Ask => ({ params: { id: ada.id }, body: { plan: "bulk", action: "dismiss", valid_days: 7 } }),
  confirm_password: admin("asks for the password again"),
};
const oidc = (test: string): Elsewhere => ["oidc.services.test.ts", test];
const inAnHour: Elsewhere = ["bounds.services.test.ts", "lets a network make so many accounts in an hour"];

let names = 0;
const freshName = (): string => {
  names += 1;
  return `op-${process.pid}-${Date.now()}-${names}`;
};
const account = () => {
  const username = freshName();
  return { username, phone_number: `tel ${username}`, password: PASSWORD };
};
const mail = () => ({ email: `${freshName()}@example.com`, password: PASSWORD, full_name: "Somebody" });

async function guess(world: World, path: string, body: (n: number) => object): Promise<void> {
  for (let n = 0; n < 11; n += 1) await http(world.asked + path, { body: body(n) });
}

const ofConversation = { no_such_conversation: ({ eve, group }: World) => ({ params: { id: group }, by: eve }) };
const inGroup = ({ group }: World): Ask => ({ params: { id: group } });
const byMember = ({ group, bob }: World): Ask => ({ params: { id: group }, by: bob });
const withBody =
  (scene: (world: World) => Ask, body: unknown) =>
  (world: World): Ask => ({ ...scene(world), body });
const noMessage = (body?: unknown) => ({ no_such_message: (): Ask => ({ params: { id: NO_MESSAGE, emoji: THUMB }, body }) });
const notOwn = (body?: unknown) => ({ forbidden: ({ inGroup: id, bob }: World): Ask => ({ params: { id }, by: bob, body }) });

async function editOften({ call, inGroup: id, ada }: World): Promise<void> {
  for (let n = 2; n <= 100; n += 1) await call("PATCH", `messages/${id}`, ada, { message: `edit ${n}` });
}
const tooOften = (body: unknown) => ({
  async too_many_versions(world: World): Promise<Ask> {
    await editOften(world);
    return { params: { id: world.inGroup }, body };
  },
});
const editProblems = (body: unknown) => ({ ...notOwn(body), ...noMessage(body), ...tooOften(body) });

/** Where nobody listens. */
const NOWHERE = "http://127.0.0.1:1024";

/** An endpoint of Ada's that a log-in made. */
async function endpointOf({ base, ada, call }: World): Promise<number> {
  await logIn(base, ada, `${NOWHERE}/${freshName()}`);
  const { json } = await call("GET", "endpoints", ada);
  return (json["endpoints"] as { endpoint_id: number }[]).at(-1)?.endpoint_id as number;
}

/** One that is not verified. */
async function unverifiedOf({ ada, call }: World): Promise<number> {
  const { json } = await call("POST", "endpoints", ada, { address: `${NOWHERE}/${freshName()}` });
  return json["endpoint_id"] as number;
}

const ofEndpoint =
  (more: Omit<Ask, "params"> = {}) =>
  async (world: World): Promise<Ask> => ({ ...more, params: { id: await endpointOf(world) } });
const noEndpoint = (more: Ask = {}) => ({
  async no_such_endpoint(world: World): Promise<Ask> {
    return { ...more, params: { ...more.params, id: await endpointOf(world) }, by: world.eve };
  },
});
/** Where nothing can be pushed to. */
const unusable = {
  async unusable_address({ base, ada, call }: World): Promise<Ask> {
    await logIn(base, ada, "http://10.0.0.1/");
    const { json } = await call("GET", "endpoints", ada);
    return { params: { id: (json["endpoints"] as { endpoint_id: number }[]).at(-1)?.endpoint_id as number } };
  },
};
const notVerified = { not_verified: async (world: World): Promise<Ask> => ({ params: { id: await unverifiedOf(world) } }) };
const NEW_TOKEN = { name: "reports", scopes: ["messages:send"], password: PASSWORD };

async function tokenOf({ ada, call }: World): Promise<number> {
  return (await call("POST", "tokens", ada, NEW_TOKEN)).json["token_id"] as number;
}

/** The newest session of Ada's. */
async function sessionOf({ ada, call }: World): Promise<number> {
  const { json } = await call("GET", "sessions", ada);
  return (json["sessions"] as { session_id: number }[])[0]?.session_id as number;
}

/** A contact of Ada's that is not verified. */
async function contactOf({ ada, call }: World): Promise<number> {
  const { json } = await call("POST", "contacts", ada, { type: "email", recipient: `${freshName()}@example.org` });
  return json["contact_id"] as number;
}

const ofContact =
  (more: Omit<Ask, "params"> = {}) =>
  async (world: World): Promise<Ask> => ({ ...more, params: { id: await contactOf(world) } });
const noContact = (more: Ask = {}) => ({
  async no_such_contact(world: World): Promise<Ask> {
    return { ...more, params: { id: await contactOf(world) }, by: world.eve };
  },
});
const noProvider: Elsewhere = ["contacts.services.test.ts", "are refused where nobody delivers there"];
const reported: Elsewhere = ["notifications.services.test.ts", "are what their provider reports, in any order and however often"];
const closed: Elsewhere = ["registration.services.test.ts", "is closed where its operator wants that"];
const withTotp: Elsewhere = ["second-factors.services.test.ts", "need a code, too, from then on"];
const onlyAdmins: Elsewhere = ["notifications.services.test.ts", "are for administrators, and where somebody delivers them"];
const noSender: Elsewhere = ["endpoints.services.test.ts", "says so where no sender is there to make a test"];

const SCENES: { [Name in keyof typeof ROUTES]: Scenes<(typeof ROUTES)[Name]> } = {
  createUser: {
    success: () => ({ body: account(), by: null }),
    problems: {
      unauthorized: tooLate,
      registration_closed: closed,
      taken: ({ ada }) => ({ body: { ...account(), username: ada.name }, by: null }),
      too_many_sign_ups: inAnHour,
      no_such_channel: ["registration.services.test.ts", "is refused with an address that nobody delivers to"],
    },
  },
  findUser: {
    success: ({ bob }) => ({ query: `username=${bob.name}` }),
    problems: { no_such_user: () => ({ query: "username=nobody-at-all" }) },
  },
  readAccount: { success: () => ({}), problems: {} },
  changeAccount: { success: () => ({ body: { full_name: "Ada Lovelace", receipts: false } }), problems: {} },
  exportAccount: { success: ["export.services.test.ts", "is a zip of all that one has"], problems: {} },
  changePassword: {
    success: () => ({ body: { current_password: PASSWORD, password: "a better one than before" } }),
    problems: {
      wrong_password: () => ({ body: { current_password: "wrong", password: "a better one than before" } }),
      async too_many_attempts(world) {
        const body = { current_password: "wrong", password: "a better one than before" };
        for (let n = 0; n < 11; n += 1) {
          await http(`${world.asked}/api/users/me/password`, { method: "PUT", body, token: world.ada.token });
        }
        return { body };
      },
    },
  },
  deleteAccount: {
    success: () => ({ body: { password: PASSWORD } }),
    problems: {
      wrong_password: () => ({ body: { password: "wrong" } }),
      wrong_code: ["erasure.services.test.ts", "needs a code, too, where there is an authenticator"],
      async too_many_attempts(world) {
        const body = { password: "wrong" };
        for (let n = 0; n < 11; n += 1)
          await http(`${world.asked}/api/users/me`, { method: "DELETE", body, token: world.ada.token });
        return { body };
      },
    },
  },
  readReceiptKey: { success: () => ({ by: null }), problems: {} },
  deleteUser: {
    success: ({ ada }) => ({ body: { user_id: ada.id } }),
    problems: {
      forbidden: ({ bob }) => ({ body: { user_id: bob.id } }),
      no_such_user: ["listener.services.test.ts", "learns that there is no such account"],
    },
  },
  logIn: {
    success: ({ ada }) => ({
      body: { username: ada.name, password: PASSWORD, user_address: "http://127.0.0.1:9/", public_key: "k" },
      by: null,
    }),
    problems: {
      unauthorized: tooLate,
      code_needed: withTotp,
      suspended: ["commands.services.test.ts", "suspends a user, who is signed out everywhere"],
      wrong_credentials: ({ ada }) => ({
        body: { username: ada.name, password: "wrong", user_address: "http://127.0.0.1:9/", public_key: "k" },
        by: null,
      }),
      async too_many_attempts(world) {
        const body = { username: world.ada.name, password: "wrong", user_address: "http://127.0.0.1:9/", public_key: "k" };
        await guess(world, "/api/login/", () => body);
        return { body, by: null };
      },
    },
  },
  startSession: {
    success: ({ ada }) => ({ body: { username: ada.name, password: PASSWORD, device_name: "phone" }, by: null }),
    problems: {
      unauthorized: tooLate,
      code_needed: withTotp,
      suspended: ["commands.services.test.ts", "suspends a user, who is signed out everywhere"],
      wrong_credentials: ({ ada }) => ({ body: { username: ada.name, password: "wrong" }, by: null }),
      async too_many_attempts(world) {
        const body = { username: world.ada.name, password: "wrong" };
        await guess(world, "/api/sessions/", () => body);
        return { body, by: null };
      },
    },
  },
  listSessions: { success: () => ({}), problems: {} },
  changeSession: {
    success: async (world) => ({ params: { id: await sessionOf(world) }, body: { device_name: "other" } }),
    problems: {
      no_such_session: async (world) => ({
        params: { id: await sessionOf(world) },
        body: { device_name: "other" },
        by: world.eve,
      }),
    },
  },
  endSession: {
    success: async (world) => ({ params: { id: await sessionOf(world) } }),
    problems: { no_such_session: async (world) => ({ params: { id: await sessionOf(world) }, by: world.eve }) },
  },
  beginTotp: {
    success: () => ({ body: { password: PASSWORD } }),
    problems: {
      wrong_password: () => ({ body: { password: "wrong" } }),
      async too_many_attempts(world) {
        const body = { password: "wrong" };
        for (let n = 0; n < 11; n += 1) await http(`${world.asked}/api/users/me/totp`, { body, token: world.ada.token });
        return { body };
      },
      taken: withTotp,
    },
  },
  confirmTotp: {
    success: withTotp,
    problems: {
      wrong_code: () => ({ body: { code: "000000" } }),
      taken: withTotp,
      async too_many_attempts(world) {
        const body = { code: "000000" };
        for (let n = 0; n < 11; n += 1) await http(`${world.asked}/api/users/me/totp/confirm`, { body, token: world.ada.token });
        return { body };
      },
    },
  },
  deleteTotp: {
    success: withTotp,
    problems: {
      wrong_password: () => ({ body: { password: "wrong", code: "000000" } }),
      wrong_code: withTotp,
      async too_many_attempts(world) {
        const body = { password: "wrong", code: "000000" };
        for (let n = 0; n < 11; n += 1) {
          await http(`${world.asked}/api/users/me/totp`, { method: "DELETE", body, token: world.ada.token });
        }
        return { body };
      },
    },
  },
  requestReset: {
    success: ({ ada }) => ({ body: { username: ada.name }, by: null }),
    problems: { too_many_attempts: ["second-factors.services.test.ts", "no more often than it should be"] },
  },
  confirmReset: {
    success: ["second-factors.services.test.ts", "is replaced by a code that was sent"],
    problems: {
      wrong_code: ({ ada }) => ({ body: { username: ada.name, code: "000000", password: "a better one than before" }, by: null }),
      too_many_attempts: ["second-factors.services.test.ts", "no more often than it should be"],
    },
  },
  changeEmail: signIn,
  changePhone: signIn,
  listProviders: { success: () => ({ by: null }), problems: {} },
  beginSignIn: {
    success: oidc("asks by PKCE, state and nonce"),
    problems: {
      no_such_provider: () => ({ params: { provider: "unknown" }, body: { redirect_uri: "http://127.0.0.1:1/" }, by: null }),
      provider_away: oidc("goes on once a provider that was away is back"),
    },
  },
  finishSignIn: {
    success: oidc("makes an account the first time"),
    problems: {
      no_such_provider: () => ({
        params: { provider: "unknown" },
        body: { flow: "begun", callback_url: "http://127.0.0.1:1/" },
        by: null,
      }),
      not_vouched_for: oidc("believes no ID token"),
      provider_away: oidc("goes on once a provider that was away is back"),
      registration_closed: oidc("makes no account where registration is closed"),
      suspended: oidc("and signs nobody in who is suspended"),
      too_many_sign_ups: inAnHour,
      unauthorized: tooLate,
    },
  },
  listIdentities: { success: () => ({}), problems: {} },
  linkIdentity: {
    success: oidc("is linked to an account by whoever knows its password"),
    problems: {
      full: oidc("are ten at most, and are linked by nobody who guesses"),
      no_such_provider: () => ({
        body: { provider: "unknown", flow: "begun", callback_url: "http://127.0.0.1:1/", password: PASSWORD },
      }),
      not_vouched_for: oidc("believes no ID token"),
      provider_away: oidc("goes on once a provider that was away is back"),
      taken: oidc("is linked to an account by whoever knows its password"),
      too_many_attempts: oidc("are ten at most, and are linked by nobody who guesses"),
      wrong_code: admin("asks for a code, too"),
      wrong_password: () => ({
        body: { provider: "unknown", flow: "begun", callback_url: "http://127.0.0.1:1/", password: "wrong" },
      }),
    },
  },
  deleteIdentity: {
    success: oidc("is linked to an account by whoever knows its password"),
    problems: {
      no_such_identity: () => ({ params: { id: NOBODY } }),
      last_identity: oidc("keeps the only way to sign in"),
    },
  },
  listBots: { success: () => ({}), problems: {} },
  createBot: {
    success: () => ({ body: { username: freshName() } }),
    problems: { full: bots("are twenty at most"), taken: ({ bob }) => ({ body: { username: bob.name } }) },
  },
  deleteBot: { success: bots("end with their owners"), problems: { no_such_user: () => ({ params: { id: NOBODY } }) } },
  createBotToken: {
    success: bots("write and read by tokens"),
    problems: {
      no_such_user: ({ bob }) => ({ params: { id: bob.id }, body: NEW_TOKEN }),
      wrong_password: bots("are their owners' alone"),
      wrong_code: admin("asks for a code, too"),
      too_many_attempts: ["tokens.services.test.ts", "are made by nobody who guesses"],
      full: ["tokens.services.test.ts", "are fifty at most"],
    },
  },
  listBotTokens: {
    success: bots("are their owners' alone"),
    problems: { no_such_user: ({ bob }) => ({ params: { id: bob.id } }) },
  },
  deleteBotToken: {
    success: bots("are their owners' alone"),
    problems: {
      no_such_user: ({ bob }) => ({ params: { id: bob.id, token_id: 1 } }),
      no_such_token: bots("are their owners' alone"),
    },
  },
  listHooks: { success: bots("write to their conversation"), problems: {} },
  createHook: {
    success: ({ group }) => ({ params: { id: group }, body: { name: "builds" } }),
    problems: {
      no_such_conversation: ({ eve, group }) => ({ params: { id: group }, body: { name: "x" }, by: eve }),
      full: bots("twenty at most"),
    },
  },
  deleteHook: {
    success: bots("end when they are deleted"),
    problems: { no_such_token: ({ group }) => ({ params: { id: group, hook_id: NOBODY } }) },
  },
  postToHook: {
    success: bots("write to their conversation"),
    problems: {
      no_such_token: () => ({ params: { token: "mh_none" }, body: { message: "hello" }, by: null }),
      no_such_conversation: bots("write no more once their maker is out"),
      unknown_receiver: bots("write to nobody where the other one is gone"),
      idempotency_key_reused: bots("repeat nothing under an Idempotency-Key"),
    },
  },
  reportMessage: {
    success: ({ toBob, bob }) => ({ params: { id: toBob }, body: { reason: "spam", comment: "never asked for" }, by: bob }),
    problems: {
      full: admin("are a hundred at most"),
      no_such_message: () => ({ params: { id: NO_MESSAGE }, body: { reason: "spam" } }),
    },
  },
  confirmPassword: {
    success: () => ({ body: { password: PASSWORD } }),
    problems: {
      wrong_password: () => ({ body: { password: "wrong" } }),
      wrong_code: admin("asks for a code, too"),
      too_many_attempts: admin("is confirmed by nobody who guesses"),
    },
  },
  listUsers: { success: admin("lists accounts"), problems: ofAdmin },
  readUser: {
    success: admin("lists accounts"),
    problems: { ...ofAdmin, no_such_user: admin("finds nothing that is not there") },
  },
  suspendUser: {
    success: admin("suspends, restores"),
    problems: { ...ofAdmin, no_such_user: admin("finds nothing that is not there") },
  },
  restoreUser: {
    success: admin("suspends, restores"),
    problems: { ...ofAdmin, no_such_user: admin("finds nothing that is not there") },
  },
  signOutUser: {
    success: admin("suspends, restores"),
    problems: { ...ofAdmin, no_such_user: admin("finds nothing that is not there") },
  },
  changePlan: {
    success: admin("suspends, restores"),
    problems: { ...ofAdmin, no_such_user: admin("finds nothing that is not there") },
  },
  eraseUser: {
    success: admin("erases an account"),
    problems: { ...ofAdmin, no_such_user: admin("finds nothing that is not there") },
  },
  createInvitation: { success: admin("invites somebody"), problems: ofAdmin },
  listInvitations: { success: admin("invites somebody"), problems: ofAdmin },
  deleteInvitation: {
    success: admin("invites somebody"),
    problems: { ...ofAdmin, no_such_invitation: admin("finds nothing that is not there") },
  },
  listFailingEndpoints: { success: admin("lists endpoints that fail"), problems: ofAdmin },
  replayLettersOfEndpoint: {
    success: admin("lists endpoints that fail"),
    problems: { ...ofAdmin, no_such_endpoint: admin("finds nothing that is not there") },
  },
  readQueue: { success: admin("sees what waits"), problems: ofAdmin },
  listReports: { success: admin("sees what was reported"), problems: ofAdmin },
  resolveReport: {
    success: admin("sees what was reported"),
    problems: { ...ofAdmin, no_such_report: admin("finds nothing that is not there") },
  },
  listAuditLog: { success: admin("suspends, restores"), problems: ofAdmin },
  listBlocks: { success: () => ({}), problems: {} },
  blockUser: {
    success: ["people.services.test.ts", "cannot write to who blocks them"],
    problems: {
      no_such_user: () => ({ params: { id: NOBODY } }),
      full: ["../../../packages/store/src/people.services.test.ts", "blocks a thousand at most"],
    },
  },
  unblockUser: { success: ["people.services.test.ts", "cannot write to who blocks them"], problems: {} },
  listTokens: { success: () => ({}), problems: {} },
  createToken: {
    success: () => ({ body: NEW_TOKEN }),
    problems: {
      wrong_password: () => ({ body: { ...NEW_TOKEN, password: "wrong" } }),
      wrong_code: admin("asks for a code, too"),
      too_many_attempts: ["tokens.services.test.ts", "are made by nobody who guesses"],
      full: ["tokens.services.test.ts", "are fifty at most"],
    },
  },
  deleteToken: {
    success: async (world) => ({ params: { id: await tokenOf(world) } }),
    problems: { no_such_token: async (world) => ({ params: { id: await tokenOf(world) }, by: world.eve }) },
  },
  logOut: { success: ({ ada }) => ({ body: { username: ada.name } }), problems: {} },
  refreshToken: {
    async success({ base }) {
      const made = await http(`${base}/api/users/`, { body: account() });
      return { body: { refresh_token: made.json["refresh_token"] }, by: null };
    },
    problems: { unauthorized: () => ({ body: { refresh_token: "31.made-up" }, by: null }) },
  },
  sendMessage: {
    success: ({ ada, bob }) => ({ body: messageBody(ada, bob) }),
    problems: {
      not_the_sender: ({ bob }) => ({ body: messageBody(bob, bob) }),
      unknown_receiver: ({ ada }) => ({ body: messageBody(ada, { id: NOBODY }) }),
      no_such_message: ({ ada, bob, inGroup: id }) => ({ body: { ...messageBody(ada, bob), reply_to: id } }),
      async idempotency_key_reused({ base, ada, bob }) {
        const headers = { "idempotency-key": "once" };
        await send(base, ada, bob, "one", headers);
        return { body: messageBody(ada, bob, "two"), headers };
      },
    },
  },
  listOwnMessages: { success: () => ({ query: "limit=1" }), problems: {} },
  readMessage: { success: ({ toBob }) => ({ params: { id: toBob } }), problems: noMessage() },
  replaceMessage: {
    success: ({ toBob }) => ({ params: { id: toBob }, body: { message: "other" } }),
    problems: editProblems({ message: "other" }),
  },
  editMessage: {
    success: ({ inGroup: id }) => ({ params: { id }, body: { message: "other" } }),
    problems: editProblems({ message: "other" }),
  },
  deleteMessage: {
    success: ({ toBob }) => ({ params: { id: toBob } }),
    problems: { ...noMessage(), forbidden: ({ toBob, bob }) => ({ params: { id: toBob }, by: bob }) },
  },
  listVersions: { success: ({ toBob }) => ({ params: { id: toBob } }), problems: noMessage() },
  listDeliveries: { success: ({ inGroup: id }) => ({ params: { id } }), problems: { ...noMessage(), ...notOwn() } },
  addReaction: {
    success: ({ toBob }) => ({ params: { id: toBob, emoji: THUMB } }),
    problems: {
      ...noMessage(),
      async too_many_reactions({ call, inGroup: id, ada }) {
        for (const emoji of Array.from("😀😃😄😁😆😅😂🙂🙃😉😊😇🥰😍🤩😘😗😚😙🥲")) {
          await call("PUT", `messages/${id}/reactions/${encodeURIComponent(emoji)}`, ada);
        }
        return { params: { id, emoji: THUMB } };
      },
    },
  },
  removeReaction: { success: ({ toBob }) => ({ params: { id: toBob, emoji: THUMB } }), problems: noMessage() },
  listConversations: { success: () => ({ query: "limit=1" }), problems: {} },
  openConversation: {
    success: ({ bob }) => ({ body: { title: "Two", member_ids: [bob.id] } }),
    problems: {
      unknown_receiver: () => ({ body: { user_id: NOBODY } }),
      full: ["../../../packages/store/src/groups.services.test.ts", "lets one own a thousand groups"],
      async idempotency_key_reused({ base, ada }) {
        const headers = { "idempotency-key": "once" };
        await http(`${base}/api/conversations/`, { body: { title: "one" }, token: ada.token, headers });
        return { body: { title: "two" }, headers };
      },
    },
  },
  readConversation: { success: inGroup, problems: ofConversation },
  changeConversation: {
    success: withBody(inGroup, { title: "Other" }),
    problems: {
      forbidden: withBody(byMember, { title: "Other" }),
      no_such_conversation: withBody(ofConversation.no_such_conversation, { title: "Other" }),
    },
  },
  changePreferences: {
    success: withBody(inGroup, { muted: true }),
    problems: { no_such_conversation: withBody(ofConversation.no_such_conversation, { muted: true }) },
  },
  keepMessages: {
    success: withBody(inGroup, { keep_days: 30 }),
    problems: {
      forbidden: withBody(byMember, { keep_days: 30 }),
      no_such_conversation: withBody(ofConversation.no_such_conversation, { keep_days: 30 }),
    },
  },
  acceptRequest: { success: inGroup, problems: ofConversation },
  declineRequest: { success: inGroup, problems: ofConversation },
  sendToConversation: {
    success: withBody(inGroup, { message: "hello" }),
    problems: {
      no_such_conversation: withBody(ofConversation.no_such_conversation, { message: "hello" }),
      no_such_message: ({ group, toBob }) => ({ params: { id: group }, body: { message: "re", reply_to: toBob } }),
      async unknown_receiver({ call, direct, bob }) {
        await call("DELETE", "users", bob, { user_id: bob.id });
        return { params: { id: direct }, body: { message: "are you there?" } };
      },
      async idempotency_key_reused({ base, ada, group }) {
        const headers = { "idempotency-key": "once" };
        const path = `${base}/api/conversations/${group}/messages/`;
        await http(path, { body: { message: "one" }, token: ada.token, headers });
        return { params: { id: group }, body: { message: "two" }, headers };
      },
    },
  },
  listMessages: { success: inGroup, problems: ofConversation },
  tellTyping: { success: inGroup, problems: ofConversation },
  markRead: {
    success: ({ group, inGroup: id, bob }) => ({ params: { id: group }, body: { message_id: id }, by: bob }),
    problems: {
      no_such_conversation: withBody(ofConversation.no_such_conversation, { message_id: NO_MESSAGE }),
      no_such_message: withBody(inGroup, { message_id: NO_MESSAGE }),
    },
  },
  listMembers: { success: byMember, problems: ofConversation },
  addMember: {
    success: ({ group, eve }) => ({ params: { id: group }, body: { user_id: eve.id } }),
    problems: {
      forbidden: ({ group, bob, eve }) => ({ params: { id: group }, body: { user_id: eve.id }, by: bob }),
      async banned({ call, group, ada, eve }) {
        await call("PUT", `conversations/${group}/bans/${eve.id}`, ada);
        return { params: { id: group }, body: { user_id: eve.id } };
      },
      no_such_conversation: withBody(ofConversation.no_such_conversation, { user_id: 1 }),
      unknown_receiver: withBody(inGroup, { user_id: NOBODY }),
      full: ["groups.services.test.ts", "take 256 members, and no more"],
    },
  },
  changeMember: {
    success: ({ group, bob }) => ({ params: { id: group, user_id: bob.id }, body: { role: "admin" } }),
    problems: {
      forbidden: ({ group, ada, bob }) => ({ params: { id: group, user_id: ada.id }, body: { role: "member" }, by: bob }),
      no_such_conversation: ({ group, eve }) => ({ params: { id: group, user_id: 1 }, body: { role: "admin" }, by: eve }),
      no_such_user: ({ group, eve }) => ({ params: { id: group, user_id: eve.id }, body: { role: "admin" } }),
      last_owner: ({ group, ada }) => ({ params: { id: group, user_id: ada.id }, body: { role: "member" } }),
    },
  },
  removeMember: {
    success: ({ group, bob }) => ({ params: { id: group, user_id: bob.id } }),
    problems: {
      forbidden: ({ group, ada, bob }) => ({ params: { id: group, user_id: ada.id }, by: bob }),
      no_such_conversation: ({ group, eve, bob }) => ({ params: { id: group, user_id: bob.id }, by: eve }),
      no_such_user: ({ group, eve }) => ({ params: { id: group, user_id: eve.id } }),
      last_owner: ({ group, ada }) => ({ params: { id: group, user_id: ada.id } }),
    },
  },
  listBans: { success: inGroup, problems: { ...ofConversation, forbidden: byMember } },
  banMember: {
    success: ({ group, eve }) => ({ params: { id: group, user_id: eve.id } }),
    problems: {
      forbidden: ({ group, bob, eve }) => ({ params: { id: group, user_id: eve.id }, by: bob }),
      no_such_conversation: ({ group, bob, eve }) => ({ params: { id: group, user_id: bob.id }, by: eve }),
      no_such_user: ({ group }) => ({ params: { id: group, user_id: NOBODY } }),
      full: ["../../../packages/store/src/groups.services.test.ts", "keeps out a thousand people, and no more"],
    },
  },
  unbanMember: {
    success: ({ group, eve }) => ({ params: { id: group, user_id: eve.id } }),
    problems: {
      forbidden: ({ group, bob, eve }) => ({ params: { id: group, user_id: eve.id }, by: bob }),
      no_such_conversation: ({ group, eve }) => ({ params: { id: group, user_id: eve.id }, by: eve }),
    },
  },
  listInvites: { success: inGroup, problems: { ...ofConversation, forbidden: byMember } },
  createInvite: {
    success: withBody(inGroup, { expires_in: 60 }),
    problems: {
      forbidden: withBody(byMember, { expires_in: 60 }),
      no_such_conversation: withBody(ofConversation.no_such_conversation, { expires_in: 60 }),
      async full({ call, group, ada }) {
        for (let n = 1; n < 20; n += 1) await call("POST", `conversations/${group}/invites`, ada, { expires_in: 60 });
        return { params: { id: group }, body: { expires_in: 60 } };
      },
    },
  },
  deleteInvite: {
    success: ({ group, invite }) => ({ params: { id: group, invite_id: invite.id } }),
    problems: {
      forbidden: ({ group, invite, bob }) => ({ params: { id: group, invite_id: invite.id }, by: bob }),
      no_such_conversation: ({ group, invite, eve }) => ({ params: { id: group, invite_id: invite.id }, by: eve }),
      no_such_invite: ({ group }) => ({ params: { id: group, invite_id: NO_MESSAGE } }),
    },
  },
  joinConversation: {
    success: ({ invite, eve }) => ({ body: { token: invite.token }, by: eve }),
    problems: {
      async banned({ call, group, ada, eve, invite }) {
        await call("PUT", `conversations/${group}/bans/${eve.id}`, ada);
        return { body: { token: invite.token }, by: eve };
      },
      no_such_invite: ({ eve }) => ({ body: { token: "made-up" }, by: eve }),
      full: ["groups.services.test.ts", "take 256 members, and no more"],
    },
  },
  listEndpoints: { success: () => ({}), problems: {} },
  createEndpoint: {
    success: () => ({ body: { address: `${NOWHERE}/${freshName()}` } }),
    problems: {
      async taken(world) {
        const address = `${NOWHERE}/${freshName()}`;
        await world.call("POST", "endpoints", world.ada, { address });
        return { body: { address } };
      },
      full: ["endpoints.services.test.ts", "is one of ten at most"],
      no_such_event: () => ({ body: { address: NOWHERE, after: 1_000_000 } }),
      unusable_address: () => ({ body: { address: "http://10.0.0.1/" } }),
    },
  },
  readEndpoint: { success: ofEndpoint(), problems: noEndpoint() },
  changeEndpoint: {
    success: ofEndpoint({ body: { timeout_s: 20 } }),
    problems: {
      ...noEndpoint({ body: { timeout_s: 20 } }),
      async taken(world) {
        const address = `${NOWHERE}/${freshName()}`;
        await world.call("POST", "endpoints", world.ada, { address });
        return { params: { id: await unverifiedOf(world) }, body: { address } };
      },
      async unusable_address(world) {
        return { params: { id: await unverifiedOf(world) }, body: { address: "http://10.0.0.1/" } };
      },
    },
  },
  deleteEndpoint: { success: ofEndpoint(), problems: noEndpoint() },
  testEndpoint: {
    success: ofEndpoint(),
    problems: {
      ...noEndpoint(),
      ...notVerified,
      ...unusable,
      async probed_lately(world) {
        const id = await endpointOf(world);
        await world.call("POST", `endpoints/${id}/test`, world.ada);
        return { params: { id } };
      },
      no_probe: noSender,
    },
  },
  verifyEndpoint: {
    success: ofEndpoint(),
    problems: {
      ...noEndpoint(),
      ...unusable,
      probed_lately: async (world) => ({ params: { id: await unverifiedOf(world) } }),
      no_probe: noSender,
    },
  },
  enableEndpoint: {
    success: ofEndpoint(),
    problems: { ...noEndpoint(), ...notVerified, ...unusable, full: ["endpoints.services.test.ts", "is one of ten at most"] },
  },
  disableEndpoint: { success: ofEndpoint(), problems: noEndpoint() },
  rotateEndpointSecret: { success: ofEndpoint({ body: {} }), problems: noEndpoint({ body: {} }) },
  replayEndpoint: { success: ofEndpoint({ body: { after: 0 } }), problems: noEndpoint({ body: { after: 0 } }) },
  listAttempts: { success: ofEndpoint({ query: "outcome=transient" }), problems: noEndpoint() },
  listDeadLetters: { success: ofEndpoint(), problems: noEndpoint() },
  replayDeadLetters: { success: ofEndpoint({ body: {} }), problems: noEndpoint({ body: {} }) },
  replayDeadLetter: {
    success: ["../../sender/src/sender.services.test.ts", "pushes dead letters again, before what comes next"],
    problems: {
      ...noEndpoint({ params: { seq: 1 } }),
      no_such_dead_letter: async (world) => ({ params: { id: await endpointOf(world), seq: 1 } }),
    },
  },
  createNotification: {
    success: ["notifications.services.test.ts", "go out by e-mail, and say so"],
    problems: {
      forbidden: onlyAdmins,
      no_such_channel: onlyAdmins,
      suppressed: ["notifications.services.test.ts", "are refused for some days then"],
      idempotency_key_reused: ["notifications.services.test.ts", "are made once under an Idempotency-Key"],
    },
  },
  listNotifications: { success: () => ({ query: "type=sms&status=failed" }), problems: { forbidden: onlyAdmins } },
  readNotification: {
    success: ["notifications.services.test.ts", "go out by e-mail, and say so"],
    problems: { forbidden: onlyAdmins, no_such_notification: () => ({ params: { id: NO_MESSAGE } }) },
  },
  reportTwilioStatus: { success: reported, problems: { forged: reported } },
  reportMetaStatus: { success: reported, problems: { forged: reported } },
  confirmMetaCallback: {
    success: () => ({
      query: `hub.mode=subscribe&hub.verify_token=${encodeURIComponent("the verifier's")}&hub.challenge=1158`,
      by: null,
    }),
    problems: { forged: () => ({ query: "hub.mode=subscribe&hub.verify_token=guess&hub.challenge=1158", by: null }) },
  },
  readPushKey: { success: () => ({ by: null }), problems: {} },
  listContacts: { success: () => ({}), problems: {} },
  createContact: {
    success: ["contacts.services.test.ts", "are told who wrote, once, and not what was written"],
    problems: {
      async taken(world) {
        const body = { type: "email", recipient: `${freshName()}@example.org` };
        await world.call("POST", "contacts", world.ada, body);
        return { body };
      },
      async full(world) {
        const body = () => ({ type: "email", recipient: `${freshName()}@example.org` });
        for (let n = 0; n < 20; n += 1) await world.call("POST", "contacts", world.ada, body());
        return { body: body() };
      },
      no_such_channel: noProvider,
      unusable_address: ["contacts.services.test.ts", "are refused where they are none"],
    },
  },
  readContact: { success: ofContact(), problems: noContact() },
  changeContact: { success: ofContact({ body: { language: "de" } }), problems: noContact({ body: { language: "de" } }) },
  deleteContact: { success: ofContact(), problems: noContact() },
  sendContactCode: {
    success: ["contacts.services.test.ts", "sends a code once more, after a minute"],
    problems: {
      ...noContact(),
      taken: ["contacts.services.test.ts", "sends a code once more, after a minute"],
      no_such_channel: noProvider,
      suppressed: ["contacts.services.test.ts", "sends a code once more, after a minute"],
      too_many_codes: ofContact(),
    },
  },
  verifyContact: {
    success: ["contacts.services.test.ts", "are told who wrote, once, and not what was written"],
    problems: { ...noContact({ body: { code: "000000" } }), wrong_code: ofContact({ body: { code: "000000" } }) },
  },
  showUnsubscribe: { success: () => ({ query: "token=of-nobody-at-all", by: null }), problems: {} },
  unsubscribe: { success: () => ({ query: "token=of-nobody-at-all", by: null }), problems: {} },
  doorNotify: {
    success: ["notifications.services.test.ts", "come by the door of another system"],
    problems: {
      forbidden: onlyAdmins,
      no_such_channel: onlyAdmins,
      suppressed: ["notifications.services.test.ts", "are refused for some days then"],
    },
  },
  createTicket: { success: () => ({}), problems: {} },
  pullEvents: {
    success: () => ({ query: "after=0&limit=1" }),
    problems: { no_such_event: () => ({ query: "after=1000" }) },
  },
  streamEvents: {
    success: ["events.services.test.ts", "come by a stream at another listener as they happen"],
    problems: { too_many_streams: ["events.services.test.ts", "are streamed to no more than 20 clients"] },
  },
  health: { success: () => ({ by: null }), problems: {} },
  live: { success: () => ({ by: null }), problems: {} },
  ready: {
    success: () => ({ by: null }),
    problems: { not_ready: ["listener.services.test.ts", "lives but is not ready while the database is away"] },
  },
  doorSendMessage: {
    success: ({ bob }) => ({ body: { recipient_id: bob.id, content: "hello" } }),
    problems: { unknown_receiver: () => ({ body: { recipient_id: NOBODY, content: "hello" } }) },
  },
  doorListMessages: { success: () => ({}), problems: { no_such_message: ({ eve }) => ({ by: eve }) } },
  doorReadMessage: { success: ({ toBob }) => ({ params: { id: toBob } }), problems: noMessage() },
  doorReplaceMessage: {
    success: ({ toBob }) => ({ params: { id: toBob }, body: { content: "other" } }),
    problems: editProblems({ content: "other" }),
  },
  doorEditMessage: {
    success: ({ toBob }) => ({ params: { id: toBob }, body: { content: "other" } }),
    problems: editProblems({ content: "other" }),
  },
  doorDeleteMessage: { success: ({ toBob }) => ({ params: { id: toBob } }), problems: { ...noMessage(), ...notOwn() } },
  doorRegister: {
    success: () => ({ body: mail(), by: null }),
    problems: {
      unauthorized: tooLate,
      registration_closed: closed,
      async taken({ base }) {
        const body = mail();
        await http(`${base}/auth/register`, { body });
        return { body, by: null };
      },
      too_many_sign_ups: inAnHour,
    },
  },
  doorLogin: {
    async success({ base }) {
      const { email, password, full_name } = mail();
      await http(`${base}/auth/register`, { body: { email, password, full_name } });
      return { body: { email, password }, by: null };
    },
    problems: {
      unauthorized: tooLate,
      code_needed: withTotp,
      suspended: ["commands.services.test.ts", "suspends a user, who is signed out everywhere"],
      wrong_credentials: () => ({ body: mail(), by: null }),
      async too_many_attempts(world) {
        const body = mail();
        await http(`${world.base}/auth/register`, { body });
        await guess(world, "/auth/login", () => ({ ...body, password: "wrong" }));
        return { body, by: null };
      },
    },
  },
};

interface Named {
  name: string;
  route: Route;
}
const operations = Object.entries<Route>(ROUTES).map(([name, route]): Named & Scenes<Route> => {
  const { success, problems } = SCENES[name as keyof typeof ROUTES] as Scenes<Route>;
  return { name, route, success, problems };
});
const isScene = (shown: Scene | Elsewhere): shown is Scene => typeof shown === "function";
const successes = operations.flatMap((operation) =>
  isScene(operation.success) ? [{ ...operation, scene: operation.success }] : [],
);
const problems = operations.flatMap(({ name, route, problems: shown }) =>
  Object.entries(shown).map(([code, scene]) => ({ name, route, code: code as ProblemCode, scene })),
);
const provoked = problems.flatMap((problem) => (isScene(problem.scene) ? [{ ...problem, scene: problem.scene }] : []));
const elsewhere = [
  ...operations.map(({ name, success }) => ({ name, shown: success })),
  ...problems.map(({ name, scene }) => ({ name, shown: scene })),
].flatMap(({ name, shown }) => (isScene(shown) ? [] : [{ name, file: shown[0], test: shown[1] }]));

/** Every operation of the API: what it answers when all is well, each problem that it says it has, and what a stranger gets. */
describe.each(deployments)("every operation, $name", ({ deploy }) => {
  let deployment: Deployment;
  let world: World;

  beforeAll(async () => {
    // Nobody listens there: nothing is sent.
    deployment = await deploy({ providers: { email: { smtpUrl: "smtp://127.0.0.1:1024", from: "m@example.org" } } });
  });
  afterAll(() => deployment.close());
  beforeEach(async () => {
    const base = deployment.urls[0] as string;
    const [ada, bob, eve] = [await register(base), await register(base), await register(base)];
    const call = (method: string, path: string, by: Person, body?: unknown): Promise<Answer> =>
      http(`${base}/api/${path}`, { method, body, token: by.token, accept: "application/json" });
    const toBob = await sendSurely(base, ada, bob);
    const { conversation_id: direct } = (await call("GET", `messages/${toBob}`, ada)).json as { conversation_id: number };
    const made = await call("POST", "conversations", ada, { title: "Engines", member_ids: [bob.id] });
    const { conversation_id: group } = made.json["conversation"] as { conversation_id: number };
    const said = await call("POST", `conversations/${group}/messages`, ada, { message: "hello all" });
    const { json } = await call("POST", `conversations/${group}/invites`, ada, { expires_in: 60 });
    const invite = { id: json["invite_id"] as string, token: json["token"] as string };
    world = {
      base,
      asked: deployment.urls.at(-1) as string,
      ada,
      bob,
      eve,
      group,
      direct,
      inGroup: said.json["message_id"] as string,
      toBob,
      invite,
      call,
    };
  });

  function ask(route: Route, { params = {}, query, body, by = world.ada, headers }: Ask): Promise<Answer> {
    const path = route.path.replace(/\{(\w+)\}/gu, (_, name: string) => encodeURIComponent(params[name] ?? name));
    return http(`${world.asked}${path}${query === undefined ? "" : `?${query}`}`, {
      method: route.method,
      body,
      accept: "application/json",
      ...(by === null ? undefined : { token: by.token }),
      headers,
    });
  }

  it.each(successes)("$name answers as it is described", async ({ route, scene }) => {
    const answer = await ask(route, await scene(world));
    expect([answer.status, answer.text]).toEqual([route.answer.status, expect.anything()]);
    const { body } = route.answer;
    if (body !== undefined) expect([...Value.Errors(body, answer.json)], answer.text).toEqual([]);
  });

  it.each(provoked)("$name answers $code", async ({ route, code, scene }) => {
    const answer = await ask(route, await scene(world));
    expect(answer.status, answer.text).toBe(statusOf(route, code));
    if (route.door === undefined) expect(answer.json["code"]).toBe(code);
    else expect(answer.json).toEqual({ detail: route.door[code]?.detail ?? expect.any(String) });
  });

  const ofSomebody = successes.filter(({ route }) => route.auth !== "public" && route.params !== undefined);
  it.each(ofSomebody)("$name tells a stranger nothing, and lets them do nothing", async ({ route, scene }) => {
    const asked = await scene(world);
    const head = async (): Promise<unknown> => (await world.call("GET", "conversations?limit=100", world.bob)).json;
    const before = await head();
    const answer = await ask(route, { ...asked, by: world.eve });
    expect(answer.status, answer.text).toBe(404);
    expect(answer.text).not.toContain("hello");
    expect(await head()).toEqual(before);
  });
});

it("what is shown elsewhere is there", async () => {
  for (const { name, file, test } of elsewhere) {
    expect([name, await readFile(new URL(file, import.meta.url), "utf8")]).toEqual([name, expect.stringContaining(test)]);
  }
  expect(Object.keys(PROBLEMS).length).toBeGreaterThan(30);
});
