import { createECDH, randomBytes } from "node:crypto";
import { decrypt } from "http_ece";
import { describe, expect, it } from "vitest";
import { encryptPush, MAX_PAYLOAD_BYTES, refusalOfKeys } from "./web-push-encryption.ts";

const bytes = (text: string): Buffer => Buffer.from(text, "base64url");

describe("a web push", () => {
  it("is encrypted as in the example of RFC 8291, section 5", () => {
    const keys = {
      p256dh: bytes("BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4"),
      auth: bytes("BTBZMqHH6r4Tts7J_aSIgg"),
    };
    const body = encryptPush(Buffer.from("When I grow up, I want to be a watermelon"), keys, {
      privateKey: bytes("yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw"),
      salt: bytes("DGv6ra1nlYgDCS1FRnbzlw"),
    });
    expect(body.toString("base64url")).toBe(
      "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN",
    );
  });

  it.each([0, 1, 300, MAX_PAYLOAD_BYTES])("of %i bytes is what the browser reads, in 4,096 bytes at most", (length) => {
    const browser = createECDH("prime256v1");
    browser.generateKeys();
    const auth = randomBytes(16);
    const payload = randomBytes(length);
    const body = encryptPush(payload, { p256dh: browser.getPublicKey(), auth }, { salt: randomBytes(16) });
    expect(body.length).toBeLessThanOrEqual(4096);
    const read = decrypt(body, { version: "aes128gcm", privateKey: browser, authSecret: auth.toString("base64url") });
    expect(read.equals(payload)).toBe(true);
  });

  it("is not made longer than that", () => {
    const browser = createECDH("prime256v1");
    const keys = { p256dh: browser.generateKeys(), auth: randomBytes(16) };
    expect(() => encryptPush(Buffer.alloc(MAX_PAYLOAD_BYTES + 1), keys, { salt: randomBytes(16) })).toThrow(RangeError);
  });

  it("goes to no keys but a point of the curve and 16 bytes", () => {
    const point = createECDH("prime256v1").generateKeys();
    const auth = randomBytes(16);
    const offCurve = Buffer.from(point);
    offCurve[64] = (offCurve[64] as number) ^ 1;
    expect(refusalOfKeys({ p256dh: point, auth })).toBeUndefined();
    expect(refusalOfKeys({ p256dh: offCurve, auth })).toMatch("not a point");
    expect(refusalOfKeys({ p256dh: Buffer.concat([Uint8Array.of(4), Buffer.alloc(64)]), auth })).toMatch("not a point");
    expect(refusalOfKeys({ p256dh: point.subarray(0, 64), auth })).toMatch("65 bytes");
    expect(
      refusalOfKeys({ p256dh: Buffer.from(createECDH("prime256v1").generateKeys("hex", "compressed"), "hex"), auth }),
    ).toMatch("65 bytes");
    expect(refusalOfKeys({ p256dh: point, auth: auth.subarray(1) })).toMatch("16 bytes");
  });
});
