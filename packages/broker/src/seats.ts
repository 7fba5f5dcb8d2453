import type { ChannelModel } from "amqplib";
import { type Names, NOT_FOUND, onChannel } from "./topology.ts";

/** As many consumers share the partitions; those that come after them stand by. */
const SEATS = 64;
const ACCESS_REFUSED = 403;
const RESOURCE_LOCKED = 405;
/** The first version of RabbitMQ that chooses a single active consumer by priority. */
const PRIORITIES_COUNT_FROM = 4;

/**
 * Takes the lowest seat that nobody has, for as long as the connection lives: an exclusive queue of the
 * seat's number, which RabbitMQ gives to one connection and deletes with it. Each seat that is found taken
 * costs a channel, and RabbitMQ a line in its log. The connection may have one already: it is free to itself.
 *
 * @returns undefined where all seats are taken, or this user of RabbitMQ may have none
 */
export async function takeSeat(connection: ChannelModel, names: Names): Promise<number | undefined> {
  for (let seat = 0; seat < SEATS; seat += 1) {
    try {
      await onChannel(connection, (channel) => channel.assertQueue(names.seat(seat), { exclusive: true, durable: false }));
      return seat;
    } catch (error) {
      const { code } = error as { code?: unknown };
      if (code === ACCESS_REFUSED) return undefined;
      if (code === RESOURCE_LOCKED || code === NOT_FOUND) continue; // or its node in a cluster is away
      throw error;
    }
  }
  return undefined;
}

/**
 * Takes a lower seat, where one is free and to have it means anything: before RabbitMQ 4, priorities do not,
 * and to consume anew would hand partitions over. Those whose seats are below the number of consumers do not
 * even look: a lower one is free only while somebody sits above that.
 *
 * @returns undefined where the connection keeps its seat
 */
export async function takeLowerSeat(
  connection: ChannelModel,
  names: Names,
  seat: number | undefined,
): Promise<number | undefined> {
  const { version } = connection.connection.serverProperties;
  if (Number.parseInt(version) < PRIORITIES_COUNT_FROM) return undefined;
  // Each consumer consumes all partitions.
  const { consumerCount } = await onChannel(connection, (channel) => channel.checkQueue(names.partition(0)));
  if ((seat ?? SEATS) < consumerCount) return undefined;
  const found = await takeSeat(connection, names);
  return found === seat ? undefined : found;
}

/** Leaves a seat to others. */
export async function leaveSeat(connection: ChannelModel, names: Names, seat: number): Promise<void> {
  await onChannel(connection, (channel) => channel.deleteQueue(names.seat(seat)));
}

/**
 * How strongly whoever has this seat wants each partition: consumer priorities for RabbitMQ, 0 to 64. While
 * the seats from 0 on are taken, without a gap, the shares differ by one partition at most; where one is
 * left, its partitions go to several others.
 */
export function prioritiesOf(seat: number | undefined, partitions: number): number[] {
  if (seat === undefined) return Array.from({ length: partitions }, () => 0);
  return rankSeats(partitions).map((ranking) => SEATS - ranking.indexOf(seat));
}

/**
 * The seats in the order in which each partition prefers them. They are let in one after the other: a new one
 * comes first in its share of the partitions, taken from whoever is first in most, second in as many others,
 * and so on.
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

/** Of `some`, the first whose seat at `place` is the one that is there in most of `rankings`. */
function mostCommonAt(place: number, rankings: readonly number[][], some: ReadonlySet<number[]>): number[] {
  const counts = new Uint16Array(SEATS);
  const countOf = (ranking: readonly number[]): number => counts[ranking[place] as number] as number;
  for (const ranking of rankings) counts[ranking[place] as number] = countOf(ranking) + 1;
  return [...some].reduce((best, ranking) => (countOf(ranking) > countOf(best) ? ranking : best));
}
