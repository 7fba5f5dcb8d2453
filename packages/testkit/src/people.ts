import { randomBytes } from "node:crypto";
import { type Answer, http } from "./http.ts";

/** A user of a test. */
export interface Person {
  id: number;
  name: string;
  password: string;
  token: string;
}

export const PASSWORD = "correct horse battery";

/** Makes an account with a name of its own. */
export async function register(base: string, headers?: Record<string, string>): Promise<Person> {
  const name = `u-${randomBytes(6).toString("hex")}`;
  const body = { username: name, phone_number: `tel ${name}`, password: PASSWORD };
  const answer = await http(`${base}/api/users/`, { body, headers });
  if (answer.status !== 201) throw new Error(`register: ${answer.status} ${answer.text}`);
  return { id: answer.json["user_id"] as number, name, password: PASSWORD, token: answer.json["access_token"] as string };
}

interface LogIn {
  token: string;
  webhookSecret: string;
}

export async function logIn(base: string, person: Person, address: string, headers?: Record<string, string>): Promise<LogIn> {
  const answer = await http(`${base}/api/login/`, {
    body: { username: person.name, password: person.password, user_address: address, public_key: `key of ${person.name}` },
    headers,
  });
  if (answer.status !== 200) throw new Error(`log in: ${answer.status} ${answer.text}`);
  return { token: answer.json["token"] as string, webhookSecret: answer.json["webhook_secret"] as string };
}

export function messageBody(from: Person, to: { id: number }, text = "hello"): Record<string, unknown> {
  return { message: text, sender_id: from.id, sender_username: from.name, receiver_id: to.id, send_date: "2026-01-02 03:04:05" };
}

/** Sends, and returns the answer in JSON. */
export function send(
  base: string,
  from: Person,
  to: { id: number },
  text?: string,
  headers?: Record<string, string>,
): Promise<Answer> {
  return http(`${base}/api/messages/`, {
    body: messageBody(from, to, text),
    token: from.token,
    accept: "application/json",
    headers,
  });
}

/** Sends, and returns the id of the message, which must be accepted. */
export async function sendSurely(base: string, from: Person, to: { id: number }, text?: string): Promise<string> {
  const answer = await send(base, from, to, text);
  if (answer.status !== 200) throw new Error(`send: ${answer.status} ${answer.text}`);
  return answer.json["message_id"] as string;
}

/** Makes people who receive what they are sent, each at an address of their own below `receiverUrl`. */
export async function makePeople(base: string, receiverUrl: string, count: number): Promise<Person[]> {
  const people: Person[] = [];
  for (let n = 0; n < count; n += 1) {
    const person = await register(base);
    const { token } = await logIn(base, person, `${receiverUrl}/${person.name}`);
    people.push({ ...person, token });
  }
  return people;
}
