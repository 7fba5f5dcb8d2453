import { EXIT_SETTINGS, isOperators } from "@messenger/runtime";
import { prepareCertificate } from "./certificate.ts";
import { demo } from "./demo.ts";
import { migrateDatabase } from "./migrate.ts";
import { repairQueue } from "./repair.ts";
import { makeSecrets, prepareSecret, usePreparedSecret } from "./secrets.ts";

/** A command: its one-line help, and what it does. Resolves with the exit code. */
interface Command {
  help: string;
  /** What may be given behind its name. */
  options?: readonly string[];
  run(env: NodeJS.ProcessEnv, options: ReadonlySet<string>): Promise<number>;
}

const COMMANDS: Record<string, Command> = {
  migrate: { help: "bring the database's schema up to this version (DATABASE_URL)", run: migrateDatabase },
  repair: {
    help: "make every endpoint that is behind due at once, after the queue was lost; with --after-failover, after the database came back older (DATABASE_URL)",
    options: ["--after-failover"],
    run: repairQueue,
  },
  secrets: {
    help: "make the passwords and secrets of a compose deployment, where there are none (SECRETS_DIR)",
    run: makeSecrets,
  },
  "prepare-secret": {
    help: "the first step of changing the secret of a compose deployment (SECRETS_DIR)",
    run: prepareSecret,
  },
  "use-secret": { help: "the second one, after a restart of all processes (SECRETS_DIR)", run: usePreparedSecret },
  certificate: {
    help: "hand the edge its certificate, self-signed where there is none (CERTS_DIR, EDGE_DIR)",
    run: prepareCertificate,
  },
  demo: { help: "show the main job, on a running instance or a fresh one (MESSENGER_URL)", run: demo },
};

function usage(): string {
  const lines = Object.entries(COMMANDS).map(([name, { help }]) => `  ${name.padEnd(16)}${help}`);
  return `Usage: messenger <command>\n\n${lines.join("\n")}\n`;
}

const EXIT_USAGE = 64;

const [name = "", ...rest] = process.argv.slice(2);
const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
const unknown = rest.find((option) => command?.options?.includes(option) !== true);
if (command === undefined || unknown !== undefined) {
  const wanted = name === "help" || [name, ...rest].includes("--help");
  if (!wanted && name !== "") {
    const wrong =
      command === undefined ? `there is no command ${name}` : `${name} takes no ${unknown}: what it needs is in the environment`;
    process.stderr.write(`messenger: ${wrong}\n\n`);
  }
  process[wanted ? "stdout" : "stderr"].write(usage());
  process.exitCode = wanted ? 0 : EXIT_USAGE;
} else {
  try {
    process.exitCode = await command.run(process.env, new Set(rest));
  } catch (error) {
    process.stderr.write(`messenger ${name}: ${error instanceof Error ? error.message : String(error)}\n`);
    process.exitCode = isOperators(error) ? EXIT_SETTINGS : 1;
  }
}
