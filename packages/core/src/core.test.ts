import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parseAddress, schemeOf } from "./address.ts";
import { systemClock, systemRandom } from "./clock.ts";
import { createIds } from "./ids.ts";
import { checkUsername, emailKey, InvalidName, phoneKey, usernameKey } from "./names.ts";
import { createKeyring, SealError } from "./sealing.ts";
import { parseSendDate } from "./send-date.ts";

describe("a send date", () => {
  it.each([
    ["2026-01-02 03:04:05", Date.UTC(2026, 0, 2, 3, 4, 5)],
    ["2026-01-02T03:04:05Z", Date.UTC(2026, 0, 2, 3, 4, 5)],
    ["2026-01-02T03:04:05.678+02:00", Date.UTC(2026, 0, 2, 1, 4, 5, 678)],
    ["2026-01-02T03:04:05.678901-0530", Date.UTC(2026, 0, 2, 8, 34, 5, 678)],
    ["2026-01-02T03:04", Date.UTC(2026, 0, 2, 3, 4)],
    ["2026-01-02", Date.UTC(2026, 0, 2)],
    ["2024-02-29 00:00:00", Date.UTC(2024, 1, 29)],
  ])("%s is read", (text, ms) => {
    expect(parseSendDate(text)).toBe(ms);
  });

  it.each([
    "2026-02-29",
    "2026-13-01",
    "2026-00-01",
    "2026-01-32",
    "2026-01-02 24:00:00",
    "2026-01-02 03:60:00",
    "02.01.2026",
    "now",
    "",
    "0000-01-01",
  ])("%s does not exist", (text) => {
    expect(parseSendDate(text)).toBeUndefined();
  });

  it("agrees with the language on every moment that it writes", () => {
    fc.assert(
      fc.property(
        fc.date({ min: new Date("0001-01-01T00:00:00Z"), max: new Date("9999-12-31T23:59:59Z"), noInvalidDate: true }),
        (date) => {
          expect(parseSendDate(date.toISOString())).toBe(date.getTime());
        },
      ),
    );
  });
});

describe("names", () => {
  it("are the same in every spelling", () => {
    expect(usernameKey("Ａｄａ")).toBe(usernameKey("ada"));
    expect(emailKey("Ada@Example.ORG")).toBe("ada@example.org");
    expect(phoneKey(" +44 123 ")).toBe("+44 123");
  });

  it.each(["", "  ", "a@b", "+1", "12345", "１２３", "＠"])("%s is no user name", (name) => {
    expect(() => usernameKey(name)).toThrow(InvalidName);
  });

  it.each(["", "a", "@", "a@", "@b", "a b@c", "a@b@c"])("%s is no e-mail address", (email) => {
    expect(() => emailKey(email)).toThrow(InvalidName);
  });

  it("of a user never equal somebody's e-mail address, and their key is its own key", { timeout: 60_000 }, () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (name) => {
        let key: string;
        try {
          key = usernameKey(name);
        } catch {
          return;
        }
        expect(() => emailKey(key)).toThrow(InvalidName);
        expect(usernameKey(key)).toBe(key);
      }),
      { numRuns: 1_000 },
    );
  });
});

describe("an address", () => {
  it.each([
    ["example.org", "http://example.org/"],
    ["example.org:8080", "http://example.org:8080/"],
    ["localhost:9000/hook", "http://localhost:9000/hook"],
    ["https://example.org/a?b", "https://example.org/a?b"],
    ["mailto:a@b.c", "mailto:a@b.c"],
    ["tel:12345", "tel:12345"],
    ["[::1]:80", "http://[::1]/"],
  ])("%s means %s", (text, href) => {
    const address = parseAddress(text);
    expect(address.usable && address.url.href).toBe(href);
    expect(address.usable && address.url.protocol).toBe(schemeOf(text));
  });

  it.each(["", "http://", "a b", "http://a:99999/"])("%s is not usable", (text) => {
    expect(parseAddress(text).usable).toBe(false);
  });
});

describe("sealing", () => {
  const keyring = (secret: string, previous: string[] = []) => createKeyring({ secret, previous, random: systemRandom });
  const one = keyring("secret one");

  it("gives back what was sealed, and never the same bytes twice", () => {
    fc.assert(
      fc.property(fc.uint8Array(), fc.string(), (plain, context) => {
        const sealed = one.contents.seal(context, plain);
        expect(new Uint8Array(one.contents.unseal(context, sealed))).toEqual(plain);
        expect(Buffer.from(one.contents.seal(context, plain)).equals(sealed)).toBe(false);
      }),
    );
  });

  it("refuses any change, another context, another purpose and another secret", () => {
    const sealed = one.contents.seal("id", Buffer.from("text"));
    for (let n = 0; n < sealed.length; n += 1) {
      const changed = Uint8Array.from(sealed);
      changed[n] = (changed[n] as number) ^ 1;
      expect(() => one.contents.unseal("id", changed)).toThrow(SealError);
    }
    expect(() => one.contents.unseal("other", sealed)).toThrow(SealError);
    expect(() => one.webhookSecrets.unseal("id", sealed)).toThrow(SealError);
    expect(() => keyring("secret two").contents.unseal("id", sealed)).toThrow(SealError);
    expect(() => one.contents.unseal("id", new Uint8Array(10))).toThrow(SealError);
  });

  it("unseals under the secret before, and says which secrets it knows", () => {
    const both = keyring("secret two", ["secret one"]);
    expect(both.contents.unseal("id", one.contents.seal("id", Buffer.from("text"))).toString()).toBe("text");
    expect(both.checks.known).toEqual([keyring("secret two").checks.current, one.checks.current]);
    expect(() => one.contents.unseal("id", both.contents.seal("id", Buffer.from("text")))).toThrow(SealError);
  });
});

describe("ids", () => {
  it("are uuids of version 7 that sort by their millisecond", () => {
    let now = 1_700_000_000_000;
    const ids = createIds({ clock: { ...systemClock, now: () => (now += 1) }, random: systemRandom });
    const made = Array.from({ length: 50 }, () => ids.next());
    expect(made.every((id) => /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/u.test(id))).toBe(true);
    expect([...made].sort()).toEqual(made);
  });
});

describe("the user name of somebody who registers", () => {
  it.each(["ada", "Ada Lovelace", "ada_1", "日本語かな", "김철수", "Ωμέγα", "Иван 7", "o'neil-smith", "x.y"])(
    "may be %s",
    (name) => {
      expect(() => checkUsername(name)).not.toThrow();
    },
  );

  it.each([
    ["ad\u200ba", /seen/u],
    ["ada\u202e", /seen/u],
    ["a\u0001b", /seen/u],
    ["a\nb", /seen/u],
    ["\u3164", /seen/u],
    ["a\u3164b", /seen/u],
    ["ada\u{e0041}", /seen/u],
    ["a\u00adb", /seen/u],
    ["a\u2003b", /seen/u],
    ["\u2800", /seen/u],
    ["аda", /script/u], // the first letter is Cyrillic
    ["pаypal", /script/u],
    ["αda", /script/u],
    ["...", /letter/u],
    ["Admin", /reserved/u],
    ["ＲＯＯＴ", /reserved/u],
    [" support ", /reserved/u],
  ])("must not be %j", (name, why) => {
    expect(() => checkUsername(name)).toThrow(why);
  });
});
