import { randomBytes } from "node:crypto";
import { checkUsername, loginKeys, systemRandom, usernameKey } from "@messenger/core";
import { hashPassword, newInvitation, tokenHash } from "@messenger/runtime";
import {
  type AccountOfOperator,
  createInvitation,
  createUser,
  findAccountByName,
  listAccounts,
  listAudit,
  restoreUser,
  setPlan,
  setRole,
  type Store,
  suspendUser,
} from "@messenger/store";
import { printJson, printTable } from "../console/print.ts";
import { withAnyDatabase } from "../database.ts";
import type { Given } from "../given.ts";

/** Who it is in the audit log that did something. */
const ACTOR = "command line";
const PAGE = 1_000;
const EXIT_USAGE = 64;
const MAX_INVITATION_DAYS = 90;
/** As `RATE_LIMITS` names them. */
const PLAN = /^[a-z][a-z\d-]{0,30}$/u;

class UsageError extends Error {}

async function find({ db }: Store, name: string | undefined): Promise<AccountOfOperator> {
  if (name === undefined) throw new UsageError("give the name of a user");
  const found = await findAccountByName(db, loginKeys(name));
  if (found === null) throw new Error(`there is no user ${name}`);
  return found;
}

async function list({ db }: Store, onlyAdmins: boolean, json: boolean): Promise<void> {
  const all: AccountOfOperator[] = [];
  for (let after = 0; ;) {
    const some = await listAccounts(db, { after, limit: PAGE, onlyAdmins });
    all.push(...some);
    const last = some.at(-1);
    if (some.length < PAGE || last === undefined) break;
    after = last.id;
  }
  if (json) return printJson(all);
  const rows = all.map((account) => [
    account.id,
    account.username ?? account.email,
    account.role,
    account.suspendedAt === null ? "active" : `suspended ${account.suspendedAt.toISOString()}`,
    account.sessions,
    account.endpoints,
    account.createdAt.toISOString(),
  ]);
  printTable(["ID", "NAME", "ROLE", "STATE", "SESSIONS", "ENDPOINTS", "MADE"], rows);
}

/** Makes an account; its password is drawn, and printed once. */
async function create(store: Store, name: string | undefined, role: "user" | "admin", json: boolean): Promise<void> {
  if (name === undefined) throw new UsageError("give a user name");
  checkUsername(name);
  const password = randomBytes(18).toString("base64url");
  const made = await createUser(store.db, {
    username: name,
    usernameKey: usernameKey(name),
    phoneNumber: null,
    phoneKey: null,
    email: null,
    emailKey: null,
    fullName: null,
    passwordHash: await hashPassword(password),
  });
  if ("taken" in made) throw new Error(`the name ${name} is taken: messenger admin grant ${name} makes that user an admin`);
  if (role === "admin") await setRole(store.db, ACTOR, made.id, "admin");
  if (json) return printJson({ id: made.id, username: name, role, password });
  process.stdout.write(`Made the ${role} ${name}. The password, which is not shown again: ${password}\n`);
}

const said = (done: boolean, what: string, otherwise: string): void => void process.stdout.write(`${done ? what : otherwise}\n`);

/** Runs one of the verbs of a command. */
async function run(
  env: NodeJS.ProcessEnv,
  { positionals: [verb, name, value] }: Given,
  verbs: Readonly<Record<string, (store: Store, name: string | undefined, value: string | undefined) => Promise<void>>>,
): Promise<number> {
  const chosen = verb !== undefined && Object.hasOwn(verbs, verb) ? verbs[verb] : undefined;
  if (chosen === undefined) {
    process.stderr.write(`messenger: give one of ${Object.keys(verbs).join(", ")}\n`);
    return EXIT_USAGE;
  }
  try {
    await withAnyDatabase(env, (store) => chosen(store, name, value));
    return 0;
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    process.stderr.write(`messenger: ${error.message}\n`);
    return EXIT_USAGE;
  }
}

/** `admin list|create|grant|revoke|log` */
export function runAdmin(env: NodeJS.ProcessEnv, given: Given): Promise<number> {
  const json = given.values["json"] === true;
  return run(env, given, {
    list: (store) => list(store, true, json),
    create: (store, name) => create(store, name, "admin", json),
    async grant(store, name) {
      const { id } = await find(store, name);
      said(await setRole(store.db, ACTOR, id, "admin"), `${name} is an admin.`, `${name} was an admin already.`);
    },
    async revoke(store, name) {
      const { id } = await find(store, name);
      said(await setRole(store.db, ACTOR, id, "user"), `${name} is no admin any more.`, `${name} was none.`);
    },
    async log({ db }) {
      const entries = await listAudit(db, PAGE);
      if (json) return printJson(entries);
      const rows = entries.map(({ at, actor, action, userId }) => [at.toISOString(), actor, action, userId]);
      printTable(["AT", "BY", "WHAT", "USER"], rows);
    },
  });
}

/** Makes an invitation, which is printed once. */
async function invite({ db }: Store, days: string, json: boolean): Promise<void> {
  const validDays = Number(days);
  if (!/^\d{1,2}$/u.test(days) || validDays < 1 || validDays > MAX_INVITATION_DAYS) {
    throw new UsageError(`give for how many days it is good: 1 to ${MAX_INVITATION_DAYS}`);
  }
  const invitation = newInvitation(systemRandom);
  const { id, expiresAt } = await createInvitation(db, ACTOR, tokenHash(invitation), validDays);
  if (json) return printJson({ id, invitation, expiresAt });
  process.stdout.write(
    `An invitation, good for one account until ${expiresAt.toISOString()}, which is not shown again: ${invitation}\n`,
  );
}

/** `user list|show|create|invite|plan|suspend|restore` */
export function runUser(env: NodeJS.ProcessEnv, given: Given): Promise<number> {
  const json = given.values["json"] === true;
  return run(env, given, {
    list: (store) => list(store, false, json),
    create: (store, name) => create(store, name, "user", json),
    invite: (store, days = "7") => invite(store, days, json),
    async show(store, name) {
      const account = await find(store, name);
      if (json) return printJson(account);
      printTable(
        ["WHAT", "VALUE"],
        Object.entries(account).map(([key, value]) => [
          key,
          value instanceof Date ? value.toISOString() : (value as string | number | null),
        ]),
      );
    },
    async plan(store, name, plan) {
      if (plan === undefined || !PLAN.test(plan)) throw new UsageError("give a plan, such as bulk: letters, digits and hyphens");
      const { id } = await find(store, name);
      said(
        await setPlan(store.db, ACTOR, id, plan),
        `${name} is on the plan ${plan} within a minute. RATE_LIMITS says what that means; a plan that it does not name is like standard.`,
        `${name} was on that plan already.`,
      );
    },
    async suspend(store, name) {
      const { id } = await find(store, name);
      const done = await suspendUser(store.db, ACTOR, id);
      said(
        done,
        `${name} is suspended: sessions and tokens have ended, and nothing is pushed.`,
        `${name} was suspended already.`,
      );
    },
    async restore(store, name) {
      const { id } = await find(store, name);
      said(
        await restoreUser(store.db, ACTOR, id),
        `${name} can sign in again. Endpoints of log-ins begin again with a log-in; API tokens have to be made anew.`,
        `${name} was not suspended.`,
      );
    },
  });
}
