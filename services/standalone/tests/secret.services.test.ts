import { http, logIn, register, type ScriptedReceiver, sendSurely, startScriptedReceiver, waitFor } from "@messenger/testkit";
import { Webhook } from "standardwebhooks";
import { afterEach, beforeEach, expect, inject, it } from "vitest";
import { type Cluster, openCluster } from "./cluster.ts";

/** The settings of a process before and after the change. */
const BEFORE = { MESSENGER_SECRET: "the first secret of the tests of a change" };
const AFTER = {
  MESSENGER_SECRET: "the secret that takes the other's place",
  MESSENGER_SECRET_PREVIOUS: BEFORE.MESSENGER_SECRET,
};

let cluster: Cluster;
let receiver: ScriptedReceiver;
beforeEach(async () => {
  receiver = await startScriptedReceiver();
  cluster = await openCluster(inject("amqpUrl"), BEFORE);
});
afterEach(async () => {
  await cluster.close();
  await receiver.close();
});

it("what was sealed, signed and given out under a secret stays good after it was changed", async () => {
  const listener = await cluster.startListener();
  const sender = await cluster.startSender();
  const base = cluster.urls()[0] as string;
  const [ada, bob] = [await register(base), await register(base)];
  const address = `${receiver.url}/bob`;
  const { webhookSecret } = await logIn(base, bob, address);
  const body = { username: ada.name, password: ada.password, user_address: "http://192.0.2.1/", public_key: "key" };
  const login = await http(`${base}/api/login/`, { body });
  const delivered = () => receiver.arrivals.map((arrival) => arrival.body["message"]);

  const pushKey = async (at: string): Promise<unknown> => (await http(`${at}/api/push-key/`)).json["public_key"];
  const subscribedWith = await pushKey(base);
  const read = await sendSurely(base, ada, bob, "delivered before");
  await waitFor(() => delivered().length === 1, { what: "a first message" });
  receiver.behave({ status: 503 });
  await sendSurely(base, ada, bob, "in the log");
  await waitFor(() => delivered().length === 2, { what: "a push that fails" });
  await cluster.end(sender, "SIGTERM");
  await sendSurely(base, ada, bob, "in the queue");
  await cluster.end(listener, "SIGTERM");
  receiver.behave({ status: 204 });

  const changed = await cluster.startListener(AFTER);
  const pushing = await cluster.startSender(AFTER);
  const url = cluster.urls()[0] as string;
  expect((await http(`${url}/api/messages/${read}/`, { token: bob.token })).json).toMatchObject({ message: "delivered before" });
  const refreshed = await http(`${url}/api/token/refresh/`, { body: { refresh_token: login.json["refresh_token"] } });
  expect(refreshed.status).toBe(200);
  expect((await logIn(url, bob, address)).webhookSecret).toBe(webhookSecret);
  await sendSurely(url, { ...ada, token: refreshed.json["access_token"] as string }, bob, "sent afterwards");
  await sendSurely(url, ada, bob, "sent with a token of before");
  await waitFor(() => delivered().length >= 6, { what: "all messages" });
  expect(delivered()).toEqual([
    "delivered before",
    "in the log",
    "in the log",
    "in the queue",
    "sent afterwards",
    "sent with a token of before",
  ]);
  const webhook = new Webhook(webhookSecret);
  for (const { rawBody, headers } of receiver.arrivals) webhook.verify(rawBody, headers as Record<string, string>);
  expect(await pushKey(url)).toBe(subscribedWith);
  expect(changed.output + pushing.output).not.toMatch(/unsealed|SealError/u);

  await cluster.end(changed, "SIGTERM");
  await cluster.startListener({ ...AFTER, MESSENGER_SECRET_PREVIOUS: "" });
  expect(await pushKey(cluster.urls()[0] as string)).toBe(subscribedWith);
});

it("a process without the secret of before refuses to start, and says what to set", async () => {
  await cluster.startListener();
  const { MESSENGER_SECRET } = AFTER;
  await expect(cluster.startListener({ MESSENGER_SECRET })).rejects.toThrow(/MESSENGER_SECRET_PREVIOUS/u);
});
