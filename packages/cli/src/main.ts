import { parseArgs, type ParseArgsConfig } from "node:util";
import { EXIT_SETTINGS, isOperators } from "@messenger/runtime";
import { prepareCertificate } from "./certificate.ts";
import { completionOf, SHELLS } from "./completion.ts";
import { listAttempts, listDeadLetters, listEndpoints, listNotifications } from "./console/delivery.ts";
import { listen } from "./console/listen.ts";
import { demo } from "./demo.ts";
import type { Given } from "./given.ts";
import { migrateDatabase } from "./migrate.ts";
import { runAdmin, runUser } from "./operators/accounts.ts";
import { takeBounce } from "./operators/bounce.ts";
import { runDoctor } from "./operators/doctor.ts";
import { rotateSecret } from "./operators/rotate-secret.ts";
import { runSeed } from "./operators/seed.ts";
import { repairQueue } from "./repair.ts";
import { forgetSecrets, makeSecrets, prepareSecret, usePreparedSecret } from "./secrets.ts";

type Options = NonNullable<ParseArgsConfig["options"]>;

/** A command: its one-line help, and what it does. Resolves with the exit code. */
interface Command {
  help: string;
  /** Of `--name` and `--name value`. */
  options?: Options;
  /** What it takes beside them, at most; how they are named in its help. */
  arguments?: readonly string[];
  run(env: NodeJS.ProcessEnv, given: Given): Promise<number>;
}

const text = { type: "string" } as const;
const flag = { type: "boolean" } as const;

const COMMANDS: Record<string, Command> = {
  migrate: { help: "bring the database's schema up to this version (DATABASE_URL)", run: migrateDatabase },
  repair: {
    help: "make every endpoint that is behind due at once, after the queue was lost; with --after-failover, after the database came back older (DATABASE_URL)",
    options: { "after-failover": flag },
    run: repairQueue,
  },
  secrets: {
    help: "make the passwords and secrets of a compose deployment, where there are none (SECRETS_DIR)",
    run: makeSecrets,
  },
  "prepare-secret": {
    help: "change the secret of a compose deployment, 1st step: make a new one, which processes know after a restart (SECRETS_DIR)",
    run: prepareSecret,
  },
  "use-secret": {
    help: "2nd step, after that restart: use the new secret, after another restart (SECRETS_DIR)",
    run: usePreparedSecret,
  },
  "rotate-secret": {
    help: "3rd step, while Messenger is running: reseal all data under the current secret (DATABASE_URL, or DATA_DIR of a stopped Messenger; MESSENGER_SECRET, MESSENGER_SECRET_PREVIOUS)",
    run: rotateSecret,
  },
  "forget-secrets": {
    help: "4th step, after rotate-secret: remove the previous secrets of a compose deployment (SECRETS_DIR)",
    run: forgetSecrets,
  },
  certificate: {
    help: "hand the edge its certificate, self-signed where there is none (CERTS_DIR, EDGE_DIR)",
    run: prepareCertificate,
  },
  admin: {
    help: "list, create, grant or revoke admins, or print what operators did (DATABASE_URL, or DATA_DIR of a stopped Messenger)",
    arguments: ["list|create|grant|revoke|log", "user name"],
    options: { json: flag },
    run: runAdmin,
  },
  user: {
    help: "list, show or create users, invite somebody (for some days), put a user on a plan, suspend or restore one (likewise)",
    arguments: ["list|show|create|invite|plan|suspend|restore", "user name, or days", "plan"],
    options: { json: flag },
    run: runUser,
  },
  bounce: {
    help: "take an e-mail that came back, or a report of spam, from the standard input: the notification has failed (likewise)",
    run: takeBounce,
  },
  doctor: {
    help: "look at settings, database, schema, broker, secret, clock, certificate and disk, and say what to mend",
    options: { json: flag },
    run: runDoctor,
  },
  seed: {
    help: "fill a database to try it: Alice, Bob and Charlie, a group, messages; or many more (likewise, MESSENGER_SECRET)",
    options: { users: text, messages: text },
    run: runSeed,
  },
  completion: {
    help: 'print what has a shell complete all of this: eval "$(messenger completion bash)"',
    arguments: [SHELLS.join("|")],
    run: printCompletion,
  },
  demo: { help: "show the main job, on a running instance or a fresh one (MESSENGER_URL)", run: demo },
  listen: {
    help: "make an endpoint of this machine, and print pushes as they come",
    options: { port: text, address: text, kinds: text, json: flag },
    run: listen,
  },
  endpoints: { help: "list your endpoints", options: { json: flag }, run: listEndpoints },
  attempts: {
    help: "list the latest attempts at pushes to an endpoint",
    arguments: ["endpoint id"],
    options: { outcome: text, since: text, limit: text, json: flag },
    run: listAttempts,
  },
  "dead-letters": {
    help: "list what an endpoint rejected for good, or push it again: --replay <seq>, --replay all",
    arguments: ["endpoint id"],
    options: { replay: text, json: flag },
    run: listDeadLetters,
  },
  notifications: {
    help: "list the notifications that you have sent, or read one with its history",
    arguments: ["id"],
    options: { type: text, status: text, limit: text, json: flag },
    run: listNotifications,
  },
};

