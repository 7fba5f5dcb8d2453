import { describe, expect, it } from "vitest";
import { compose, LANGUAGES } from "./texts.ts";

describe("texts for people", () => {
  it.each(LANGUAGES)("say in %s who wrote, and what only where it is to be told", (language) => {
    const told = compose(language, "notice", {
      who: "ada",
      group: "Holidays",
      count: 3,
      text: "hallo",
      unsubscribe: "https://x.test/u",
    });
    expect(told.text).toContain("hallo");
    expect(told.text).toContain("Holidays");
    expect(told.text).toContain("https://x.test/u");
    expect(told.short).toBe("ada: hallo");
    const untold = compose(language, "notice", { who: "ada", count: 3 });
    expect(untold.text).toMatch(/^ada [^\n]+\.\n[^\n]+: 3$/u);
    expect(untold.short).toMatch(/^ada .+ \(3 \p{L}+\)$/u);
    expect(untold.html).not.toContain("href");
    expect(compose(language, "code", { code: "123456" }).short).toContain("123456");
  });

  it("show what people wrote as they wrote it, and let none of it be HTML", () => {
    const who = `<b>"ada"</b> & <%= 1 %>`;
    const { subject, text, html } = compose("en", "notice", { who, count: 1, text: "<script>alert(1)</script>\nnext line" });
    expect(subject).toBe(`${who} wrote to you`);
    expect(text).toContain("<script>alert(1)</script>\nnext line");
    expect(html).not.toContain("<script>");
    expect(html).not.toContain("<b>");
    expect(html).toContain("&lt;b&gt;");
  });

  it("have a subject of a single line, whatever names are", () => {
    expect(compose("en", "notice", { who: "ada\r\nBcc: eve@example.org", count: 1 }).subject).toBe(
      "ada Bcc: eve@example.org wrote to you",
    );
  });
});
