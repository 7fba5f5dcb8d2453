import { X509Certificate } from "node:crypto";
import { readFile, statfs } from "node:fs/promises";
import { existsSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { createKeyring, systemRandom } from "@messenger/core";
import {
  FolderInUse,
  openDataFolder,
  optional,
  ownSecret,
  readSettings,
  serviceSettings,
  type Setting,
  type SettingsValues,
  string,
} from "@messenger/runtime";
import { type DatabaseHealth, openStore, readHealth } from "@messenger/store";
import { printJson } from "../console/print.ts";
import type { Given } from "../given.ts";

/** What was looked at. */
interface Finding {
  what: string;
  /** Undefined where it could not be looked at. */
  isFine: boolean | undefined;
  /** How it is. */
  detail: string;
  /** What to do, where it is not fine. */
  mend?: string;
}

const TIMEOUT_MS = 5_000;
const MAX_SKEW_MS = 2_000;
const DAY_MS = 86_400_000;
const CERTIFICATE_DAYS = 14;
/** Of the disk that is free: at least a twentieth, or 2 GiB. */
const FREE_SHARE = 0.05;
const FREE_BYTES = 2 * 1024 ** 3;

const fine = (what: string, detail: string): Finding => ({ what, isFine: true, detail });
const wrong = (what: string, detail: string, mend: string): Finding => ({ what, isFine: false, detail, mend });
const unknown = (what: string, detail: string): Finding => ({ what, isFine: undefined, detail });

const { databaseUrl, amqpUrl, secret, previousSecrets, partitions } = serviceSettings;
const SETTINGS = { databaseUrl, amqpUrl, secret, previousSecrets, partitions };

/** Those that can be read. */
type SomeSettings = Partial<SettingsValues<typeof SETTINGS>>;

/** Each setting by itself, so that one that is wrong hides no other. An embedded Messenger needs none of them. */
function checkSettings(env: NodeJS.ProcessEnv, isEmbedded: boolean): { findings: Finding[]; given: SomeSettings } {
  const given: SomeSettings = {};
  const faults: string[] = [];
  for (const [key, setting] of Object.entries(SETTINGS)) {
    try {
      Object.assign(given, readSettings({ [key]: isEmbedded ? optional(setting as Setting<unknown>) : setting }, env));
    } catch (error) {
      faults.push((error as Error).message);
    }
  }
  const findings =
    faults.length === 0
      ? [fine("settings", "can be read")]
      : faults.map((fault) => wrong("settings", fault, "set it as .env.example says"));
  return { findings, given };
}

async function checkDatabase(url: string): Promise<{ findings: Finding[]; health: DatabaseHealth | undefined }> {
  try {
    const store = await openStore({ url, maxConnections: 1, statementTimeoutMs: TIMEOUT_MS, lockTimeoutMs: TIMEOUT_MS });
    try {
      const askedAt = Date.now();
      const health = await readHealth(store.db);
      return { findings: describeHealth(health, (askedAt + Date.now()) / 2), health };
    } finally {
      await store.close();
    }
  } catch (error) {
    const detail = `it does not answer: ${(error as Error).message}`;
    return { findings: [wrong("database", detail, "start PostgreSQL, or correct DATABASE_URL")], health: undefined };
  }
}

function describeHealth(health: DatabaseHealth, now: number): Finding[] {
  const { version, missing, unknown: later, invalidIndexes, stuckOutbox, stuckEndpoints } = health;
  const skewMs = Math.round(health.now - now);
  const schema =
    missing.length > 0
      ? wrong("schema", `it lacks ${missing.length} steps, ${String(missing[0])} first`, "run messenger migrate")
      : later.length > 0
        ? wrong(
            "schema",
            `it is a newer version's (${String(later.at(-1))})`,
            "run this version's processes only until they are upgraded, too",
          )
        : fine("schema", "is this version's");
  return [
    fine("database", `PostgreSQL ${version} answers`),
    schema,
    invalidIndexes.length === 0
      ? fine("indexes", "all are used")
      : wrong(
          "indexes",
          `not made to their end: ${invalidIndexes.join(", ")}`,
          "run REINDEX INDEX CONCURRENTLY for each while there is little to do",
        ),
    Math.abs(skewMs) <= MAX_SKEW_MS
      ? fine("clock", `is the database's, to ${Math.abs(skewMs)} ms`)
      : wrong("clock", `the database's is ${skewMs} ms ahead of this machine's`, "have both machines' clocks set by NTP"),
    stuckOutbox === 0
      ? fine("outbox", "nothing waits in it for long")
      : wrong(
          "outbox",
          `${stuckOutbox} rows were not published for half a minute`,
          "look whether a sender runs, and whether RabbitMQ takes messages (its memory and disk alarms)",
        ),
    stuckEndpoints === 0
      ? fine("due endpoints", "none waits for a sender")
      : wrong("due endpoints", `${stuckEndpoints} wait for a sender since a minute`, "start a sender, or look at its log"),
  ];
}

function checkAgreement(health: DatabaseHealth, given: SomeSettings): Finding[] {
  const findings: Finding[] = [];
  if (health.partitions !== undefined && given.partitions !== undefined) {
    findings.push(
      health.partitions === given.partitions
        ? fine("partitions", `are ${health.partitions}`)
        : wrong(
            "partitions",
            `PARTITIONS is ${given.partitions} here, and the deployment was set up with ${health.partitions}`,
            `set PARTITIONS=${health.partitions}`,
          ),
    );
  }
  if (health.keyCheck !== undefined && given.secret !== undefined) {
    const { checks } = createKeyring({
      secret: given.secret,
      previous: given.previousSecrets ?? [],
      random: systemRandom,
    });
    findings.push(
      checks.known.includes(health.keyCheck)
        ? fine("secret", "is the one that this database was written with")
        : wrong(
            "secret",
            "MESSENGER_SECRET is not the one that this database was written with",
            "restore the right one; to change it, give the one before as MESSENGER_SECRET_PREVIOUS",
          ),
    );
  }
  return findings;
}

/** Whether somebody who speaks AMQP 0-9-1 answers: a wrong header is answered by the right one. */
async function checkBroker(url: string): Promise<Finding> {
  const { hostname, port, protocol } = new URL(url);
  if (protocol === "amqps:") return unknown("broker", "is reached by TLS, which is not tried here");
  const at = { host: hostname.replaceAll(/[[\]]/gu, ""), port: Number(port || 5672) };
  return new Promise((resolve) => {
    const socket = connect(at);
    const say = (finding: Finding): void => {
      socket.destroy();
      resolve(finding);
    };
    const mend = "start RabbitMQ, or correct AMQP_URL";
    socket.setTimeout(TIMEOUT_MS, () => say(wrong("broker", `nobody answers at ${at.host}:${at.port}`, mend)));
    socket.once("error", (error) => say(wrong("broker", `it cannot be reached: ${error.message}`, mend)));
    socket.once("connect", () => socket.write("AMQP\0\0\0\0"));
    socket.once("data", (data: Buffer) =>
      say(
        data.subarray(0, 4).toString("latin1") === "AMQP"
          ? fine("broker", "RabbitMQ answers")
          : wrong("broker", `what answers at ${at.host}:${at.port} is no RabbitMQ`, mend),
      ),
    );
  });
}

async function checkCertificate(folder: string): Promise<Finding[]> {
  let text: string;
  try {
    text = await readFile(join(folder, "certificate.pem"), "utf8");
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    return code === "ENOENT"
      ? []
      : [wrong("certificate", `certificate.pem cannot be read (${String(code)})`, "correct its permissions")];
  }
  try {
    const { validTo } = new X509Certificate(text);
    const days = Math.floor((Date.parse(validTo) - Date.now()) / DAY_MS);
    return [
      days >= CERTIFICATE_DAYS
        ? fine("certificate", `is valid for ${days} days more`)
        : wrong(
            "certificate",
            days < 0 ? `ended on ${validTo}` : `ends in ${days} days`,
            "renew it, and run messenger certificate",
          ),
    ];
  } catch {
    return [wrong("certificate", "certificate.pem is no certificate", "put the certificate and its chain there, in PEM")];
  }
}

async function checkDisk(folder: string): Promise<Finding> {
  try {
    const { bavail, blocks, bsize } = await statfs(folder);
    const [free, all] = [bavail * bsize, blocks * bsize];
    const detail = `${(free / 1024 ** 3).toFixed(1)} GiB of ${(all / 1024 ** 3).toFixed(1)} are free in ${folder}`;
    return free >= FREE_BYTES || free >= all * FREE_SHARE
      ? fine("disk", detail)
      : wrong("disk", detail, "make room: a full disk is answered by 503");
  } catch (error) {
    return unknown("disk", `${folder} cannot be looked at (${String((error as NodeJS.ErrnoException).code)})`);
  }
}

/** The database in the folder of an embedded Messenger, which is its own while it runs. */
async function checkEmbedded(dataDir: string, given: SomeSettings): Promise<Finding[]> {
  try {
    const folder = await openDataFolder(dataDir);
    try {
      const { findings, health } = await checkDatabase(folder.databaseUrl);
      if (health === undefined) return findings;
      return [...findings, ...checkAgreement(health, { ...given, secret: given.secret ?? (await ownSecret(folder.path)) })];
    } finally {
      await folder.release();
    }
  } catch (error) {
    if (error instanceof FolderInUse) return [fine("Messenger", `runs on ${dataDir}: stop it to have its database looked at`)];
    throw error;
  }
}

/** Looks at all that a deployment stands on, and says what is wrong and what to do. */
export async function runDoctor(env: NodeJS.ProcessEnv, { values }: Given): Promise<number> {
  const folders = readSettings(
    { certs: optional(string("CERTS_DIR", { fallback: "" })), data: string("DATA_DIR", { fallback: "./data" }) },
    env,
  );
  const isEmbedded = !env["DATABASE_URL"] && !env["DATABASE_URL_FILE"] && existsSync(join(folders.data, "postgres"));
  const { findings, given } = checkSettings(env, isEmbedded);
  if (isEmbedded) findings.push(...(await checkEmbedded(folders.data, given)));
  if (given.databaseUrl !== undefined) {
    const database = await checkDatabase(given.databaseUrl);
    findings.push(...database.findings);
    if (database.health !== undefined) findings.push(...checkAgreement(database.health, given));
  }
  if (given.amqpUrl !== undefined) findings.push(await checkBroker(given.amqpUrl));
  findings.push(
    ...(await checkCertificate(folders.certs ?? "./certs")),
    await checkDisk(existsSync(folders.data) ? folders.data : "."),
  );
  const isFine = findings.every((finding) => finding.isFine !== false);
  if (values["json"] === true)
    printJson({
      is_fine: isFine,
      findings: findings.map(({ what, isFine: how = null, detail, mend }) => ({ what, is_fine: how, detail, mend })),
    });
  else {
    for (const { what, isFine: how, detail, mend } of findings) {
      const mark = how === undefined ? "?" : how ? "✓" : "✗";
      process.stdout.write(`${mark} ${what}: ${detail}\n${mend === undefined ? "" : `  → ${mend}\n`}`);
    }
    process.stdout.write(isFine ? "\nNothing is wrong.\n" : "\nSomething is wrong: see ✗.\n");
  }
  return isFine ? 0 : 1;
}
