import { createPrivateKey, X509Certificate } from "node:crypto";
import { isIP } from "node:net";
import { chmod, copyFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { generate } from "selfsigned";
import { readIfThere } from "./read-if-there.ts";

const DAYS = 825; // what clients accept at most of a certificate that nobody issued
const DAY_MS = 24 * 60 * 60 * 1000;
const IP_ADDRESS = 7;
const DNS_NAME = 2;

async function makeSelfSigned(names: readonly string[]): Promise<{ certificate: string; key: string }> {
  const subject = [
    { name: "commonName", value: names[0] },
    { name: "organizationName", value: ORGANIZATION },
  ];
  const made = await generate(subject, {
    keyType: "ec",
    curve: "P-256",
    algorithm: "sha256",
    notAfterDate: new Date(Date.now() + DAYS * DAY_MS),
    extensions: [
      { name: "basicConstraints", cA: false, critical: true },
      { name: "keyUsage", digitalSignature: true, critical: true },
      { name: "extKeyUsage", serverAuth: true },
      {
        name: "subjectAltName",
        altNames: names.map((name) => (isIP(name) === 0 ? { type: DNS_NAME, value: name } : { type: IP_ADDRESS, ip: name })),
      },
    ],
  });
  return { certificate: made.cert, key: made.private };
}

const ORGANIZATION = "Messenger self-signed";

/** One that was made here, and has run out. */
function isOwnAndOver(certificate: string): boolean {
  const { issuer, validTo } = new X509Certificate(certificate);
  return issuer.includes(`O=${ORGANIZATION}`) && Date.parse(validTo) < Date.now();
}

/**
 * Hands the edge its certificate: that of CERTS_DIR (`certificate.pem`, `private_key.pem`), or a self-signed
 * one for CERTIFICATE_NAMES, which is made there where there is none. It is copied into EDGE_DIR, which only
 * the edge has mounted and may read without being root.
 */
export async function prepareCertificate(env: NodeJS.ProcessEnv): Promise<number> {
  const [folder, edge] = [env["CERTS_DIR"] ?? "/certs", env["EDGE_DIR"] ?? "/edge"];
  const names = (env["CERTIFICATE_NAMES"] ?? "localhost,127.0.0.1,::1").split(",").map((name) => name.trim());
  const [certificatePath, keyPath] = [join(folder, "certificate.pem"), join(folder, "private_key.pem")];
  let [certificate, key] = [await readIfThere(certificatePath), await readIfThere(keyPath)];
  if ((certificate === undefined) !== (key === undefined)) {
    throw new Error(
      `of certificate.pem and private_key.pem only one is in ${folder}: both are needed, or none (then they are made)`,
    );
  }
  if (certificate === undefined || key === undefined || isOwnAndOver(certificate)) {
    ({ certificate, key } = await makeSelfSigned(names));
    await rm(certificatePath, { force: true });
    await rm(keyPath, { force: true });
    await writeFile(keyPath, key, { mode: 0o600, flag: "wx" });
    await writeFile(certificatePath, certificate, { mode: 0o644, flag: "wx" });
    process.stdout.write(`Made a self-signed certificate for ${names.join(", ")}.\n`);
  }
  const leaf = new X509Certificate(certificate);
  if (!leaf.checkPrivateKey(createPrivateKey(key))) throw new Error("private_key.pem is not the key of certificate.pem");
  const until = new Date(leaf.validTo);
  if (until.getTime() < Date.now()) throw new Error(`certificate.pem was valid until ${until.toISOString()} only`);
  for (const [path, name] of [
    [certificatePath, "certificate.pem"],
    [keyPath, "private_key.pem"],
  ] as const) {
    await rm(join(edge, name), { force: true });
    await copyFile(path, join(edge, name));
    await chmod(join(edge, name), 0o444);
  }
  process.stdout.write(`The certificate of ${leaf.subject.replaceAll("\n", ", ")} is valid until ${until.toISOString()}.\n`);
  return 0;
}
