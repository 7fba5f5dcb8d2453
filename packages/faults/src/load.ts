import type { Chance } from "@messenger/simulation";
import { type Person, startSteadyLoad, type SteadyLoad } from "@messenger/testkit";

/** Every second message goes to one of so few. */
const POPULAR = 3;

/** Sends messages at a steady rate, from anybody to anybody by any listener, half of them to a few. */
export function startLoad(options: {
  chance: Chance;
  urls(): readonly string[];
  people: readonly Person[];
  perSecond: number;
  text?: string;
}): SteadyLoad {
  const { chance, people, perSecond, text } = options;
  return startSteadyLoad({
    perSecond,
    text,
    next() {
      const urls = options.urls();
      if (urls.length === 0) return undefined;
      const [from, url] = [chance.pick(people), chance.pick(urls)];
      return { url, from, to: chance.pick(chance.happens(0.5) ? people.slice(0, POPULAR) : people) };
    },
  });
}
