import { logIn, messageBody, http, type Person, register } from "@messenger/testkit";
import type { Deployment } from "../deployment.ts";
import { signIn } from "../people.ts";
import { addRecipients, TEXT } from "../world.ts";

/** Those who use a listener while there is a crowd. */
export interface Others {
  /** One request, whose time is measured. @throws unless it succeeds. */
  ask(n: number): Promise<unknown>;
  /** Accounts that a crowd can guess at. */
  usernames: readonly string[];
}

export type MakeOthers = (deployment: Deployment, url: string) => Promise<Others>;

const PEOPLE = 8;
const SENDERS = 16;
const RECIPIENTS = 1_000;
const NOWHERE = "http://127.0.0.1:9/";
const OWNERS_ADDRESS = "198.51.100.7";

const from = (address: string): Record<string, string> => ({ "x-forwarded-for": address });

/** People who log in from where they have been before. */
export async function peopleAtHome(_: Deployment, url: string): Promise<Others> {
  const people: Person[] = [];
  const home = (n: number): Record<string, string> => from(`192.0.2.${n + 1}`);
  for (let n = 0; n < PEOPLE; n += 1) people.push(await register(url, home(n)));
  return {
    ask: (n) => logIn(url, people[n % PEOPLE] as Person, NOWHERE, home(n % PEOPLE)),
    usernames: people.map(({ name }) => name),
  };
}

/** People who log in from where they have never been, which a listener knows nothing of. */
export async function peopleFromElsewhere(_: Deployment, url: string): Promise<Others> {
  const people: Person[] = [];
  for (let n = 0; n < PEOPLE; n += 1) people.push(await register(url, from(`192.0.2.${n + 1}`)));
  return {
    ask: (n) => logIn(url, people[n % PEOPLE] as Person, NOWHERE, from(`172.${16 + (n >> 8)}.${n & 255}.1`)),
    usernames: people.map(({ name }) => name),
  };
}

/** The owner of an account, who logs in from where they have been before. */
export async function ownerOfAccount(_: Deployment, url: string): Promise<Others> {
  const owner = await register(url, from(OWNERS_ADDRESS));
  const ask = (): Promise<unknown> => logIn(url, owner, NOWHERE, from(OWNERS_ADDRESS));
  await ask();
  return { ask, usernames: [owner.name] };
}

/** People who send messages. */
export async function peopleWhoSend({ db }: Deployment, url: string): Promise<Others> {
  const recipients = await addRecipients(db, RECIPIENTS);
  const senders = await signIn(url, SENDERS);
  return {
    async ask(n) {
      const sender = senders[n % SENDERS] as Person;
      const recipient = recipients[n % RECIPIENTS] as { userId: number };
      const body = messageBody(sender, { id: recipient.userId }, TEXT);
      const { status, text } = await http(`${url}/api/messages/`, { body, token: sender.token });
      if (status !== 200) throw new Error(`send: ${status} ${text}`);
    },
    usernames: [],
  };
}
