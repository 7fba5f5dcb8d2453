import { http, PASSWORD } from "@messenger/testkit";
import { describe, expect, it } from "vitest";
import { deployListener } from "./deployments.ts";

describe("registration", () => {
  const named = () => ({
    username: `n${Math.random().toString(36).slice(2)}`,
    phone_number: `tel ${Math.random()}`.slice(0, 30),
    password: PASSWORD,
  });
  const mailed = (email: string) => ({ email, full_name: "Somebody", password: PASSWORD });

  it("is closed where its operator wants that, to all who ask", async () => {
    const { url, close } = await deployListener({ registration: "closed" });
    try {
      const refused = await http(`${url}/api/users/`, { body: named(), accept: "application/json" });
      expect(refused).toMatchObject({ status: 403, json: { code: "registration_closed" } });
      expect(await http(`${url}/api/users/`, { body: named() })).toMatchObject({ status: 403, text: "Registration is closed." });
      expect(await http(`${url}/auth/register`, { body: mailed("ada@example.org") })).toMatchObject({ status: 403 });
    } finally {
      await close();
    }
  });

  it("is for e-mail addresses of some domains where its operator wants that", async () => {
    const { url, close } = await deployListener({ emailDomains: ["Example.org", "example.com"] });
    try {
      const status = async (body: object) => (await http(`${url}/api/users/`, { body })).status;
      expect(await status(mailed("ada@example.org"))).toBe(201);
      expect(await status({ ...named(), email: "bob@EXAMPLE.com" })).toBe(201);
      for (const email of [
        "eve@example.net",
        "eve@sub.example.org",
        "eve@example.org.example.net",
        '"a@example.org"@example.net',
      ]) {
        expect([email, await status(mailed(email))]).toEqual([email, 403]);
      }
      expect(await status(named())).toBe(403);
    } finally {
      await close();
    }
  });
});
