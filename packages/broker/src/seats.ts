import type { ChannelModel } from "amqplib";
import type { Names } from "./topology.ts";

/** As many consumers share the partitions; those that come after them stand by. */
const SEATS = 64;
const RESOURCE_LOCKED = 405;

/**
 * Takes the lowest seat that nobody has, for as long as the connection lives: an exclusive queue of the seat's number, which RabbitMQ gives to one
 * connection and deletes with it. Each seat that is taken costs a channel, and RabbitMQ a line in its log.
 *
 * @returns undefined where all seats are taken
 */
export async function takeSeat(connection: ChannelModel, names: Names): Promise<number | undefined> {
  for (let seat = 0; seat < SEATS; seat += 1) {
    const channel = await connection.createChannel();
    channel.on("error", () => undefined); // reported by the rejected call, too
    try {
      await channel.assertQueue(names.seat(seat), { exclusive: true, durable: false });
    } catch (error) {
      if ((error as { code?: unknown }).code === RESOURCE_LOCKED) continue;
      throw error;
    }
    await channel.close();
    return seat;
  }
  return undefined;
}

/**
 * How strongly whoever has this seat wants each partition: consumer priorities for RabbitMQ, 0 to 64. While the seats from 0 on are taken, without a gap,
 * the shares differ by one partition at most; where one is left, its partitions go to several others.
 */
export function prioritiesOf(seat: number | undefined, partitions: number): number[] {
  if (seat === undefined) return Array.from({ length: partitions }, () => 0);
  return rankSeats(partitions).map((ranking) => SEATS - ranking.indexOf(seat));
}

/**
 * The seats in the order in which each partition prefers them. They are let in one after the other: a new one comes first in its share of the partitions,
 * taken from whoever is first in most, second in as many others, and so on.
 */
export function rankSeats(partitions: number): number[][] {
  const rankings = Array.from({ length: partitions }, (): number[] => []);
  for (let seat = 0; seat < SEATS; seat += 1) {
    const without = new Set(rankings);
    for (let place = 0; place < seat; place += 1) {
      const upTo = (count: number): number => Math.floor((partitions * count) / (seat + 1));
      for (let left = upTo(place + 1) - upTo(place); left > 0; left -= 1) {
        const ranking = mostCommonAt(place, rankings, without);
        ranking.splice(place, 0, seat);
        without.delete(ranking);
      }
    }
    for (const ranking of without) ranking.push(seat);
  }
  return rankings;
}

/** The first of some rankings whose seat at a place has that place in most of all. */
function mostCommonAt(place: number, rankings: readonly number[][], some: ReadonlySet<number[]>): number[] {
  const counts = new Uint16Array(SEATS);
  const countOf = (ranking: readonly number[]): number => counts[ranking[place] as number] as number;
  for (const ranking of rankings) counts[ranking[place] as number] = countOf(ranking) + 1;
  return [...some].reduce((best, ranking) => (countOf(ranking) > countOf(best) ? ranking : best));
}
