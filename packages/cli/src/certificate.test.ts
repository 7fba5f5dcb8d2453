import { X509Certificate } from "node:crypto";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { generate } from "selfsigned";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { prepareCertificate } from "./certificate.ts";

describe("the edge's certificate", () => {
  let folder: string;
  let edge: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "messenger-certs-"));
    edge = await mkdtemp(join(tmpdir(), "messenger-edge-"));
  });
  afterEach(async () => {
    await rm(folder, { recursive: true });
    await rm(edge, { recursive: true });
  });

  const prepare = (names = "localhost, 127.0.0.1,::1,messenger.example"): Promise<number> =>
    prepareCertificate({ CERTS_DIR: folder, EDGE_DIR: edge, CERTIFICATE_NAMES: names });
  const handed = (name: string): Promise<string> => readFile(join(edge, name), "utf8");

  it("is made for all its names where there is none, and handed to the edge", async () => {
    await prepare();
    const certificate = new X509Certificate(await handed("certificate.pem"));
    expect(certificate.subjectAltName).toBe(
      "DNS:localhost, IP Address:127.0.0.1, IP Address:0:0:0:0:0:0:0:1, DNS:messenger.example",
    );
    expect(certificate.ca).toBe(false);
    expect(await handed("private_key.pem")).toBe(await readFile(join(folder, "private_key.pem"), "utf8"));
  });

  it("is the operator's where there is one", async () => {
    await prepare("own.example");
    const own = await readFile(join(folder, "certificate.pem"), "utf8");
    await rm(edge, { recursive: true });
    edge = await mkdtemp(join(tmpdir(), "messenger-edge-"));
    await prepare("other.example");
    expect(await handed("certificate.pem")).toBe(own);
  });

  it("is made anew where it was made here, and has run out; one of the operator's is refused", async () => {
    const runOut = async (organization: string): Promise<void> => {
      const subject = [
        { name: "commonName", value: "localhost" },
        { name: "organizationName", value: organization },
      ];
      const dates = { notBeforeDate: new Date("2020-01-01"), notAfterDate: new Date("2020-02-01") };
      const { cert, private: key } = await generate(subject, { keyType: "ec", curve: "P-256", ...dates });
      await writeFile(join(folder, "certificate.pem"), cert);
      await writeFile(join(folder, "private_key.pem"), key);
    };
    await runOut("somebody");
    await expect(prepare()).rejects.toThrow("was valid until 2020-02-01");
    await runOut("Messenger self-signed");
    await prepare();
    expect(Date.parse(new X509Certificate(await handed("certificate.pem")).validTo)).toBeGreaterThan(Date.now());
  });

  it("is not handed on without its key, or with another one", async () => {
    await prepare();
    const before = await handed("certificate.pem");
    const key = await readFile(join(folder, "private_key.pem"), "utf8");
    await rm(join(folder, "private_key.pem"));
    await expect(prepare()).rejects.toThrow("both are needed");
    await rm(join(folder, "certificate.pem"));
    await prepare("other.example");
    await rm(join(folder, "private_key.pem"));
    await writeFile(join(folder, "private_key.pem"), key);
    await expect(prepare()).rejects.toThrow("not the key of");
    expect(await handed("certificate.pem")).not.toBe(before); // that of the step before
    expect(new X509Certificate(await handed("certificate.pem")).subjectAltName).toBe("DNS:other.example");
  });
});
