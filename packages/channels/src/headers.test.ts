import { describe, expect, it } from "vitest";
import { refusalOfHeaders } from "./headers.ts";

describe("an endpoint's own headers", () => {
  it.each<Record<string, string>>([{}, { Authorization: "Bearer abc" }, { "x-api-key": "k\tv" }, { "user-agent": "" }])(
    "may be %o",
    (headers) => {
      expect(refusalOfHeaders(headers)).toBeUndefined();
    },
  );

  it.each<Record<string, string>>([
    { Host: "internal" },
    { "Content-Length": "0" },
    { "transfer-encoding": "chunked" },
    { "Webhook-Signature": "v1,x" },
    { traceparent: "00-0" },
    { "X-Forwarded-For": "10.0.0.1" },
    { "Proxy-Authorization": "x" },
    { "bad name": "x" },
    { "": "x" },
    { "x-a": "one\r\nx-b: two" },
    { "x-a": "naïve" },
    { "x-a": "\0" },
    { "x-a": "1", "X-A": "2" },
    { "x-a": "v".repeat(1025) },
    Object.fromEntries(Array.from({ length: 21 }, (_, n) => [`x-${n}`, "v"])),
    Object.fromEntries(Array.from({ length: 9 }, (_, n) => [`x-${n}`, "v".repeat(1000)])),
  ])("may not be %o", (headers) => {
    expect(refusalOfHeaders(headers)).toBeTypeOf("string");
  });
});
