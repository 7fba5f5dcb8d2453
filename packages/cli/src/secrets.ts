import { randomBytes } from "node:crypto";
import { mkdir, open, readFile, rename, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { readIfThere } from "./read-if-there.ts";

const PASSWORD_BYTES = 24;
const SECRET_BYTES = 32;

/** Readable by whoever has the folder mounted, who may have another user id. */
const SHARED = 0o444;
const OWN = 0o400;

/** Whole, or not at all, also after a power cut. */
async function replace(path: string, text: string, mode: number): Promise<void> {
  await rm(`${path}.new`, { force: true }); // of one that was broken off, and cannot be written to
  const file = await open(`${path}.new`, "wx", mode);
  try {
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(`${path}.new`, path);
  const folder = await open(dirname(path), "r");
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

/** Undefined where the file is not there, or empty. */
async function readSecret(path: string): Promise<string | undefined> {
  return (await readIfThere(path))?.trim() || undefined;
}

/** What the file holds; what is made, and written to it, where there is nothing. */
async function keep(path: string, make: () => string, mode: number): Promise<string> {
  const found = await readSecret(path);
  if (found !== undefined) return found;
  const made = make();
  await replace(path, made, mode);
  return made;
}

const password = (): string => randomBytes(PASSWORD_BYTES).toString("base64url");
const secret = (): string => randomBytes(SECRET_BYTES).toString("base64");

const rootOf = (env: NodeJS.ProcessEnv): string => env["SECRETS_DIR"] ?? "/secrets";

/**
 * Makes what the services of a compose deployment share: the passwords of PostgreSQL and RabbitMQ and the
 * deployment's secret, each once, and the URLs that hold them; and one for Grafana. In folders of
 * SECRETS_DIR, so that each is given its own only: `messenger`, `postgres`, `rabbitmq`, `grafana`.
 */
export async function makeSecrets(env: NodeJS.ProcessEnv): Promise<number> {
  const root = rootOf(env);
  const folders = ["messenger", "postgres", "rabbitmq", "grafana"].map((name) => join(root, name));
  for (const folder of folders) await mkdir(folder, { recursive: true });
  const [messenger, postgres, rabbitmq, grafana] = folders as [string, string, string, string];
  const postgresPassword = await keep(join(postgres, "password"), password, SHARED);
  const rabbitPassword = await keep(join(rabbitmq, "password"), password, SHARED);
  await keep(join(grafana, "password"), password, SHARED);
  await keep(join(messenger, "secret"), secret, OWN);
  await keep(join(messenger, "previous_secrets"), () => "", OWN);
  await replace(join(messenger, "database_url"), `postgres://messenger:${postgresPassword}@postgres:5432/messenger`, OWN);
  await replace(join(messenger, "amqp_url"), `amqp://messenger:${rabbitPassword}@rabbitmq:5672`, OWN);
  await replace(join(rabbitmq, "user.conf"), `default_user = messenger\ndefault_pass = ${rabbitPassword}\n`, SHARED);
  process.stdout.write(`The secrets are in ${root}.\n`);
  return 0;
}

interface SecretFiles {
  /** The secret that is in use. */
  current: string;
  /** Secrets that are known beside it, separated by commas. */
  known: string;
  /** One that is prepared. */
  next: string;
  /** Those that were known last. */
  forgotten: string;
}

function secretFiles(env: NodeJS.ProcessEnv): SecretFiles {
  const folder = join(rootOf(env), "messenger");
  return {
    current: join(folder, "secret"),
    known: join(folder, "previous_secrets"),
    next: join(folder, "next_secret"),
    forgotten: join(folder, "forgotten_secrets"),
  };
}

async function makeKnown({ known }: SecretFiles, one: string): Promise<void> {
  const before = ((await readSecret(known)) ?? "").split(",").filter((other) => other !== "");
  await replace(known, [...new Set([one, ...before])].join(","), OWN);
}

/**
 * The first step of changing the deployment's secret: makes a new one, which all processes know once they are
 * restarted. Again, it does nothing more. In two steps, so that at every moment each process knows what any
 * of them seals and signs with.
 */
export async function prepareSecret(env: NodeJS.ProcessEnv): Promise<number> {
  const files = secretFiles(env);
  const next = await keep(files.next, secret, OWN);
  await makeKnown(files, next);
  process.stdout.write(
    "A new secret is known beside the current one. Restart all processes, and then use it: messenger use-secret\n",
  );
  return 0;
}

/**
 * The second step: the new secret takes the place of the current one, which stays known. @throws where none
 * is prepared.
 */
export async function usePreparedSecret(env: NodeJS.ProcessEnv): Promise<number> {
  const files = secretFiles(env);
  const next = await readSecret(files.next);
  if (next === undefined) throw new Error("no new secret is prepared: messenger prepare-secret, then restart all processes");
  await makeKnown(files, (await readFile(files.current, "utf8")).trim());
  await replace(files.current, next, OWN);
  await rm(files.next);
  process.stdout.write("The new secret is in use, and the one before stays known. Restart all processes.\n");
  return 0;
}

/**
 * The last step, after `rotate-secret`: the previous secrets are not known any more. They are kept in a file that nobody
 * reads, as everything that is still sealed under them would be lost. @throws where a new one is prepared, which processes may
 * know already.
 */
export async function forgetSecrets(env: NodeJS.ProcessEnv): Promise<number> {
  const files = secretFiles(env);
  if ((await readSecret(files.next)) !== undefined) throw new Error("a new secret is prepared: finish that change first");
  const known = await readSecret(files.known);
  if (known !== undefined) await replace(files.forgotten, known, OWN);
  await replace(files.known, "", OWN);
  process.stdout.write(
    `The previous secrets are not known any more. Restart all processes. They are in ${files.forgotten}: delete that once you have ` +
      "seen that Messenger can do without them.\n",
  );
  return 0;
}
