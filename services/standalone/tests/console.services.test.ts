import {
  logIn,
  type Person,
  register,
  type ScriptedReceiver,
  sendSurely,
  type ServiceProcess,
  startCommand,
  startScriptedReceiver,
  waitFor,
} from "@messenger/testkit";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Deployment, deployments } from "./deployments.ts";

describe.each(deployments)("the console, $name", ({ deploy }) => {
  let deployment: Deployment;
  let receiver: ScriptedReceiver;
  let ada: Person;
  let bob: Person;

  beforeAll(async () => {
    deployment = await deploy();
    receiver = await startScriptedReceiver();
    const base = deployment.urls[0] as string;
    [ada, bob] = [await register(base), await register(base)];
  });
  afterAll(async () => {
    await receiver.close();
    await deployment.close();
  });

  const start = (args: readonly string[], env: Record<string, string> = {}): ServiceProcess =>
    startCommand(args, {
      MESSENGER_URL: deployment.urls[0] as string,
      MESSENGER_USER: bob.name,
      MESSENGER_PASSWORD: bob.password,
      ...env,
    });
  async function run(args: readonly string[], env?: Record<string, string>): Promise<{ code: number | null; output: string }> {
    const started = start(args, env);
    const code = await started.exited;
    return { code, output: started.output };
  }

  it("listens: prints pushes as they come, verified, and leaves nothing behind", async () => {
    const listening = start(["listen", "--kinds", "message.created"]);
    try {
      await waitFor(() => listening.output.includes("gets what happens from now on"), { what: "an endpoint" });
      await sendSurely(deployment.urls[0] as string, ada, bob, "hallo \u001b[31m");
      await waitFor(() => listening.output.includes("hallo"), { what: "a push" });
      expect(listening.output).toMatch(new RegExp(`✓  message\\.created \\d+ ${ada.name}: hallo ·\\[31m`, "u"));
      const listed = await run(["endpoints"]);
      expect(listed).toMatchObject({
        code: 0,
        output: expect.stringMatching(/^ID +STATE.*\n\d+ +active +0 +0 +0 +http:\/\/127/u),
      });
    } finally {
      await listening.kill("SIGINT");
    }
    expect(await listening.exited).toBe(0);
    expect(await run(["endpoints", "--json"])).toEqual({ code: 0, output: "[]\n" });
  });

  it("shows attempts and dead letters, and pushes these again", async () => {
    const base = deployment.urls[0] as string;
    receiver.behave({ status: 503 });
    await logIn(base, bob, `${receiver.url}/bob`);
    await sendSurely(base, ada, bob, "later");
    await waitFor(() => receiver.arrivals.length > 0, { what: "a push that fails" });
    const { output } = await run(["endpoints", "--json"]);
    const [{ endpoint_id: id }] = JSON.parse(output) as [{ endpoint_id: number }];
    const attempts = await waitFor(
      async () => {
        const found = await run(["attempts", String(id), "--outcome", "transient"]);
        return found.output.includes("503") ? found : undefined;
      },
      { what: "the attempt in the log" },
    );
    expect(attempts.output).toMatch(
      /^AT +SEQ +TYPE +TRY +OUTCOME +STATUS +MS +ERROR\n.+ message\.created +\d+ +transient +503 /u,
    );
    expect(await run(["dead-letters", String(id)])).toEqual({ code: 0, output: "None.\n" });
    expect(await run(["dead-letters", String(id), "--replay", "all"])).toEqual({ code: 0, output: "Pushed again: 0\n" });
    expect(await run(["dead-letters", String(id), "--replay", "1"])).toMatchObject({
      code: 1,
      output: expect.stringContaining("no_such_dead_letter"),
    });
  });

  it("says what is missing, and what was answered", async () => {
    expect(await run(["endpoints"], { MESSENGER_PASSWORD: "wrong" })).toMatchObject({
      code: 1,
      output: expect.stringContaining("Incorrect username or password"),
    });
    expect(await run(["endpoints"], { MESSENGER_URL: "http://127.0.0.1:1024" })).toMatchObject({
      code: 1,
      output: expect.stringContaining("no Messenger answers at http://127.0.0.1:1024"),
    });
    expect(await run(["attempts"])).toMatchObject({
      code: 1,
      output: expect.stringContaining("messenger attempts <endpoint id>"),
    });
    expect(await run(["attempts", "999999999"])).toMatchObject({ code: 1, output: expect.stringContaining("no_such_endpoint") });
    expect(await run(["endpoints", "--bogus"])).toMatchObject({ code: 64, output: expect.stringContaining("--bogus") });
    expect(await run(["endpoints", "more"])).toMatchObject({
      code: 64,
      output: expect.stringContaining("endpoints takes no more"),
    });
    expect(await run(["notifications", "0197f3a2-6c1d-7b3e-9f00-2a4b6c8d0e1f"])).toMatchObject({
      code: 1,
      output: expect.stringContaining("no_such_notification"),
    });
  });
});
