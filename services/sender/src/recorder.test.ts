import { systemClock } from "@messenger/core";
import type { EndpointRow, Progress } from "@messenger/store";
import { describe, expect, it } from "vitest";
import { progressOf } from "./progress.ts";
import { createRecorder } from "./recorder.ts";

const STANDING = { failures: 0, serverErrors: 0, rejections: 0, rejectedAt: null, failingSince: null };

const progress = (endpoint: number, cursor: number): Progress =>
  progressOf({ id: endpoint, generation: 0 } as EndpointRow, STANDING, cursor, {});

/** A recorder whose time stands still until `pass` is called, and whose statements end when `commit` is. */
function open() {
  const timers = new Set<() => void>();
  const clock = {
    ...systemClock,
    after(_ms: number, run: () => void) {
      timers.add(run);
      return { cancel: () => void timers.delete(run) };
    },
  };
  const batches: number[][] = [];
  let commit = (): void => undefined;
  const recorder = createRecorder(clock, async (batch) => {
    batches.push(batch.map(({ cursor }) => cursor));
    await new Promise<void>((resolve) => (commit = resolve));
    return batch.map(() => null);
  });
  const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
  return {
    recorder,
    batches,
    pass: (): Promise<void> => {
      for (const run of timers) run();
      return settle();
    },
    commit: (): Promise<void> => {
      commit();
      return settle();
    },
    settle,
  };
}

describe("the recorder", () => {
  it("writes what comes within a while together, and one endpoint's reports as one", async () => {
    const { recorder, batches, pass, settle } = open();
    void recorder.report(progress(1, 1));
    void recorder.report(progress(2, 5));
    void recorder.report(progress(1, 2));
    await settle();
    expect(batches).toEqual([]);
    await pass();
    expect(batches).toEqual([[2, 5]]);
  });

  it("writes at once when somebody waits for it, also for what came while others were written", async () => {
    const { recorder, batches, commit, settle } = open();
    void recorder.report(progress(1, 1));
    recorder.hurry();
    await settle();
    expect(batches).toEqual([[1]]);
    void recorder.report(progress(1, 2));
    recorder.hurry();
    await commit();
    expect(batches).toEqual([[1], [2]]);
  });

  it("takes its time again after that", async () => {
    const { recorder, batches, pass, commit, settle } = open();
    recorder.hurry(); // for nothing
    void recorder.report(progress(1, 1));
    await settle();
    expect(batches).toEqual([]);
    recorder.hurry();
    await settle();
    await commit();
    void recorder.report(progress(1, 2));
    await settle();
    expect(batches).toEqual([[1]]);
    await pass();
    expect(batches).toEqual([[1], [2]]);
  });
});
