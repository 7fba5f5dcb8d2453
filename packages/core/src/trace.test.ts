import { describe, expect, it } from "vitest";
import { parseTraceparent, traceIdOf } from "./trace.ts";

const TRACE = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT = "00f067aa0ba902b7";

describe("a traceparent header", () => {
  it("is taken as it is", () => {
    const header = `00-${TRACE}-${PARENT}-01`;
    expect(parseTraceparent(header)).toBe(header);
    expect(traceIdOf(parseTraceparent(header))).toBe(TRACE);
  });

  it("of a later version is taken as far as this one goes", () => {
    expect(parseTraceparent(`cc-${TRACE}-${PARENT}-01-what-the-future-brings`)).toBe(`00-${TRACE}-${PARENT}-01`);
  });

  it.each([
    ["is not there", undefined],
    ["comes twice", [`00-${TRACE}-${PARENT}-01`, `00-${TRACE}-${PARENT}-01`]],
    ["has another form", "hello"],
    ["is in capitals", `00-${TRACE.toUpperCase()}-${PARENT}-01`],
    ["is of version ff", `ff-${TRACE}-${PARENT}-01`],
    ["is of version 00 and has more", `00-${TRACE}-${PARENT}-01-more`],
    ["names no trace", `00-${"0".repeat(32)}-${PARENT}-01`],
    ["names no parent", `00-${TRACE}-${"0".repeat(16)}-01`],
    ["is longer than anybody needs", `cc-${TRACE}-${PARENT}-01-${"x".repeat(500)}`],
  ])("is ignored where it %s", (_why, header) => {
    expect(parseTraceparent(header)).toBeUndefined();
  });
});
