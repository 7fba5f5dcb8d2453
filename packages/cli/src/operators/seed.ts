import { createHash } from "node:crypto";
import { createIds, loginKeys, storedContent, systemClock, systemRandom, usernameKey } from "@messenger/core";
import { hashPassword, verifyPassword } from "@messenger/runtime";
import {
  appendMessages,
  createGroup,
  createUser,
  findAccountByName,
  findPasswordHash,
  type NewMessage,
  type Store,
  groupRequestContext,
  titleContext,
} from "@messenger/store";
import { Presets, SingleBar } from "cli-progress";
import { keyringOf, withAnyDatabase } from "../database.ts";
import type { Given } from "../given.ts";

const NAMES = ["alice", "bob", "charlie"] as const;
const PASSWORD = "a password for trying it";
const EXIT_USAGE = 64;
const MOST_USERS = 1_000_000;
const MOST_MESSAGES = 100_000_000;
/** Written by one statement. */
const AT_ONCE = 500;
const SAID = [
  "Hello!",
  "Did you see that the queue was empty this morning?",
  "Yes. The receiver was down for an hour, and everything came in order once it was back.",
  "Lunch at twelve?",
  "I am on my way.",
  "🎉",
];

/** Those that are there were made with this password: a hash that was looked at needs no second look. */
const seeded = new Set<string>();

async function isSeeded(passwordHash: string): Promise<boolean> {
  if (!seeded.has(passwordHash) && (await verifyPassword(passwordHash, PASSWORD, "normal"))) seeded.add(passwordHash);
  return seeded.has(passwordHash);
}

interface Person {
  id: number;
  name: string;
}

function countOf(text: string | boolean | undefined, fallback: number, most: number): number | undefined {
  const count = text === undefined ? fallback : Number(text);
  return Number.isInteger(count) && count >= 0 && count <= most ? count : undefined;
}

/** The user of a name, made where there is none. @throws {Error} where it is somebody's whom no seed has made. */
async function personOf({ db }: Store, name: string, passwordHash: string): Promise<Person> {
  const none = { phoneNumber: null, phoneKey: null, email: null, emailKey: null };
  const fullName = name.charAt(0).toUpperCase() + name.slice(1);
  const made = await createUser(db, { username: name, usernameKey: usernameKey(name), ...none, fullName, passwordHash });
  if ("id" in made) return { id: made.id, name };
  const found = await findAccountByName(db, loginKeys(name));
  const hash = found === null ? null : await findPasswordHash(db, found.id);
  if (found === null || hash === null || !(await isSeeded(hash))) {
    throw new Error(`there is a ${name} already who was not made by this command: seed an empty database`);
  }
  return { id: found.id, name };
}

/**
 * Fills a database to try it: Alice, Bob and Charlie, a group of them, and what they wrote; with `--users` and
 * `--messages`, many more. It can be run again: users that are there stay, and messages are added.
 */
export async function runSeed(env: NodeJS.ProcessEnv, { values }: Given): Promise<number> {
  const users = countOf(values["users"], 0, MOST_USERS);
  const messages = countOf(values["messages"], 30, MOST_MESSAGES);
  if (users === undefined || messages === undefined) {
    process.stderr.write(`messenger seed: --users is up to ${MOST_USERS}, --messages up to ${MOST_MESSAGES}\n`);
    return EXIT_USAGE;
  }
  return withAnyDatabase(env, async (store, folder) => {
    const { contents } = await keyringOf(env, folder);
    const ids = createIds({ clock: systemClock, random: systemRandom });
    const passwordHash = await hashPassword(PASSWORD);
    const bar = new SingleBar(
      { format: "{what} {bar} {value} of {total}", noTTYOutput: false, clearOnComplete: true },
      Presets.shades_classic,
    );

    const people: Person[] = [];
    bar.start(NAMES.length + users, 0, { what: "users   " });
    for (const name of NAMES) people.push(await personOf(store, name, passwordHash));
    for (let n = 1; n <= users; n += 1) {
      people.push(await personOf(store, `user-${n}`, passwordHash));
      bar.update(people.length);
    }
    bar.stop();

    const [alice, bob, charlie] = people as [Person, Person, Person];
    const eventId = ids.next();
    const group = await createGroup(store.db, {
      by: alice.id,
      members: [bob.id, charlie.id],
      sealTitle: (id) => contents.seal(titleContext(id), Buffer.from("Analytical Engines")),
      eventId,
      sealData: (members) =>
        contents.seal(eventId, Buffer.from(JSON.stringify({ by_user_id: alice.id, title: "Analytical Engines", members }))),
      // Once: a repeat finds it.
      request: {
        key: createHash("sha256").update(`seed of ${alice.id}`).digest(),
        sealed: contents.seal(groupRequestContext, Buffer.from("seed")),
        isSame: () => true,
      },
    });

    function messageOf(n: number): NewMessage {
      const sender = people[n % people.length] as Person;
      const receiver = people[(n + 1 + (Math.floor(n / people.length) % (people.length - 1))) % people.length] as Person;
      const isToGroup = "id" in group && n % 5 === 4 && n % people.length < NAMES.length;
      const id = ids.next();
      const said = {
        message: SAID[n % SAID.length] as string,
        sender_id: sender.id,
        sender_username: sender.name,
        send_date: new Date(systemClock.now()).toISOString(),
      };
      return {
        id,
        sentEventId: ids.next(),
        senderId: sender.id,
        to: isToGroup ? { group: group.id } : { user: receiver.id },
        sessionId: 0,
        content: contents.seal(id, storedContent(isToGroup ? said : { ...said, receiver_id: receiver.id })),
        sentAt: systemClock.now(),
        requestKey: null,
      };
    }

    bar.start(messages, 0, { what: "messages" });
    for (let n = 0; n < messages; n += AT_ONCE) {
      const some = Array.from({ length: Math.min(AT_ONCE, messages - n) }, (_, m) => messageOf(n + m));
      await appendMessages(store.db, some);
      bar.update(n + some.length);
    }
    bar.stop();
    const named = users === 0 ? "" : `, user-1 to user-${users}`;
    process.stdout.write(
      `There are ${NAMES.join(", ")}${named}, who sign in with the password "${PASSWORD}", and ${messages} messages more.\n`,
    );
    return 0;
  });
}
