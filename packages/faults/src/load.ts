import type { Chance } from "@messenger/simulation";
import { logIn, type Person, register, startSteadyLoad, type SteadyLoad } from "@messenger/testkit";

/** Makes people who receive what they are sent, each at an address of their own. */
export async function makePeople(url: string, receiverUrl: string, count: number): Promise<Person[]> {
  const people: Person[] = [];
  for (let n = 0; n < count; n += 1) {
    const person = await register(url);
    const { token } = await logIn(url, person, `${receiverUrl}/${person.name}`);
    people.push({ ...person, token });
  }
  return people;
}

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
