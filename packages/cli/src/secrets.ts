import { randomBytes } from "node:crypto";
import { mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";

const PASSWORD_BYTES = 24;
const SECRET_BYTES = 32;

/** Readable by whoever has the folder mounted, who may have another user id. */
const SHARED = 0o444;
const OWN = 0o400;

/** Whole, or not at all. */
async function replace(path: string, text: string, mode: number): Promise<void> {
  await rm(`${path}.new`, { force: true }); // of one that was broken off, and cannot be written to
  await writeFile(`${path}.new`, text, { mode });
  await rename(`${path}.new`, path);
}

async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return (await readFile(path, "utf8")).trim();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}

/** What the file holds; what is made, and written to it, where there is none. */
async function keep(path: string, make: () => string, mode: number): Promise<string> {
  const found = await readIfThere(path);
  if (found !== undefined) return found;
  const made = make();
  await replace(path, made, mode);
  return made;
}

const password = (): string => randomBytes(PASSWORD_BYTES).toString("base64url");
const secret = (): string => randomBytes(SECRET_BYTES).toString("base64");

const rootOf = (env: NodeJS.ProcessEnv): string => env["SECRETS_DIR"] ?? "/secrets";

/**
 * Makes what the services of a compose deployment share: the passwords of PostgreSQL and RabbitMQ and the deployment's secret, each once, and the
 * URLs that hold them; and one for Grafana. In folders of SECRETS_DIR, so that each is given its own only: `messenger`, `postgres`, `rabbitmq`, `grafana`.
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

/**
 * Changes the deployment's secret in two steps, so that at every moment all processes know what any of them seals and signs with: the first makes a new secret
 * known beside the old one, the second puts it in the old one's place, which stays known. All processes must be restarted after each.
 */
export async function rotateSecret(env: NodeJS.ProcessEnv): Promise<number> {
  const folder = join(rootOf(env), "messenger");
  const [current, previous, next] = [join(folder, "secret"), join(folder, "previous_secrets"), join(folder, "next_secret")];
  const old = (await readFile(current, "utf8")).trim();
  const known = ((await readIfThere(previous)) ?? "").split(",").filter((one) => one !== "");
  const addKnown = (one: string): Promise<void> => replace(previous, [...new Set([one, ...known])].join(","), OWN);
  const prepared = await readIfThere(next);
  if (prepared === undefined) {
    const made = secret();
    await addKnown(made);
    await replace(next, made, OWN);
    process.stdout.write("A new secret is known beside the current one. Restart all processes, then run this once more.\n");
    return 0;
  }
  await addKnown(old);
  await replace(current, prepared, OWN);
  await rm(next);
  process.stdout.write("The new secret is in use, and the one before stays known. Restart all processes.\n");
  return 0;
}
