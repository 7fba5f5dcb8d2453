import { readFileSync } from "node:fs";

/** One setting: an environment variable, and how it is read. */
export interface Setting<Value> {
  name: string;
  /** Holds a secret: may be given as a file's path in `<name>_FILE`, too, and is never printed. */
  secret?: boolean;
  /** Undefined where the setting must be given. */
  fallback?: Value;
  optional?: boolean;
  /** @throws {Error} whose message says what is expected. */
  parse(text: string): Value;
}

/** All that is wrong with the settings, one fault a line. */
export class SettingsError extends Error {
  override readonly name = "SettingsError";
  constructor(faults: readonly string[]) {
    super(faults.join("\n"));
  }
}

/** What settings are read as. */
export type SettingsValues<Settings> = { [Key in keyof Settings]: Settings[Key] extends Setting<infer Value> ? Value : never };

function readText(setting: Setting<unknown>, env: NodeJS.ProcessEnv): string | undefined {
  const given = env[setting.name];
  const file = setting.secret === true ? env[`${setting.name}_FILE`] : undefined;
  if (given !== undefined && given !== "") {
    if (file !== undefined && file !== "") throw new Error(`give it, or ${setting.name}_FILE, not both`);
    return given;
  }
  if (file === undefined || file === "") return undefined;
  try {
    const text = readFileSync(file, "utf8").trim();
    return text === "" ? undefined : text;
  } catch (error) {
    throw new Error(`the file of ${setting.name}_FILE cannot be read (${(error as NodeJS.ErrnoException).code})`, {
      cause: error,
    });
  }
}

/**
 * Reads settings from the environment. An empty variable, or an empty file, counts as none.
 * @throws {SettingsError} with every fault in one message.
 */
export function readSettings<Settings extends Record<string, Setting<unknown>>>(
  settings: Settings,
  env: NodeJS.ProcessEnv,
): SettingsValues<Settings> {
  const faults: string[] = [];
  const values: Record<string, unknown> = {};
  for (const [key, setting] of Object.entries(settings)) {
    try {
      const text = readText(setting, env);
      if (text !== undefined) values[key] = setting.parse(text);
      else if (setting.fallback !== undefined || setting.optional === true) values[key] = setting.fallback;
      else throw new Error(setting.secret === true ? `it must be set (or ${setting.name}_FILE)` : "it must be set");
    } catch (error) {
      faults.push(`${setting.name}: ${(error as Error).message}`);
    }
  }
  if (faults.length > 0) throw new SettingsError(faults);
  return values as SettingsValues<Settings>;
}

export function integer(name: string, options: { fallback?: number; min: number; max: number }): Setting<number> {
  const { min, max, fallback } = options;
  return {
    name,
    fallback,
    parse(text) {
      const value = Number(text);
      if (!/^\d+$/u.test(text) || value < min || value > max) throw new Error(`a whole number from ${min} to ${max} is expected`);
      return value;
    },
  };
}

export function string(name: string, options: { fallback: string }): Setting<string> {
  return { name, fallback: options.fallback, parse: (text) => text };
}

export function oneOf<Choice extends string>(name: string, choices: readonly Choice[], fallback: Choice): Setting<Choice> {
  return {
    name,
    fallback,
    parse(text) {
      const found = choices.find((choice) => choice === text);
      if (found === undefined) throw new Error(`one of ${choices.join(", ")} is expected`);
      return found;
    },
  };
}

/** A URL of one of these schemes (`postgres:`). It may hold a password. */
export function secretUrl(name: string, schemes: readonly string[]): Setting<string> {
  return {
    name,
    secret: true,
    parse(text) {
      const url = URL.parse(text);
      if (url === null || !schemes.includes(url.protocol)) {
        throw new Error(`a URL that starts with ${schemes.map((scheme) => `${scheme}//`).join(" or ")} is expected`);
      }
      return text;
    },
  };
}

/** A text that is never printed, such as a token. */
export function secretText(name: string): Setting<string> {
  return { name, secret: true, parse: (text) => text };
}

/** A URL of HTTP. */
export function webUrl(name: string, options: { fallback: string }): Setting<string> {
  return {
    name,
    fallback: options.fallback,
    parse(text) {
      if (!/^https?:$/u.test(URL.parse(text)?.protocol ?? "")) throw new Error("a URL that starts with https:// is expected");
      return text;
    },
  };
}

/** Where others reach the deployment: an origin, without a path. */
export const publicUrlSetting: Setting<string> = {
  name: "PUBLIC_URL",
  parse(text) {
    const url = URL.parse(text);
    if (!/^https?:$/u.test(url?.protocol ?? "") || url?.pathname !== "/") {
      throw new Error("an origin such as https://messenger.example.org is expected");
    }
    return url.origin;
  },
};

const SECRET_MIN_BYTES = 32;

/** A secret of at least 32 bytes. */
export function masterSecret(name: string): Setting<string> {
  return { name, secret: true, parse: checkSecret };
}

/** None, one or several, separated by commas. */
export function optionalMasterSecrets(name: string): Setting<readonly string[]> {
  return { name, secret: true, fallback: [], parse: (text) => text.split(",").map((part) => checkSecret(part.trim())) };
}

function checkSecret(text: string): string {
  if (Buffer.byteLength(text) < SECRET_MIN_BYTES) {
    throw new Error(`a secret of ${SECRET_MIN_BYTES} bytes or more is expected, for instance from "openssl rand -base64 32"`);
  }
  return text;
}

/** A list, separated by commas, which alone mean an empty one; `check` throws for an item that is no good. */
export function list(
  name: string,
  options: { fallback: readonly string[]; check(item: string): void },
): Setting<readonly string[]> {
  return {
    name,
    fallback: options.fallback,
    parse(text) {
      const items = text
        .split(",")
        .map((item) => item.trim())
        .filter((item) => item !== "");
      for (const item of items) options.check(item);
      return items;
    },
  };
}

/** A number from 0 to 1. */
export function share(name: string, options: { fallback: number }): Setting<number> {
  return {
    name,
    fallback: options.fallback,
    parse(text) {
      const value = Number(text);
      if (!/^[\d.]+$/u.test(text) || !(value >= 0 && value <= 1)) throw new Error("a number from 0 to 1 is expected");
      return value;
    },
  };
}

/** `name=value`, separated by commas, as OpenTelemetry has it. May hold a secret. */
export function secretPairs(name: string): Setting<Readonly<Record<string, string>>> {
  return {
    name,
    secret: true,
    fallback: {},
    parse(text) {
      const pairs = text.split(",").map((pair) => /^\s*([\w.-]+)\s*=(.*)$/u.exec(pair));
      if (pairs.includes(null)) throw new Error("name=value is expected, several separated by commas");
      return Object.fromEntries(pairs.map((pair) => [pair?.[1], decodeURIComponent((pair?.[2] ?? "").trim())]));
    },
  };
}

export function optional<Value>(setting: Setting<Value>): Setting<Value | undefined> {
  return { ...setting, fallback: undefined, optional: true };
}
