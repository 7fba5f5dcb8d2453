import { mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { forgetSecrets, makeSecrets, prepareSecret, usePreparedSecret } from "./secrets.ts";

describe("the secrets of a compose deployment", () => {
  let root: string;
  let env: NodeJS.ProcessEnv;
  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), "messenger-secrets-"));
    env = { SECRETS_DIR: root };
  });
  afterEach(() => rm(root, { recursive: true }));

  const read = (path: string): Promise<string> => readFile(join(root, path), "utf8");
  const modeOf = async (path: string): Promise<number> => (await stat(join(root, path))).mode & 0o777;

  it("are made once, and kept from then on", async () => {
    await makeSecrets(env);
    const files = ["messenger/secret", "messenger/database_url", "messenger/amqp_url", "postgres/password", "rabbitmq/user.conf"];
    const first = await Promise.all(files.map(read));
    await makeSecrets(env);
    expect(await Promise.all(files.map(read))).toEqual(first);
    expect(Buffer.from(await read("messenger/secret"), "base64")).toHaveLength(32);
    expect(await modeOf("messenger/secret")).toBe(0o400);
  });

  it("give each server the password that the services have for it", async () => {
    await makeSecrets(env);
    expect(new URL(await read("messenger/database_url")).password).toBe(await read("postgres/password"));
    expect(await read("rabbitmq/user.conf")).toContain(`default_pass = ${new URL(await read("messenger/amqp_url")).password}\n`);
    expect(await read("postgres/password")).not.toBe(await read("rabbitmq/password"));
  });

  it("are made anew where a file is empty, as after a power cut", async () => {
    await makeSecrets(env);
    await rm(join(root, "messenger/secret"));
    await writeFile(join(root, "messenger/secret"), "");
    await makeSecrets(env);
    expect(Buffer.from(await read("messenger/secret"), "base64")).toHaveLength(32);
  });

  it("are changed in two steps, so that what one process seals every other one knows", async () => {
    await makeSecrets(env);
    const old = await read("messenger/secret");
    await prepareSecret(env);
    await prepareSecret(env); // once more is as good as once
    expect(await read("messenger/secret")).toBe(old);
    const made = await read("messenger/previous_secrets");
    expect(Buffer.from(made, "base64")).toHaveLength(32);
    await usePreparedSecret(env);
    expect(await read("messenger/secret")).toBe(made);
    expect((await read("messenger/previous_secrets")).split(",")).toContain(old);
  });

  it("of before are forgotten, but not in the middle of a change", async () => {
    await makeSecrets(env);
    await prepareSecret(env);
    await expect(forgetSecrets(env)).rejects.toThrow("finish that change");
    await usePreparedSecret(env);
    const current = await read("messenger/secret");
    const previous = await read("messenger/previous_secrets");
    await forgetSecrets(env);
    expect(await read("messenger/previous_secrets")).toBe("");
    expect(await read("messenger/forgotten_secrets")).toBe(previous); // somebody may have been too fast
    expect(await read("messenger/secret")).toBe(current);
  });

  it("are not changed where no new one is prepared, which all processes would have to know first", async () => {
    await makeSecrets(env);
    const old = await read("messenger/secret");
    await expect(usePreparedSecret(env)).rejects.toThrow("prepare-secret");
    await prepareSecret(env);
    await usePreparedSecret(env);
    await expect(usePreparedSecret(env)).rejects.toThrow("prepare-secret");
    expect(await read("messenger/secret")).not.toBe(old);
  });

  it("stay known when they are changed again", async () => {
    await makeSecrets(env);
    const used = [];
    for (let change = 0; change < 3; change += 1) {
      used.push(await read("messenger/secret"));
      await prepareSecret(env);
      await usePreparedSecret(env);
    }
    expect(new Set(used).size).toBe(3);
    expect((await read("messenger/previous_secrets")).split(",")).toEqual(expect.arrayContaining(used));
  });
});
