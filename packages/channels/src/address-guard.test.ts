import fc from "fast-check";
import ipaddr from "ipaddr.js";
import { describe, expect, it } from "vitest";
import { AddressRefused, createAddressGuard, type ResolvedAddress } from "./address-guard.ts";
import { refusalOf } from "./webhook.ts";

const guard = createAddressGuard();

const v4 = (address: string): ResolvedAddress => ({ address, family: 4 });

describe("literal addresses", () => {
  it.each([
    "http://127.0.0.1/",
    "http://127.1/",
    "http://2130706433/", // decimal
    "http://0177.0.0.1/", // octal
    "http://0x7f.0.0.1/", // hexadecimal
    "http://0x7f000001/",
    "http://0/",
    "http://0.0.0.0/",
    "http://10.0.0.1/",
    "http://172.16.0.1/",
    "http://172.31.255.255/",
    "http://192.168.1.1/",
    "http://169.254.169.254/latest/meta-data/", // metadata of cloud machines
    "http://100.100.100.200/", // likewise, in carrier-grade NAT
    "http://100.64.0.1/",
    "http://192.0.0.192/",
    "http://198.18.0.1/",
    "http://192.0.2.1/",
    "http://224.0.0.1/",
    "http://240.0.0.1/",
    "http://255.255.255.255/",
    "http://[::]/",
    "http://[::1]/",
    "http://[0:0:0:0:0:0:0:1]/",
    "http://[::ffff:127.0.0.1]/",
    "http://[::ffff:7f00:1]/",
    "http://[::ffff:169.254.169.254]/",
    "http://[::127.0.0.1]/",
    "http://[64:ff9b::7f00:1]/", // NAT64
    "http://[64:ff9b::10.0.0.1]/",
    "http://[64:ff9b:1::a00:1]/",
    "http://[2002:7f00:1::]/", // 6to4
    "http://[2002:a9fe:a9fe::1]/",
    "http://[2001:0:7f00:1::]/", // Teredo
    "http://[fc00::1]/",
    "http://[fd00:ec2::254]/", // metadata
    "http://[fe80::1]/",
    "http://[ff02::1]/",
    "http://[2001:db8::1]/",
    "http://[100::1]/",
    "http://１２７.0.0.1/", // full-width digits
    "127.0.0.1:8080",
    "0x7f.1:80",
  ])("%s is refused", (address) => {
    expect(refusalOf(address, guard)).toMatch(/not public/u);
  });

  it.each([
    "http://93.184.216.34/",
    "http://[2606:2800:220:1::1]/",
    "http://[::ffff:93.184.216.34]/",
    "http://[2002:5db8:d822::1]/",
    "https://8.8.8.8:8443/x?y=z",
  ])("%s passes", (address) => {
    expect(refusalOf(address, guard)).toBeUndefined();
  });

  it.each([
    ["ftp://example.org/", /nothing delivers/u],
    ["file:///etc/passwd", /nothing delivers/u],
    ["javascript:alert(1)", /nothing delivers/u],
    ["mailto:a@b.c", /nothing delivers/u],
    ["tel:12345", /nothing delivers/u],
    ["http://user:secret@example.org/", /password/u],
    ["not an address at all", /not a URL/u],
    ["http://", /not a URL/u],
  ])("%s is refused: %s", (address, reason) => {
    expect(refusalOf(address, guard)).toMatch(reason);
  });

  it("are looked through however they are written, for every IPv4 address", () => {
    fc.assert(
      fc.property(fc.tuple(fc.nat(255), fc.nat(255), fc.nat(255), fc.nat(255)), (octets) => {
        const plain = octets.join(".");
        const hex = octets.map((octet) => octet.toString(16).padStart(2, "0"));
        const [a, b, c, d] = hex;
        const isPublic = new ipaddr.IPv4(octets).range() === "unicast";
        const spellings = [
          `http://${plain}/`,
          `http://${octets.map((octet) => `0${octet.toString(8)}`).join(".")}/`,
          `http://0x${hex.join("")}/`,
          `http://${Number.parseInt(hex.join(""), 16)}/`,
          `http://[::ffff:${plain}]/`,
          `http://[64:ff9b::${plain}]/`,
          `http://[2002:${a}${b}:${c}${d}::1]/`,
        ];
        for (const spelling of spellings)
          expect([spelling, refusalOf(spelling, guard) === undefined]).toEqual([spelling, isPublic]);
      }),
      { numRuns: 2_000 },
    );
  });

  it("of IPv6 pass only within 2000::/3, whatever they are", () => {
    fc.assert(
      fc.property(fc.array(fc.nat(0xffff), { minLength: 8, maxLength: 8 }), (parts) => {
        const refused = refusalOf(`http://[${parts.map((part) => part.toString(16)).join(":")}]/`, guard) !== undefined;
        const first = parts[0] as number;
        const mapped = parts.slice(0, 5).every((part) => part === 0) || (first === 0x64 && parts[1] === 0xff9b);
        if (!mapped && (first < 0x2000 || first > 0x3fff)) expect(refused).toBe(true);
      }),
      { numRuns: 2_000 },
    );
  });
});

