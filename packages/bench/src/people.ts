import { logIn, type Person, register } from "@messenger/testkit";

const AT_ONCE = 8;

/** Makes accounts and signs them in. The address of their log-in takes nothing that the bench sends: nobody writes to them. */
export async function signIn(baseUrl: string, count: number): Promise<Person[]> {
  const people: Person[] = [];
  const one = async (): Promise<void> => {
    const person = await register(baseUrl);
    const { token } = await logIn(baseUrl, person, "http://127.0.0.1:9/");
    people.push({ ...person, token });
  };
  for (let from = 0; from < count; from += AT_ONCE) {
    await Promise.all(Array.from({ length: Math.min(AT_ONCE, count - from) }, one));
  }
  return people;
}
