import { setTimeout as sleep } from "node:timers/promises";
import type { Chance } from "@messenger/simulation";
import { type Cluster, type Member, resume } from "./cluster.ts";
import { LEASE_MS } from "@messenger/store";
import { MOODS, type Receiver } from "./receiver.ts";

/** Something that goes wrong, and is over when it resolves. */
export interface Fault {
  name: string;
  /**
   * For how long, in milliseconds after it is over, two pushes to an address may overlap: a sender was
   * stopped or cut off, or a lease forgotten.
   */
  excusesOverlapMs?: number;
  inflict(): Promise<void>;
}

const turns = new WeakMap<object, Promise<unknown>>();

/** What is done to a server's files, one after the other. */
function inTurn(server: object, work: () => Promise<void>): Promise<void> {
  const done = (turns.get(server) ?? Promise.resolve()).then(work);
  turns.set(
    server,
    done.catch(() => undefined),
  );
  return done;
}

/** Picks a fault, of those whose names match `only`; what it does to whom, and for how long, is decided now. */
export function pickFault(
  chance: Chance,
  cluster: Cluster,
  receiver: Receiver,
  onRolledBack: () => Promise<void>,
  only = /./u,
): Fault {
  const member = chance.pick(cluster.members);
  const ms = chance.integer(500, 6_000);
  const link = chance.happens(0.5) ? ("toDatabase" as const) : ("toBroker" as const);
  const linkName = link === "toDatabase" ? "PostgreSQL" : "RabbitMQ";
  const awhile = `for ${(ms / 1000).toFixed(1)} s`;

  async function stopped(of: Member): Promise<void> {
    const { pid } = of.process;
    process.kill(pid, "SIGSTOP");
    await sleep(ms * 3);
    resume(pid);
  }

  const stepSeconds = (chance.happens(0.5) ? ms : -ms) / 10;

  const all: { often: number; fault: Fault }[] = [
    { often: 4, fault: { name: `kill ${member.name}`, inflict: () => member.process.kill("SIGKILL") } },
    {
      often: 3,
      fault: {
        name: `stop ${member.name} for ${((ms * 3) / 1000).toFixed(1)} s`,
        excusesOverlapMs: LEASE_MS,
        inflict: () => stopped(member),
      },
    },
    {
      often: 1,
      fault: {
        name: `kill RabbitMQ ${awhile}`,
        excusesOverlapMs: LEASE_MS,
        async inflict() {
          await cluster.rabbit.kill();
          await sleep(ms);
          await cluster.rabbit.startAgain();
        },
      },
    },
    {
      often: 1,
      fault: {
        name: `empty RabbitMQ ${awhile}`,
        excusesOverlapMs: LEASE_MS,
        async inflict() {
          await cluster.rabbit.destroy();
          await sleep(ms);
          await cluster.rabbit.startAgain();
        },
      },
    },
    {
      often: 2,
      fault: {
        name: `kill PostgreSQL ${awhile}`,
        inflict: () =>
          inTurn(cluster.postgres, async () => {
            await cluster.postgres.kill();
            await sleep(ms);
            await cluster.postgres.startAgain();
          }),
      },
    },
    {
      often: 3,
      fault: {
        name: `cut ${member.name} off ${linkName}`,
        excusesOverlapMs: LEASE_MS,
        inflict() {
          member[link].cut();
          return Promise.resolve();
        },
      },
    },
    {
      often: 2,
      fault: {
        name: `delay ${member.name} to ${linkName} by ${Math.round(ms / 20)} ms ${awhile}`,
        async inflict() {
          member[link].delay(ms / 20);
          await sleep(ms);
          member[link].delay(0);
        },
      },
    },
    {
      often: 2,
      fault: {
        name: `stall ${member.name} to ${linkName} ${awhile}`,
        excusesOverlapMs: LEASE_MS,
        async inflict() {
          member[link].stall();
          await sleep(ms);
          member[link].resume();
        },
      },
    },
    {
      often: 2,
      fault: {
        name: `step the clock of ${member.name} by ${stepSeconds} s`,
        async inflict() {
          await member.stepClock(stepSeconds);
          await sleep(ms);
          await member.stepClock(0);
        },
      },
    },
    {
      often: 1,
      fault: {
        name: "PostgreSQL's open connections silent for 60 s",
        async inflict() {
          for (const { toDatabase } of cluster.members) toDatabase.stall({ onlyOpen: true });
          await sleep(60_000);
          for (const { toDatabase } of cluster.members) toDatabase.resume();
        },
      },
    },
    {
      often: 2,
      fault: {
        name: `the name server silent ${awhile}`,
        async inflict() {
          const before = cluster.nameAnswer;
          cluster.nameAnswer = "silent";
          await sleep(ms);
          if (before !== "silent") cluster.nameAnswer = before;
        },
      },
    },
    {
      often: 2,
      fault: {
        name: `a sender stops, and starts again, while the receiver is very slow`,
        async inflict() {
          receiver.mood = "very slow";
          await sleep(ms);
          await chance.pick(cluster.members.filter(({ kind }) => kind === "sender")).restart();
          await sleep(ms);
          receiver.mood = "well";
        },
      },
    },
    ...(cluster.postgres.rollBack === undefined
      ? []
      : [
          {
            often: 1,
            fault: {
              name: `PostgreSQL back as it was ${(ms / 1000).toFixed(1)} s before`,
              excusesOverlapMs: LEASE_MS,
              inflict: () =>
                inTurn(cluster.postgres, async () => {
                  await cluster.postgres.snapshot?.();
                  await sleep(ms);
                  await cluster.postgres.rollBack?.();
                  await onRolledBack();
                }),
            },
          },
        ]),
    ...MOODS.filter((mood) => mood !== "well").map((mood) => ({
      often: 0.6,
      fault: {
        name: `the receiver ${mood} ${awhile}`,
        async inflict() {
          receiver.mood = mood;
          await sleep(ms);
          receiver.mood = "well";
        },
      },
    })),
  ];
  const faults = all.filter(({ fault }) => only.test(fault.name));
  let at = chance.unit() * faults.reduce((sum, { often }) => sum + often, 0);
  for (const { often, fault } of faults) {
    at -= often;
    if (at < 0) return fault;
  }
  throw new Error("no fault was picked");
}