describe("names", () => {
  const resolving = (...addresses: ResolvedAddress[]) => createAddressGuard({ resolveName: () => Promise.resolve(addresses) });

  it("pass as they are, and are vetted when they are resolved", async () => {
    expect(refusalOf("http://example.org/", guard)).toBeUndefined();
    const found = [v4("93.184.216.34"), { address: "2606:2800:220:1::1", family: 6 as const }];
    expect(await resolving(...found).resolve("example.org")).toEqual(found);
  });

  it.each([
    ["a private address", [v4("10.0.0.1")]],
    ["a public and a private one", [v4("93.184.216.34"), v4("192.168.0.1")]],
    ["a public and a mapped private one", [v4("93.184.216.34"), { address: "::ffff:10.0.0.1", family: 6 as const }]],
    ["a metadata address", [v4("169.254.169.254")]],
    ["loopback", [{ address: "::1", family: 6 as const }]],
    ["something that is no address", [v4("nonsense")]],
  ])("that resolve to %s are refused", async (_name, addresses) => {
    await expect(resolving(...addresses).resolve("example.org")).rejects.toThrow(AddressRefused);
  });

  it("refuse localhost, by the system's own resolver", async () => {
    await expect(guard.resolve("localhost")).rejects.toThrow(AddressRefused);
  });

  it("fail without an address", async () => {
    await expect(resolving().resolve("example.org")).rejects.toMatchObject({ code: "ENOTFOUND" });
  });
});

describe("ranges that are opened", () => {
  const opened = createAddressGuard({ allowCidrs: ["127.0.0.0/8", "fd00::/8"] });
  it.each(["http://127.0.0.1/", "http://[::ffff:127.0.0.1]/", "http://[fd00::1]/"])("let %s pass", (address) => {
    expect(refusalOf(address, opened)).toBeUndefined();
  });
  it.each(["http://10.0.0.1/", "http://[::1]/"])("let %s not pass", (address) => {
    expect(refusalOf(address, opened)).toBeDefined();
  });

  it("tells what was opened from what is public", async () => {
    const answers: Record<string, string> = { "inside.test": "10.1.2.3", "outside.test": "93.184.216.34" };
    const guard = createAddressGuard({
      allowCidrs: ["10.0.0.0/8"],
      resolveName: (name) => Promise.resolve([{ address: answers[name] as string, family: 4 }]),
    });
    for (const name of Object.keys(answers)) await guard.resolve(name);
    expect(
      ["10.9.9.9", "[::ffff:10.9.9.9]", "inside.test", "93.184.216.34", "outside.test"].map((host) => guard.isOpened(host)),
    ).toEqual([true, true, true, false, false]);
    // A connection to it may still be open.
    answers["inside.test"] = "93.184.216.34";
    await guard.resolve("inside.test");
    expect(guard.isOpened("inside.test")).toBe(true);
  });
});
