import { randomBytes } from "node:crypto";
import { TEXT } from "./world.ts";

/** A user who sends: made and signed in by the API, as anybody is. */
export interface Person {
  userId: number;
  name: string;
  password: string;
  token: string;
}

async function post(url: string, body: object): Promise<Record<string, unknown>> {
  const response = await fetch(url, {
    method: "POST",
    headers: { "content-type": "application/json", accept: "application/json" },
    body: JSON.stringify(body),
  });
  if (!response.ok) throw new Error(`${url}: ${response.status} ${await response.text()}`);
  return (await response.json()) as Record<string, unknown>;
}

const AT_ONCE = 8;

/** Logs in once more, with an address that messages are pushed to from then on; returns the token. */
export async function logIn(baseUrl: string, person: Person, address: string): Promise<string> {
  const body = { username: person.name, password: person.password, user_address: address, public_key: "none" };
  const { token } = await post(`${baseUrl}/api/login/`, body);
  return token as string;
}

/** Makes accounts and signs them in. The address of their log-in takes nothing that the bench sends: nobody writes to them. */
export async function signIn(baseUrl: string, count: number): Promise<Person[]> {
  const people: Person[] = [];
  const one = async (): Promise<void> => {
    const name = `s${randomBytes(6).toString("hex")}`;
    const password = "correct horse battery";
    const { user_id: userId } = await post(`${baseUrl}/api/users/`, { username: name, phone_number: name, password });
    const person = { userId: userId as number, name, password, token: "" };
    people.push({ ...person, token: await logIn(baseUrl, person, "http://127.0.0.1:9/") });
  };
  for (let from = 0; from < count; from += AT_ONCE) {
    await Promise.all(Array.from({ length: Math.min(AT_ONCE, count - from) }, one));
  }
  return people;
}

/** The body of a message, as a client sends it. */
export function messageBody(from: Person, receiverId: number): string {
  return JSON.stringify({
    message: TEXT,
    sender_id: from.userId,
    sender_username: from.name,
    receiver_id: receiverId,
    send_date: "2026-01-02 03:04:05",
  });
}
