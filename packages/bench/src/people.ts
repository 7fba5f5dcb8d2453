import { logIn, type Person, register } from "@messenger/testkit";

const AT_ONCE = 8;

/** Takes nothing: for people whom nobody writes to. */
const NOWHERE = "http://127.0.0.1:9/";

/**
 * Makes accounts and logs them in, each at an address of its own if `addressOf` gives one. As with people's
 * clients, the session that came with the account stays beside that of the log-in.
 */
export async function signIn(baseUrl: string, count: number, addressOf?: (n: number) => string): Promise<Person[]> {
  const people: Person[] = [];
  let made = 0;
  const one = async (): Promise<void> => {
    const address = addressOf?.(made) ?? NOWHERE;
    made += 1;
    const person = await register(baseUrl);
    const { token } = await logIn(baseUrl, person, address);
    people.push({ ...person, token });
  };
  for (let from = 0; from < count; from += AT_ONCE) {
    await Promise.all(Array.from({ length: Math.min(AT_ONCE, count - from) }, one));
  }
  return people;
}
