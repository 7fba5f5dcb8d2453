import type { Route } from "@messenger/contracts";

const ID = "0197f3a2-6c1d-7b3e-9f00-2a4b6c8d0e1f";

/** The path of a route with something in place of its parameters that fits them, and names nothing. */
export function samplePath({ path, params }: Route): string {
  return path.replace(/\{(\w+)\}/gu, (_, name: string) => {
    const { type, pattern = "" } = (params?.properties[name] ?? {}) as { type?: string; pattern?: string };
    if (type === "integer") return "9007199254740991";
    return [ID, "unknown"].find((sample) => new RegExp(pattern, "u").test(sample)) ?? ID;
  });
}
