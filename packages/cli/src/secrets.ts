import { randomBytes } from "node:crypto";
import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";

const PASSWORD_BYTES = 24;
const SECRET_BYTES = 32;

/** Readable by whoever has the folder mounted, who may have another user id. */
const SHARED = 0o444;
const OWN = 0o400;

/** Whole, or not at all. */
async function replace(path: string, text: string, mode: number): Promise<void> {
  await writeFile(`${path}.new`, text, { mode });
  await rename(`${path}.new`, path);
}

/** What the file holds; what is made, and written to it, where there is none. */
async function keep(path: string, make: () => string, mode: number): Promise<string> {
  try {
    return (await readFile(path, "utf8")).trim();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
  }
  const made = make();
  await replace(path, made, mode);
  return made;
}

const password = (): string => randomBytes(PASSWORD_BYTES).toString("base64url");

/**
 * Makes what the services of a compose deployment share: the passwords of PostgreSQL and RabbitMQ and the deployment's secret, each once, and the
 * URLs that hold them. In folders of SECRETS_DIR, so that each server is given its own only: `messenger`, `postgres` and `rabbitmq`.
 */
export async function makeSecrets(env: NodeJS.ProcessEnv): Promise<number> {
  const root = env["SECRETS_DIR"] ?? "/secrets";
  const [messenger, postgres, rabbitmq] = [join(root, "messenger"), join(root, "postgres"), join(root, "rabbitmq")];
  for (const folder of [messenger, postgres, rabbitmq]) await mkdir(folder, { recursive: true });
  const postgresPassword = await keep(join(postgres, "password"), password, SHARED);
  const rabbitPassword = await keep(join(rabbitmq, "password"), password, SHARED);
  await keep(join(messenger, "secret"), () => randomBytes(SECRET_BYTES).toString("base64"), OWN);
  await replace(join(messenger, "database_url"), `postgres://messenger:${postgresPassword}@postgres:5432/messenger`, OWN);
  await replace(join(messenger, "amqp_url"), `amqp://messenger:${rabbitPassword}@rabbitmq:5672`, OWN);
  await replace(join(rabbitmq, "user.conf"), `default_user = messenger\ndefault_pass = ${rabbitPassword}\n`, SHARED);
  process.stdout.write(`The secrets are in ${root}.\n`);
  return 0;
}
