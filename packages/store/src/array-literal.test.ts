import { describe, expect, it } from "vitest";
import { arrayLiteral } from "./array-literal.ts";

describe("an array literal", () => {
  it.each([
    [[], "{}"],
    [[1, -2.5, null, 9_007_199_254_740_991], "{1,-2.5,NULL,9007199254740991}"],
    [[true, false], "{true,false}"],
    [["", "null", "a, {b}", "ü\n"], '{"","null","a, {b}","ü\n"}'],
  ])("of %j is %s", (list, literal) => {
    expect(arrayLiteral(list)).toBe(literal);
  });

  it.each([[['"']], [["\\"]], [[Buffer.from("a")]], [[new Date(0)]], [[[1]]], [[undefined]]])("of %j is left to pg", (list) => {
    expect(arrayLiteral(list)).toBeUndefined();
  });
});
