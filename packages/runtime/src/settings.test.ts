import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { serviceSettings } from "./common-settings.ts";
import { integer, list, masterSecret, optional, readSettings, secretUrl, SettingsError } from "./settings.ts";

const SETTINGS = {
  port: integer("PORT", { fallback: 5000, min: 0, max: 65_535 }),
  database: secretUrl("DATABASE_URL", ["postgres:"]),
  secret: masterSecret("MESSENGER_SECRET"),
};
const GOOD = { DATABASE_URL: "postgres://u:p@host/db", MESSENGER_SECRET: "x".repeat(32) };

describe("settings", () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "settings-"));
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  it("are read from the environment, an empty one being none", () => {
    expect(readSettings(SETTINGS, { ...GOOD, PORT: "" })).toEqual({
      port: 5000,
      database: GOOD.DATABASE_URL,
      secret: GOOD.MESSENGER_SECRET,
    });
  });

  it("come from a file, where they are or hold a secret", () => {
    const file = join(folder, "secret");
    writeFileSync(file, `${"y".repeat(40)}\n`);
    const { secret } = readSettings(SETTINGS, { DATABASE_URL: GOOD.DATABASE_URL, MESSENGER_SECRET_FILE: file });
    expect(secret).toBe("y".repeat(40));
    expect(() => readSettings(SETTINGS, { ...GOOD, MESSENGER_SECRET_FILE: file })).toThrow(/not both/u);
    writeFileSync(file, "\n");
    expect(() => readSettings(SETTINGS, { ...GOOD, MESSENGER_SECRET: "", MESSENGER_SECRET_FILE: file })).toThrow(/must be set/u);
  });

  it("are refused with every fault in one message, and no secret in it", () => {
    const env = { PORT: "70000", DATABASE_URL: "mysql://user:hunter2@host/", MESSENGER_SECRET: "hunter2" };
    let message = "";
    try {
      readSettings(SETTINGS, env);
    } catch (error) {
      expect(error).toBeInstanceOf(SettingsError);
      message = (error as Error).message;
    }
    expect(message.split("\n")).toEqual([
      expect.stringMatching(/^PORT: .*0 to 65535/u),
      expect.stringMatching(/^DATABASE_URL: .*postgres:/u),
      expect.stringMatching(/^MESSENGER_SECRET: .*32 bytes/u),
    ]);
    expect(message).not.toContain("hunter2");
    expect(() => readSettings(SETTINGS, { MESSENGER_SECRET_FILE: join(folder, "none") })).toThrow(/ENOENT/u);
  });

  it("may be lists, and may be left out", () => {
    const cidrs = list("RANGES", {
      fallback: [],
      check(item) {
        if (!item.includes("/")) throw new Error(`${item} is no range`);
      },
    });
    expect(readSettings({ cidrs, none: optional(masterSecret("NONE")) }, { RANGES: "10.0.0.0/8, ::1/128" })).toEqual({
      cidrs: ["10.0.0.0/8", "::1/128"],
      none: undefined,
    });
    expect(readSettings({ cidrs }, { RANGES: "," })).toEqual({ cidrs: [] });
    expect(() => readSettings({ cidrs }, { RANGES: "10" })).toThrow(/no range/u);
  });

  it("are all named in .env.example", () => {
    const example = readFileSync(new URL("../../../.env.example", import.meta.url), "utf8");
    for (const { name, secret } of Object.values<{ name: string; secret?: boolean }>(serviceSettings)) {
      expect(example).toContain(`${name}=`);
      if (secret === true) expect(example).toContain(`${name}_FILE`);
    }
  });
});
