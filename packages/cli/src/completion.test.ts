import { execFileSync } from "node:child_process";
import { expect, it } from "vitest";
import { type Completed, completionOf } from "./completion.ts";

const COMMANDS: Completed[] = [
  { name: "admin", help: "list or create admins", words: ["list", "create", "--json"] },
  { name: "attempts", help: "an endpoint's attempts", words: ["--since", "--json"] },
  { name: "doctor", help: "look", words: [] },
];

/** What bash offers after these words. */
function offered(...words: string[]): readonly string[] {
  const script = `${completionOf("bash", COMMANDS)}
COMP_WORDS=(messenger ${words.map((word) => `'${word}'`).join(" ")})
COMP_CWORD=${words.length}
_messenger
printf '%s\\n' "\${COMPREPLY[@]}"`;
  return execFileSync("bash", ["-c", script], { encoding: "utf8" })
    .split("\n")
    .filter((line) => line !== "");
}

it("offers commands, and what each takes", () => {
  expect(offered("")).toEqual(["admin", "attempts", "doctor"]);
  expect(offered("a")).toEqual(["admin", "attempts"]);
  expect(offered("admin", "")).toEqual(["list", "create", "--json"]);
  expect(offered("admin", "--")).toEqual(["--json"]);
  expect(offered("attempts", "7", "--s")).toEqual(["--since"]);
  expect(offered("doctor", "")).toEqual([]);
  expect(offered("unknown", "")).toEqual([]);
});

it("quotes what is said in apostrophes, for fish", () => {
  expect(completionOf("fish", COMMANDS)).toContain(String.raw`-a attempts -d 'an endpoint'\''s attempts'`);
  expect(completionOf("zsh", COMMANDS)).toMatch(/^autoload -U \+X bashcompinit/u);
});
