import {
  http,
  type Person,
  register,
  type ScriptedReceiver,
  sendSurely,
  startScriptedReceiver,
  waitFor,
} from "@messenger/testkit";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Deployment, deployments } from "./deployments.ts";

describe.each(deployments)("the address of a log-in, where it has to be verified, $name", ({ deploy }) => {
  let deployment: Deployment;
  let receiver: ScriptedReceiver;
  let ada: Person;
  let bob: Person;

  beforeAll(async () => {
    deployment = await deploy({ settings: { loginAddresses: "verified" } });
    receiver = await startScriptedReceiver();
    [ada, bob] = [await register(base()), await register(base())];
  });
  afterAll(async () => {
    await receiver.close();
    await deployment.close();
  });

  const base = (): string => deployment.urls[0] as string;
  const logIn = async (): Promise<Record<string, unknown>> => {
    const body = { username: bob.name, password: bob.password, user_address: `${receiver.url}/bob`, public_key: "key" };
    const { status, json } = await http(`${base()}/api/login/`, { body });
    expect(status).toBe(200);
    return json;
  };
  const endpoint = async (): Promise<Record<string, unknown>> => {
    const { json } = await http(`${base()}/api/endpoints/`, { token: bob.token });
    return (json["endpoints"] as Record<string, unknown>[])[0] ?? {};
  };
  const texts = (): unknown[] => receiver.arrivals.map(({ body }) => body["message"]);

  it("gets nothing before it has answered a challenge, and then all that waited", async () => {
    receiver.answerChallenges(false);
    expect(await logIn()).toMatchObject({ address_refusal: expect.stringContaining("it has to answer a challenge") });
    await sendSurely(base(), ada, bob, "one");
    await waitFor(async () => String((await endpoint())["reason"]).includes("does not hold the challenge"), {
      what: "the challenge",
    });
    const { endpoint_id: id, state } = await endpoint();
    expect(state).toBe("unverified");
    const enabled = await http(`${base()}/api/endpoints/${String(id)}/enable/`, { method: "POST", token: bob.token });
    expect(enabled).toMatchObject({ status: 409, json: { code: "not_verified" } });
    await sendSurely(base(), ada, bob, "two");
    expect(texts()).toEqual([]);

    receiver.answerChallenges(true);
    await waitFor(
      async () => {
        const verified = await http(`${base()}/api/endpoints/${String(id)}/verify/`, { method: "POST", token: bob.token });
        return verified.json["state"] === "active";
      },
      { what: "the second challenge" },
    );
    await waitFor(() => texts().length === 2, { what: "what waited" });
    expect(texts()).toEqual(["one", "two"]);
  });

  it("is verified from then on", async () => {
    const challenges = receiver.challenges.length;
    const { token } = await logIn();
    await http(`${base()}/api/logout/`, { token: token as string, body: { username: bob.name } });
    expect(await logIn()).toMatchObject({ address_refusal: null });
    await sendSurely(base(), ada, bob, "three");
    await waitFor(() => texts().includes("three"), { what: "a push" });
    expect(receiver.challenges).toHaveLength(challenges);
  });
});
