import { createHash } from "node:crypto";

/**
 * How strongly a consumer wants a partition: a consumer priority for RabbitMQ, 0 to 2^24 - 1. By rendezvous hashing: each partition goes to
 * the consumer whose number for it is highest, so that they spread evenly, and only those of a consumer that comes or goes move.
 */
export function rendezvousPriority(consumer: string, partition: number): number {
  return createHash("sha256").update(`${partition}\n${consumer}`).digest().readUIntBE(0, 3);
}
