/**
 * Checks the licences of everything that is installed, by a software bill of materials (CycloneDX): its path is the only
 * argument. Exits with 1 where one is none that Messenger may be given away with.
 */
import { readFileSync } from "node:fs";

interface Component {
  name: string;
  version: string;
  licenses?: { license?: { id?: string; name?: string }; expression?: string }[];
}

/** Permissive ones (SPDX): none asks for more than to be named. */
const ALLOWED: ReadonlySet<string> = new Set([
  "0BSD",
  "Apache-2.0",
  "BlueOak-1.0.0",
  "BSD-2-Clause",
  "BSD-3-Clause",
  "CC0-1.0",
  "ISC",
  "MIT",
  "MIT-0",
  "PSF-2.0",
  "Python-2.0",
  "Unlicense",
]);

/** That say so in a way that tools do not read: what their files say. Only tests install them. */
const READ_BY_HAND: Readonly<Record<string, string>> = { buildcheck: "MIT", "cpu-features": "MIT", ssh2: "MIT" };

function licencesOf({ name, licenses = [] }: Component): readonly string[] {
  const found = licenses.flatMap(({ license, expression }) => license?.id ?? license?.name ?? expression ?? []);
  return found.length === 0 ? [READ_BY_HAND[name] ?? "none"] : found;
}

/** Of several by `OR`, one is enough; by `AND`, all are needed. */
const isAllowed = (licence: string): boolean =>
  licence
    .replaceAll(/[()]/gu, "")
    .split(" OR ")
    .some((choice) => choice.split(" AND ").every((one) => ALLOWED.has(one.trim())));

const [path] = process.argv.slice(2);
if (path === undefined) {
  process.stderr.write("Give the path of a bill of materials: pnpm sbom --prod --sbom-format cyclonedx --out sbom.cdx.json\n");
  process.exit(64);
}
const { components } = JSON.parse(readFileSync(path, "utf8")) as { components: Component[] };
const refused = components.filter((component) => !licencesOf(component).every(isAllowed));
for (const component of refused) {
  process.stderr.write(`${component.name} ${component.version}: ${licencesOf(component).join(", ")}\n`);
}
process.stdout.write(`${components.length} packages, ${refused.length} with a licence that is not on the list\n`);
process.exit(refused.length === 0 && components.length > 0 ? 0 : 1);