/** The choices of a command's first argument, and its options. */
const wordsOf = ({ options = {}, arguments: [first = ""] = [] }: Command): readonly string[] => [
  ...(first.includes("|") ? first.split("|") : []),
  ...Object.keys(options).map((one) => `--${one}`),
];

async function printCompletion(_: NodeJS.ProcessEnv, { positionals: [given] }: Given): Promise<number> {
  const shell = SHELLS.find((one) => one === given);
  if (shell === undefined) {
    process.stderr.write(`messenger: give one of ${SHELLS.join(", ")}\n`);
    return EXIT_USAGE;
  }
  const commands = Object.entries(COMMANDS).map(([name, command]) => ({ name, help: command.help, words: wordsOf(command) }));
  process.stdout.write(completionOf(shell, commands));
  return 0;
}

const OF_USERS =
  "listen to notifications ask a running Messenger (MESSENGER_URL, this machine by default) as a user: MESSENGER_USER and MESSENGER_PASSWORD, or MESSENGER_TOKEN.";

function usage(): string {
  const lines = Object.entries(COMMANDS).map(([name, { help, options = {}, arguments: taken = [] }]) => {
    const given = [...taken.map((one) => `[${one}]`), ...Object.keys(options).map((one) => `[--${one}]`)].join(" ");
    return `  ${name.padEnd(16)}${help}${given === "" ? "" : `\n${" ".repeat(18)}${given}`}`;
  });
  return `Usage: messenger <command>\n\n${lines.join("\n")}\n\n${OF_USERS}\n`;
}

const EXIT_USAGE = 64;

/** What was given, or what is wrong with it. */
function readArguments(name: string, { options = {}, arguments: taken = [] }: Command, rest: string[]): Given | string {
  try {
    const { values, positionals } = parseArgs({ args: rest, options, allowPositionals: true, strict: true });
    const [unknown] = positionals.slice(taken.length);
    if (unknown !== undefined) return `${name} takes no ${unknown}`;
    return { values: values as Given["values"], positionals };
  } catch (error) {
    return `${name}: ${(error as Error).message}`;
  }
}

const [name = "", ...rest] = process.argv.slice(2);
const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
const wantsHelp = name === "help" || [name, ...rest].includes("--help");
const given = command === undefined ? `there is no command ${name}` : readArguments(name, command, rest);
if (wantsHelp || command === undefined || typeof given === "string") {
  if (!wantsHelp && name !== "" && typeof given === "string") process.stderr.write(`messenger: ${given}\n\n`);
  process[wantsHelp ? "stdout" : "stderr"].write(usage());
  process.exitCode = wantsHelp ? 0 : EXIT_USAGE;
} else {
  try {
    process.exitCode = await command.run(process.env, given);
  } catch (error) {
    process.stderr.write(`messenger ${name}: ${error instanceof Error ? error.message : String(error)}\n`);
    process.exitCode = isOperators(error) ? EXIT_SETTINGS : 1;
  }
}
