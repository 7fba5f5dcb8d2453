import { describe, expect, it } from "vitest";
import { describeError } from "./log.ts";

describe("an error in the log", () => {
  it("keeps name, code, constraint and stack, and none of a database's values", () => {
    const error = Object.assign(new Error('Key (email)=(ada@example.org) already exists; value "secret"'), {
      severity: "ERROR",
      code: "23505",
      constraint: "users_email_key",
      detail: "Key (email)=(ada@example.org) already exists",
      where: "unnamed portal parameter $1 = 'secret'",
    });
    const text = JSON.stringify(describeError(new Error("could not write", { cause: error })));
    expect(text).toContain("23505");
    expect(text).toContain("users_email_key");
    expect(text).toContain("log.test.ts");
    expect(text).toContain("could not write");
    expect(text).not.toContain("ada@example.org");
    expect(text).not.toContain("secret");
  });

  it("is no error, but says what was thrown", () => {
    expect(describeError("a string with a secret")).toEqual({ name: "string" });
  });
});
