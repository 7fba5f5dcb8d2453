import { describe, expect, it } from "vitest";
import { checkPassword } from "./password-rules.ts";

const RULES = { passwordMinLength: 8, commonPasswords: "refused" } as const;
const check = (password: string, more: Partial<{ passwordMinLength: number; commonPasswords: "refused" | "accepted" }> = {}) =>
  checkPassword(password, ["ada lovelace", null, undefined], { ...RULES, ...more });

describe("a new password", () => {
  it.each(["12345678", "password", "PASSWORD1", "qwertyuiop", "iloveyou", "ｐａｓｓｗｏｒｄ"])(
    "is none of the commonest: %s",
    (password) => {
      expect(() => check(password)).toThrow("guessed first");
      expect(() => check(password, { commonPasswords: "accepted" })).not.toThrow();
    },
  );

  it.each(["correct horse battery staple", "an uncommon one", "ключ от дома"])("is taken: %s", (password) => {
    expect(() => check(password)).not.toThrow();
  });

  it("is as long as it must be, counted in characters once it is normal", () => {
    expect(() => check("a".repeat(7))).toThrow("at least 8");
    expect(() => check("😀".repeat(7))).toThrow("at least 8");
    expect(() => check("e\u0301".repeat(7))).toThrow("at least 8");
    expect(() => check("\uFDFA")).toThrow("at least 8"); // 18 characters once it is normal
    expect(() => check("😀".repeat(8))).not.toThrow();
  });

  it("is no name of the user", () => {
    expect(() => check("Ada Lovelace")).toThrow("own name");
  });
});
