import { systemClock } from "@messenger/core";
import { expect, it } from "vitest";
import { Overloaded } from "../append-queue.ts";
import { createSignUpLimit } from "./sign-up-limit.ts";

let now = 0;
/** Each that waits, and what ends its waiting. */
let waiting: { ms: number; end: () => void }[] = [];
const hasty = {
  ...systemClock,
  monotonic: () => now,
  after(_: number, run: () => void) {
    queueMicrotask(run);
    return { cancel: () => undefined };
  },
};
const halted = {
  ...hasty,
  after(ms: number, run: () => void) {
    waiting.push({ ms, end: run });
    return { cancel: () => undefined };
  },
};
const open = (perHour: number, clock = hasty) => createSignUpLimit(clock, perHour);
const outcomeOf = (attempt: Promise<unknown>): Promise<string> =>
  attempt.then(
    () => "made",
    (error: { name: string; code?: string }) => (error instanceof Overloaded ? "503" : String(error.code)),
  );
const make = () => Promise.resolve("hash");

it("asks the database for no more sign-ups of a network than can wait for their hash, and counts no refused one", async () => {
  const limit = open(12);
  const gate = Promise.withResolvers<void>();
  let begun = 0;
  const crowd = Array.from({ length: 120 }, () =>
    outcomeOf(
      limit.attempt("192.0.2.1", () => {
        begun += 1;
        return gate.promise;
      }),
    ),
  );
  expect(begun).toBe(10);
  expect(await outcomeOf(limit.attempt("192.0.2.2", make))).toBe("made");
  gate.resolve();
  const outcomes = await Promise.all(crowd);
  expect(outcomes.filter((outcome) => outcome === "made")).toHaveLength(10);
  expect(outcomes.filter((outcome) => outcome === "503")).toHaveLength(110);

  const failing = limit.attempt("192.0.2.1", () => Promise.reject(new Overloaded("full")));
  expect(await outcomeOf(failing)).toBe("503");
  for (const expected of ["made", "made", "too_many_sign_ups"])
    expect(await outcomeOf(limit.attempt("192.0.2.1", make))).toBe(expected);
});

it("lets no more accounts be made at the same moment than an hour has left", async () => {
  const limit = open(3);
  const crowd = Array.from({ length: 8 }, () => outcomeOf(limit.attempt("2001:db8::1", make)));
  expect((await Promise.all(crowd)).filter((outcome) => outcome === "made")).toHaveLength(3);
  expect(await outcomeOf(limit.attempt("2001:db8::2", make))).toBe("too_many_sign_ups");
  now += 60 * 60_000;
  expect(await outcomeOf(limit.attempt("2001:db8::2", make))).toBe("made");
});

it("has no limit by the hour for this machine itself", async () => {
  const limit = open(1);
  for (let n = 0; n < 5; n += 1) expect(await outcomeOf(limit.attempt("127.0.0.1", make))).toBe("made");
});

it("answers a refusal after a second, and of more than a thousand the others at once", async () => {
  const limit = open(1, halted);
  expect(await outcomeOf(limit.attempt("192.0.2.1", make))).toBe("made");
  waiting = [];
  let answered = 0;
  const refused = Array.from({ length: 1_002 }, async () => {
    expect(await outcomeOf(limit.attempt("192.0.2.1", make))).toBe("too_many_sign_ups");
    answered += 1;
  });
  await Promise.all(refused.slice(1_000));
  expect(answered).toBe(2);
  expect(waiting.map(({ ms }) => ms)).toEqual(Array.from({ length: 1_000 }, () => 1_000));
  for (const { end } of waiting.splice(0)) end();
  await Promise.all(refused);
  void outcomeOf(limit.attempt("192.0.2.1", make));
  expect(waiting).toHaveLength(1);
});
