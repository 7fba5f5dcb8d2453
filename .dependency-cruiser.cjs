/**
 * Which way the arrows point: `core` imports nothing of ours; `contracts` neither; `store`, `broker` and `channels` import `core` (and
 * `contracts`); `runtime` those; services import packages and never each other, but `standalone`, which composes the two; the testkit is for
 * tests alone, for benchmarks and for faults; and nothing that runs imports those, or the simulation, which imports the services. A package is entered by its door (`src/index.ts`).
 */
const TESTS = "\\.test\\.ts$|/tests/";

/** `from` may import of the workspace only `to`. */
function only(from, to) {
  return {
    name: `${from.replace("/", "-")}-imports-only-${to.length === 0 ? "itself" : to.join("-")}`,
    severity: "error",
    from: { path: `^${from}/`, pathNot: TESTS },
    to: { path: "^(packages|services)/", pathNot: [`^${from}/`, ...to.map((name) => `^packages/${name}/`)] },
  };
}

module.exports = {
  forbidden: [
    only("packages/core", []),
    only("packages/contracts", []),
    only("packages/store", ["core", "contracts"]),
    only("packages/broker", ["core", "contracts"]),
    only("packages/channels", ["core", "contracts"]),
    only("packages/runtime", ["core", "store", "broker"]),
    only("packages/cli", ["core", "contracts", "client", "runtime", "store", "channels"]),
    only("services/listener", ["core", "contracts", "store", "broker", "channels", "runtime"]),
    only("services/sender", ["core", "contracts", "store", "broker", "channels", "runtime"]),
    {
      name: "testkit-is-for-tests",
      severity: "error",
      from: { path: "^(packages|services)/", pathNot: [TESTS, "^packages/testkit/", "^packages/bench/", "^packages/faults/"] },
      to: { path: "^packages/testkit/" },
    },
    {
      name: "what-tries-it-out-is-no-part-of-it",
      severity: "error",
      from: { path: "^(packages|services)/", pathNot: "^packages/(bench|faults|simulation)/" },
      to: { path: "^packages/(bench|faults|simulation)/" },
    },
    {
      name: "packages-are-entered-by-their-door",
      severity: "error",
      from: { path: "^(packages|services)/([^/]+)/" },
      to: { path: "^(packages|services)/([^/]+)/src/", pathNot: ["^$1/$2/", "/src/index\\.ts$"] },
    },
    { name: "no-circles", severity: "error", from: {}, to: { circular: true, viaOnly: { dependencyTypesNot: ["type-only"] } } },
    { name: "resolvable", severity: "error", from: {}, to: { couldNotResolve: true } },
  ],
  options: {
    parser: "swc",
    doNotFollow: { path: "node_modules" },
    tsPreCompilationDeps: true,
    enhancedResolveOptions: {
      exportsFields: ["exports"],
      conditionNames: ["import", "node", "default", "types"],
      extensions: [".ts", ".js", ".mjs", ".json"],
    },
  },
};
