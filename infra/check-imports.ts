import { createRequire } from "node:module";
import { cruise, type ICruiseOptions, type ICruiseResult } from "dependency-cruiser";

/**
 * Checks which way imports point, by the rules of `.dependency-cruiser.cjs`; and that modules were seen at
 * all, because a parser that does not know this TypeScript finds nothing, and nothing breaks no rule.
 */
const configuration = createRequire(import.meta.url)("../.dependency-cruiser.cjs") as {
  forbidden: NonNullable<ICruiseOptions["ruleSet"]>["forbidden"];
  options: ICruiseOptions;
};
const LEAST_IMPORTS_BETWEEN_PACKAGES = 50;

const { output } = await cruise(["packages", "services"], {
  ...configuration.options,
  validate: true,
  ruleSet: { forbidden: configuration.forbidden },
});
const { modules, summary } = output as ICruiseResult;

for (const { from, to, rule } of summary.violations) process.stderr.write(`${rule.name}: ${from} imports ${to}\n`);
const packageOf = (path: string): string => path.split("/", 2).join("/");
const between = modules.flatMap((module) =>
  module.dependencies.filter(
    ({ resolved }) => /^(packages|services)\//u.test(resolved) && packageOf(resolved) !== packageOf(module.source),
  ),
).length;
process.stdout.write(`${modules.length} modules, ${between} imports between packages, ${summary.violations.length} violations\n`);
if (between < LEAST_IMPORTS_BETWEEN_PACKAGES) process.stderr.write("Too few imports were seen: the check is blind.\n");
process.exitCode = summary.violations.length > 0 || between < LEAST_IMPORTS_BETWEEN_PACKAGES ? 1 : 0;
