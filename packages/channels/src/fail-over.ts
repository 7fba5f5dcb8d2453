import { LRUCache } from "lru-cache";
import type { Channel, PushResult, Target } from "./channel.ts";
import { templateOf } from "./text.ts";

interface TwoTargets extends Target {
  first: Target;
  second: Target;
}

/** Of events that one provider may have sent, the latest. */
const MAX_REMEMBERED = 10_000;

/** The provider has certainly not taken it, and will not for now. */
const isUntaken = ({ result, isProvidersFault, mayBeSent }: PushResult): boolean =>
  result === "transient" && isProvidersFault === true && mayBeSent !== true;

/**
 * A channel with two providers: what the first has certainly not taken, as it is away or has no room, goes to the
 * second. What one of them may have sent stays with it, as does a template, whose name is one provider's.
 */
export function createFailOverChannel(first: Channel, second: Channel): Channel {
  const mayBeWith = new LRUCache<string, Channel>({ max: MAX_REMEMBERED });

  return {
    name: first.name,
    vet: (address) => first.vet(address),
    laneKey: (address) => first.laneKey(address),
    prepare: (endpoint): TwoTargets => ({
      address: endpoint.address,
      first: first.prepare(endpoint),
      second: second.prepare(endpoint),
    }),
    async push(push) {
      const { id } = push.event;
      const targets = push.target as TwoTargets;

      async function by(channel: Channel): Promise<PushResult> {
        const result = await channel.push({ ...push, target: channel === first ? targets.first : targets.second });
        if (result.mayBeSent === true) mayBeWith.set(id, channel);
        return result;
      }

      const known = mayBeWith.get(id);
      if (known !== undefined) return by(known);
      const result = await by(first);
      if (!isUntaken(result) || templateOf(push) !== undefined) return result;
      const other = await by(second);
      // Where neither takes it, it is the first whose word counts.
      return isUntaken(other) ? result : other;
    },
    ask: async (providerId) => (await first.ask?.(providerId)) ?? second.ask?.(providerId),
    async close() {
      await first.close();
      await second.close();
    },
  };
}
