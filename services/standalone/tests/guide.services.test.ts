import { readFile } from "node:fs/promises";
import { needProgram, runCommand } from "@messenger/testkit";
import { expect, it } from "vitest";
import { deployments } from "./deployments.ts";

const SEPARATOR = "----- the next block -----";

interface Block {
  language: string;
  text: string;
}

/** Objects with the types of their values in place of these; lists by their first item. */
function formOf(value: unknown): unknown {
  if (Array.isArray(value)) return value.slice(0, 1).map(formOf);
  if (typeof value !== "object" || value === null) return value === null ? "null" : typeof value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, formOf(item)]));
}

it.each(deployments)("the guide to the API says what is answered, $name", { timeout: 180_000 }, async ({ deploy }) => {
  await needProgram("curl", "curl");
  await needProgram("jq", "jq");
  const guide = await readFile(new URL("../../../docs/api.md", import.meta.url), "utf8");
  const blocks = [...guide.matchAll(/^```(\w+)\n([\s\S]*?)^```$/gmu)].map(([, language, text]) => ({ language, text }) as Block);
  const commands = blocks.filter(({ language }) => language === "sh");
  const script = commands.map(({ text }) => `${text}\necho\necho '${SEPARATOR}'`).join("\n");
  const deployment = await deploy();
  try {
    const output = await runCommand("bash", ["-euo", "pipefail", "-c", script], {
      env: { ...process.env, BASE: deployment.urls[0] },
    });
    const answers = output.split(SEPARATOR).map((answer) => answer.trim());
    let compared = 0;
    for (const [n, { language, text }] of blocks.entries()) {
      const answer = answers[commands.indexOf(blocks[n - 1] as Block)];
      if (language === "json") expect(formOf(JSON.parse(answer ?? "")), answer).toEqual(formOf(JSON.parse(text)));
      else if (language === "text") for (const line of text.split("\n").slice(0, 5)) expect(answer).toContain(line);
      else continue;
      compared += 1;
    }
    expect(compared).toBeGreaterThan(7);
    expect(answers[commands.findIndex(({ text }) => text.includes("/messages/?limit"))]).toBe('"Hello Bob!"');
  } finally {
    await deployment.close();
  }
});
