import { describe, expect, it } from "vitest";
import { createPermits, type Pace, type Permit, type Permits } from "./permits.ts";

/** Asks for permits, and collects those that were granted so far. */
function asking(permits: Permits) {
  const granted: { origin: string; permit: Permit }[] = [];
  return {
    granted,
    ask(account: number, origin: string, count = 1, pace: Pace = "quick") {
      return Array.from({ length: count }, () =>
        permits.wait({ account, origin, pace }, (permit) => granted.push({ origin, permit })),
      );
    },
    release(count = 1) {
      for (const { permit } of granted.splice(0, count)) permit.release();
    },
    origins: () => granted.map(({ origin }) => origin),
  };
}

describe("permits", () => {
  it("are limited in all, and granted again in the order of asking", () => {
    const pushes = asking(createPermits(2));
    pushes.ask(1, "a");
    pushes.ask(2, "b");
    pushes.ask(3, "c");
    pushes.ask(4, "d");
    expect(pushes.origins()).toEqual(["a", "b"]);
    pushes.release();
    expect(pushes.origins()).toEqual(["b", "c"]);
    pushes.release(2);
    expect(pushes.origins()).toEqual(["d"]);
  });

  it("are limited for each origin, and one that is full does not hold up the others", () => {
    const pushes = asking(createPermits(400));
    for (let account = 1; account <= 40; account += 1) pushes.ask(account, "gateway");
    pushes.ask(99, "b");
    expect(pushes.origins()).toHaveLength(33);
    expect(pushes.origins().at(-1)).toBe("b");
    pushes.release();
    expect(pushes.origins()).toHaveLength(33);
  });

  it("are limited for each account, however many origins it has", () => {
    const pushes = asking(createPermits(64));
    for (let n = 0; n < 20; n += 1) pushes.ask(1, `a${n}`);
    pushes.ask(2, "b");
    expect(pushes.origins()).toEqual([...Array.from({ length: 8 }, (_, n) => `a${n}`), "b"]);
    pushes.release();
    expect(pushes.origins().at(-1)).toBe("a8");
  });

  it("are shared between accounts in turns, not between origins", () => {
    const pushes = asking(createPermits(1));
    pushes.ask(9, "x");
    for (const origin of ["a1", "a2", "a3"]) pushes.ask(1, origin);
    pushes.ask(2, "b", 3);
    const order: string[] = [];
    for (let n = 0; n < 6; n += 1) {
      pushes.release();
      order.push(...pushes.origins());
    }
    expect(order).toEqual(["a1", "b", "a2", "b", "a3", "b"]);
  });

  it.each<[Pace, number]>([
    ["new", 8],
    ["slow", 4],
    ["failing", 4],
  ])("leave room to those that answer quickly, beside %s ones", (pace, share) => {
    const permits = createPermits(16);
    const pushes = asking(permits);
    for (let account = 1; account <= 16; account += 1) pushes.ask(account, `${pace}${account}`, 1, pace);
    expect(permits.inFlight).toBe(share);
    for (let account = 21; account <= 40; account += 1) pushes.ask(account, `quick${account}`);
    expect(permits.inFlight).toBe(16);
  });

  it("leave a quarter to those that answer quickly, however many others there are", () => {
    const permits = createPermits(16);
    const pushes = asking(permits);
    for (let account = 1; account <= 60; account += 1) {
      for (const pace of ["new", "slow", "failing"] as const) pushes.ask(account, `${pace}${account}`, 1, pace);
    }
    expect(permits.inFlight).toBe(12);
    for (let n = 0; n < 4; n += 1) expect(permits.take({ account: 90 + n, origin: "quick", pace: "quick" })).toBeDefined();
  });

  it("make room for others by those that linger, up to twice as many as may be in flight", () => {
    const permits = createPermits(16);
    const pushes = asking(permits);
    for (let account = 1; account <= 60; account += 1) pushes.ask(account, `new${account}`, 1, "new");
    for (let n = 0; n < 10; n += 1) for (const { permit } of pushes.granted) permit.linger();
    expect([permits.inFlight, permits.lingering]).toEqual([8, 32]);
    expect(permits.take({ account: 99, origin: "quick", pace: "quick" })).toBeDefined();
    pushes.release(1);
    expect([permits.inFlight, permits.lingering]).toEqual([9, 31]);
    for (const { permit } of pushes.granted) permit.linger();
    while (pushes.granted.length > 0) pushes.release();
    expect([permits.inFlight, permits.lingering, permits.waiting]).toEqual([1, 0, 0]);
  });

  it.each<Pace>(["slow", "failing"])("count %s ones for as long as they are in flight", (pace) => {
    const pushes = asking(createPermits(16));
    for (let account = 1; account <= 16; account += 1) pushes.ask(account, `a${account}`, 1, pace);
    for (const { permit } of pushes.granted) permit.linger();
    expect(pushes.granted).toHaveLength(4);
  });

  it("go to the next one when a request is withdrawn", () => {
    const pushes = asking(createPermits(1));
    pushes.ask(1, "a");
    const [withdrawn] = pushes.ask(2, "b");
    pushes.ask(3, "c");
    withdrawn?.withdraw();
    withdrawn?.withdraw();
    pushes.release();
    expect(pushes.origins()).toEqual(["c"]);
  });

  it("tell who waits whether its turn is near", () => {
    const pushes = asking(createPermits(1));
    const [, , third] = [1, 2, 3].map((account) => pushes.ask(account, `a${account}`)[0]);
    expect(third?.isAdvancing()).toBe(false);
    for (const account of [4, 5, 6]) pushes.ask(account, `a${account}`);
    pushes.release(); // for the second: four wait
    expect(third?.isAdvancing()).toBe(false);
    const [last] = pushes.ask(7, "a7");
    pushes.release(2); // two of five
    pushes.release(1);
    expect(last?.isAdvancing()).toBe(true);
    expect(last?.isAdvancing()).toBe(false); // nobody had a turn since
  });

  it("tell who waits for an origin by how many went on there, whoever else goes on", () => {
    const permits = createPermits(64);
    const [full, others] = [asking(permits), asking(permits)];
    for (let account = 1; account <= 34; account += 1) full.ask(account, "full");
    const [parked] = full.ask(35, "full");
    for (let n = 0; n < 60; n += 1) {
      others.ask(100 + n, `c${n}`);
      others.release();
    }
    expect(parked?.isAdvancing()).toBe(false);
    full.release();
    expect(parked?.isAdvancing()).toBe(true);
    expect(parked?.isAdvancing()).toBe(false);
  });

  it("tell nobody whose account has as many as it may, or who waits behind others of it, that its turn is near", () => {
    const pushes = asking(createPermits(64));
    const waiting = Array.from({ length: 12 }, (_, n) => pushes.ask(1, `a${n}`)[0]);
    expect(waiting[8]?.isAdvancing()).toBe(false);
    expect(waiting[11]?.isAdvancing()).toBe(false);
  });

  it("are released once, however often that is said", () => {
    const permits = createPermits(1);
    const permit = permits.take({ account: 1, origin: "a", pace: "quick" });
    permit?.release();
    permit?.release();
    permit?.linger();
    expect(permits.inFlight).toBe(0);
  });

  it("go to another one that waits for the origin, when whose turn it was gives up", () => {
    const permits = createPermits(256);
    const take = (count: number, origin: (n: number) => string, pace: Pace) =>
      Array.from({ length: count }, (_, n) => permits.take({ account: n, origin: origin(n), pace }) as Permit);
    const full = take(32, () => "shared", "quick");
    const slow = take(63, (n) => `slow${n}`, "slow");
    let granted = 0;
    const waiting = Array.from({ length: 33 }, (_, n) =>
      permits.wait({ account: 1_000 + n, origin: "shared", pace: "slow" }, () => (granted += 1)),
    );
    slow.push(...take(1, () => "slow63", "slow"));
    for (const permit of full) permit.release();
    for (const one of waiting.slice(0, 32)) one.withdraw();
    for (const permit of slow) permit.release();
    expect([granted, permits.waiting]).toEqual([1, 0]);
  });

  it("leave nobody waiting while there is room, in any order of asking, lingering, withdrawing and releasing", () => {
    const seed = Math.floor(Math.random() * 2 ** 31);
    let state = seed;
    const pick = (below: number): number => {
      state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fff_ffff;
      return Math.floor((state / 2 ** 31) * below);
    };
    const TOTAL = 160;
    const SHARES: Record<Pace, number> = { quick: TOTAL, new: 80, slow: 40, failing: 40 };
    const PACES = Object.keys(SHARES) as Pace[];
    const permits = createPermits(TOTAL);
    interface Push {
      account: number;
      origin: string;
      pace: Pace;
      lingers: boolean;
    }
    const held: { permit: Permit; push: Push }[] = [];
    const waiting = new Map<Push, { withdraw(): void }>();
    const count = (fits: (push: Push) => boolean): number => held.filter(({ push }) => fits(push)).length;

    function ask(): void {
      const origin = pick(2) === 0 ? "shared" : `o${pick(400)}`;
      const push: Push = { account: pick(60), origin, pace: PACES[pick(4)] as Pace, lingers: false };
      let isGranted = false;
      const handle = permits.wait(push, (permit) => {
        isGranted = true;
        waiting.delete(push);
        held.push({ permit, push });
      });
      if (!isGranted) waiting.set(push, handle);
    }

    function expectNobodyWaitsInVain(): void {
      const counted = (...paces: Pace[]) => count(({ pace, lingers }) => !lingers && paces.includes(pace));
      const isFull = counted(...PACES) >= TOTAL;
      const unknown = counted("new", "slow");
      for (const { account, origin, pace } of waiting.keys()) {
        const paceIsFull = counted(pace) >= SHARES[pace] || (["new", "slow"].includes(pace) && unknown >= SHARES.new);
        const isRefused = count((push) => push.origin === origin) >= 32 || count((push) => push.account === account) >= 20;
        expect(isFull || paceIsFull || isRefused, `seed ${seed}: ${pace} of ${account} to ${origin}`).toBe(true);
      }
    }

    for (let step = 0; step < 4_000; step += 1) {
      const what = pick(20);
      if (what < 10) ask();
      else if (what < 12) {
        const [push, handle] = [...waiting][pick(waiting.size)] ?? [];
        handle?.withdraw();
        if (push !== undefined) waiting.delete(push);
      } else if (what < 19) held.splice(pick(held.length), 1)[0]?.permit.release();
      else {
        const one = held[pick(held.length)];
        if (one?.permit.linger() === true && ["quick", "new"].includes(one.push.pace)) one.push.lingers = true;
      }
      expect([permits.inFlight + permits.lingering, permits.waiting], `seed ${seed}`).toEqual([held.length, waiting.size]);
      if (step % 20 === 0) expectNobodyWaitsInVain();
    }
    // Everything comes to an end: whoever waits gets a permit once others are released.
    for (let step = 0; held.length > 0; step += 1) {
      expect(step, `seed ${seed}`).toBeLessThan(50_000);
      held.splice(pick(held.length), 1)[0]?.permit.release();
    }
    expect(waiting.size, `seed ${seed}`).toBe(0);
  });
});
