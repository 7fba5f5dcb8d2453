import { setTimeout as sleep } from "node:timers/promises";
import type { Chance } from "@messenger/simulation";
import { type Cluster, type Member, resume } from "./cluster.ts";
import { MOODS, type Receiver } from "./receiver.ts";

/** Something that goes wrong, and is over when it resolves. */
export interface Fault {
  name: string;
  inflict(): Promise<void>;
}

/** Picks a fault; what it does to whom, and for how long, is decided now. */
export function pickFault(chance: Chance, cluster: Cluster, receiver: Receiver): Fault {
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

  const faults: { often: number; fault: Fault }[] = [
    { often: 4, fault: { name: `kill ${member.name}`, inflict: () => member.process.kill("SIGKILL") } },
    { often: 3, fault: { name: `stop ${member.name} for ${((ms * 3) / 1000).toFixed(1)} s`, inflict: () => stopped(member) } },
    {
      often: 1,
      fault: {
        name: `kill RabbitMQ ${awhile}`,
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
        async inflict() {
          await cluster.postgres.kill();
          await sleep(ms);
          await cluster.postgres.startAgain();
        },
      },
    },
    {
      often: 3,
      fault: {
        name: `cut ${member.name} off ${linkName}`,
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
  let at = chance.unit() * faults.reduce((sum, { often }) => sum + often, 0);
  for (const { often, fault } of faults) {
    at -= often;
    if (at < 0) return fault;
  }
  throw new Error("no fault was picked");
}
