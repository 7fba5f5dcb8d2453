import type { Route } from "@messenger/contracts";

/** The path of a route with something in place of its parameters that fits them, and names nothing. */
export function samplePath({ path, params }: Route): string {
  return path.replace(/\{(\w+)\}/gu, (_, name: string) => {
    const { type } = (params?.properties[name] ?? {}) as { type?: string };
    return type === "integer" ? "9007199254740991" : "0197f3a2-6c1d-7b3e-9f00-2a4b6c8d0e1f";
  });
}
