import { http, logIn, type Person, register } from "@messenger/testkit";

const AT_ONCE = 8;

/** Takes nothing: for people whom nobody writes to. */
const NOWHERE = "http://127.0.0.1:9/";

/**
 * Makes accounts and logs them in, each at an address of its own if `addressOf` gives one. They end the session that came with the account: who is signed
 * in twice has an event of each message that they send, too, which a peer does not write.
 */
export async function signIn(baseUrl: string, count: number, addressOf?: (n: number) => string): Promise<Person[]> {
  const people: Person[] = [];
  let made = 0;
  const one = async (): Promise<void> => {
    const address = addressOf?.(made) ?? NOWHERE;
    made += 1;
    const person = await register(baseUrl);
    const { token } = await logIn(baseUrl, person, address);
    const ended = await http(`${baseUrl}/api/logout/`, { body: { username: person.name }, token: person.token });
    if (ended.status !== 200) throw new Error(`log out: ${ended.status} ${ended.text}`);
    people.push({ ...person, token });
  };
  for (let from = 0; from < count; from += AT_ONCE) {
    await Promise.all(Array.from({ length: Math.min(AT_ONCE, count - from) }, one));
  }
  return people;
}
