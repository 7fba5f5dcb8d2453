import { createHmac } from "node:crypto";
import { once } from "node:events";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { type Answer, http, type Person, logIn, register, sendSurely, waitFor } from "@messenger/testkit";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { type Deployment, deployListener, deployments } from "./deployments.ts";
import { type Mail, type Relay, startRelay } from "./relay.ts";

describe.each(deployments)("notifications, $name", ({ deploy }) => {
  let deployment: Deployment;
  let relay: Relay;
  let twilio: Server;
  /** Forms that were posted to Twilio. */
  let forms: URLSearchParams[];
  let ada: Person;

  beforeAll(async () => {
    relay = await startRelay();
    forms = [];
    twilio = createServer((request, response) => {
      const chunks: Buffer[] = [];
      request.on("data", (chunk: Buffer) => chunks.push(chunk));
      request.on("end", () => {
        forms.push(new URLSearchParams(Buffer.concat(chunks).toString()));
        response.writeHead(201, { "content-type": "application/json" }).end(JSON.stringify({ sid: `SM${forms.length}` }));
      });
    });
    twilio.listen(0, "127.0.0.1");
    await once(twilio, "listening");
    const account = {
      accountSid: "ACtest",
      authToken: "secret",
      from: "+15005550006",
      baseUrl: `http://127.0.0.1:${(twilio.address() as AddressInfo).port}`,
    };
    deployment = await deploy({
      providers: {
        email: { smtpUrl: `smtp://127.0.0.1:${relay.port}`, from: "Messenger <m@example.org>" },
        sms: account,
        whatsapp: { twilio: account },
      },
    });
  });
  afterAll(async () => {
    await deployment.close();
    await relay.stop();
    twilio.close();
    twilio.closeAllConnections();
  });
  beforeEach(async () => {
    ada = await register(deployment.urls[0] as string);
  });

  let turn = 0;
  function call(method: string, path: string, body?: unknown, headers?: Record<string, string>, by = ada): Promise<Answer> {
    turn += 1;
    const url = deployment.urls[turn % deployment.urls.length] as string;
    return http(url + path, { method, token: by.token, headers, ...(body !== undefined && { body }) });
  }
  const notify = (body: unknown, headers?: Record<string, string>) => call("POST", "/api/notifications", body, headers);
  const mailsTo = (address: string): Mail[] => relay.mails.filter(({ to }) => to === address);

  async function statusOf(answer: Answer): Promise<unknown> {
    return (await call("GET", `/api/notifications/${answer.json["notification_id"] as string}`)).json["status"];
  }
  const sent = (answer: Answer) =>
    waitFor(async () => (await statusOf(answer)) === "sent", { what: "it to be sent", timeoutMs: 60_000 });

  it("go out by e-mail, and say so", async () => {
    const made = await notify({
      type: "email",
      recipient: "ada@example.org",
      subject: "Grüße",
      content: "It has arrived.\n.\nReally.",
    });
    expect(made).toMatchObject({
      status: 202,
      json: { type: "email", recipient: "ada@example.org", status: "queued", provider: "smtp", reason: null },
    });
    const id = made.json["notification_id"] as string;
    expect(made.headers.location).toBe(`/api/notifications/${id}/`);
    await sent(made);
    const [mail] = mailsTo("ada@example.org");
    expect(mail).toMatchObject({ id: `<${id}@example.org>` });
    expect(mail?.text.replaceAll("\r\n", "\n").replaceAll("\n..", "\n.")).toBe("It has arrived.\n.\nReally.");
    expect(mail?.headers).toMatch(/^Auto-Submitted: auto-generated\r$/mu);
    expect(mail?.headers).toMatch(/^Date: \S+/mu);
    expect(mail?.headers).toMatch(/^From: Messenger <m@example\.org>\r$/mu);
    expect(mail?.headers).toMatch(/^Subject: =\?UTF-8\?/mu);
    const { json } = await call("GET", `/api/notifications/${id}`);
    expect(json).toMatchObject({ status: "sent", attempts: [{ outcome: "delivered", status: 250, error: null }] });
    const other = await register(deployment.urls[0] as string);
    expect(await call("GET", `/api/notifications/${id}`, undefined, {}, other)).toMatchObject({
      status: 404,
      json: { code: "no_such_notification" },
    });
  });

  it("go out by SMS and WhatsApp, to numbers in any form", async () => {
    const sms = await notify({ type: "sms", recipient: "030 / 1234 5678", content: "by SMS" });
    expect(sms).toMatchObject({ status: 202, json: { recipient: "+493012345678", provider: "twilio" } });
    const whatsApp = await notify({ type: "whatsapp", recipient: "+44 20 7946 0018", content: "by WhatsApp" });
    await sent(sms);
    await sent(whatsApp);
    const formWith = (text: string) => forms.find((form) => form.get("Body") === text);
    expect(formWith("by SMS")?.get("To")).toBe("+493012345678");
    expect(formWith("by WhatsApp")?.get("To")).toBe("whatsapp:+442079460018");
    expect((await call("GET", "/api/notifications?type=sms&status=sent")).json).toMatchObject({
      notifications: [{ notification_id: sms.json["notification_id"] }],
      next_cursor: null,
    });
  });

  it("say by WhatsApp what a template says, which needs no text", async () => {
    const template = { name: "HX0123", language: "de", variables: ["Ada", "42 €"] };
    const body = { type: "whatsapp", recipient: "+493012345678", template };
    expect(await notify(body)).toMatchObject({ status: 202 });
    const form = await waitFor(() => forms.find((one) => one.get("ContentSid") === "HX0123"), { what: "the template" });
    expect(JSON.parse(form.get("ContentVariables") ?? "")).toEqual({ 1: "Ada", 2: "42 €" });
    expect(form.has("Body")).toBe(false);
    const refused = [
      { ...body, content: "and a text" },
      { type: "whatsapp", recipient: "+493012345678" },
      { ...body, type: "sms" },
      { ...body, template: { name: "HX0123", language: "German" } },
    ];
    for (const one of refused) {
      expect(await notify(one)).toMatchObject({ status: 400, json: { code: "validation_error" } });
    }
  });

  it("are listed page by page, the newest first", async () => {
    const ids: string[] = [];
    for (let n = 0; n < 7; n += 1) {
      ids.unshift(
        String((await notify({ type: "email", recipient: `n${n}@example.org`, content: "…" })).json["notification_id"]),
      );
    }
    const found: string[] = [];
    for (let query = "?limit=3"; ;) {
      const { json } = await call("GET", `/api/notifications${query}`);
      found.push(...(json["notifications"] as { notification_id: string }[]).map(({ notification_id }) => notification_id));
      if (json["next_cursor"] === null) break;
      query = `?limit=3&cursor=${json["next_cursor"] as string}`;
    }
    expect(found).toEqual(ids);
  });

  it("are made once under an Idempotency-Key", async () => {
    const body = { type: "email", recipient: "once@example.org", content: "once" };
    const answers = await Promise.all(Array.from({ length: 8 }, () => notify(body, { "idempotency-key": "k1" })));
    expect(new Set(answers.map(({ json }) => json["notification_id"])).size).toBe(1);
    expect(await notify({ ...body, content: "twice" }, { "idempotency-key": "k1" })).toMatchObject({
      status: 422,
      json: { code: "idempotency_key_reused" },
    });
    await sent(answers[0] as Answer);
    expect(mailsTo("once@example.org")).toHaveLength(1);
  });

  it("are made once under an Idempotency-Key, whatever is asked for by it at the same time", async () => {
    const answers = await Promise.all(
      Array.from({ length: 12 }, (_, n) =>
        notify({ type: "email", recipient: `race${n}@example.org`, content: "…" }, { "idempotency-key": "k2" }),
      ),
    );
    expect(answers.map(({ status }) => status).toSorted((one, other) => one - other)).toEqual([
      202,
      ...Array.from({ length: 11 }, () => 422),
    ]);
  });

  it("are not what a log-in with such an address gets", async () => {
    await logIn(deployment.urls[0] as string, ada, "sms:+493099999999");
    const { json } = await call("GET", "/api/endpoints");
    const [{ endpoint_id: id }] = json["endpoints"] as [{ endpoint_id: number }];
    for (const what of ["test", "enable", "verify"]) {
      expect(await call("POST", `/api/endpoints/${id}/${what}`)).toMatchObject({
        status: 400,
        json: { code: "unusable_address" },
      });
    }
    await sendSurely(deployment.urls[0] as string, ada, ada, "by no SMS");
    const sms = await notify({ type: "sms", recipient: "+493012345678", content: "after it" });
    await sent(sms);
    expect(forms.filter((form) => form.get("To")?.endsWith("99999999"))).toEqual([]);
  });

  it("wait for their time", async () => {
    const at = Date.now() + 2_500;
    const made = await notify({
      type: "email",
      recipient: "later@example.org",
      content: "later",
      send_at: new Date(at).toISOString(),
    });
    expect(made).toMatchObject({ status: 202, json: { status: "queued", send_at: new Date(at).toISOString() } });
    expect(await statusOf(made)).toBe("queued");
    await sent(made);
    expect(Date.now()).toBeGreaterThanOrEqual(at);
    expect(mailsTo("later@example.org")).toHaveLength(1);
  });

  it("fail where the address is no more, and are refused for some days then", async () => {
    relay.refuse("gone@example.org");
    const made = await notify({ type: "email", recipient: "gone@example.org", content: "hello?" });
    await waitFor(async () => (await statusOf(made)) === "failed", { what: "the failure" });
    const { json } = await call("GET", `/api/notifications/${made.json["notification_id"] as string}`);
    // By its codes: the relay's own words may name somebody.
    expect(json["reason"]).toBe("SMTP 550 5.1.1");
    expect(json["attempts"]).toMatchObject([{ outcome: "gone", status: 550 }]);
    expect(await notify({ type: "email", recipient: "gone@example.org", content: "hello??" })).toMatchObject({
      status: 409,
      json: { code: "suppressed" },
    });
  });

  it("arrive, each once or with the same Message-ID again, where the relay dies in the middle and comes back", async () => {
    const recipients = Array.from({ length: 500 }, (_, n) => `crowd${n}@example.org`);
    const before = relay.mails.length;
    let asked = 0;
    const client = async (): Promise<void> => {
      while (asked < recipients.length) {
        const recipient = recipients[asked];
        asked += 1;
        expect(await notify({ type: "email", recipient, content: "to all" })).toMatchObject({ status: 202 });
      }
    };
    const clients = Promise.all(Array.from({ length: 4 }, client));
    await waitFor(() => relay.mails.length > before + 20, { what: "some" });
    await relay.stop();
    await clients;
    await relay.start();
    const byId = () => Map.groupBy(relay.mails.slice(before), ({ id }) => id);
    await waitFor(() => byId().size >= recipients.length, { what: "all mails", timeoutMs: 90_000 });
    for (const mails of byId().values()) expect(new Set(mails.map(({ to }) => to)).size).toBe(1);
    expect(new Set(relay.mails.slice(before).map(({ to }) => to))).toEqual(new Set(recipients));
  }, 120_000);

  describe("are what their provider reports, in any order and however often", () => {
    type Report = (id: string, status: string, code?: number, forge?: boolean) => Promise<Answer>;

    function postForm(path: string, form: Record<string, string>, signature: string): Promise<Answer> {
      const headers = { "content-type": "application/x-www-form-urlencoded", "x-twilio-signature": signature };
      return http(deployment.urls[0] + path, { body: new URLSearchParams(form).toString(), headers });
    }

    const byTwilio: Report = (id, status, code, forge = false) => {
      const path = `/api/callbacks/twilio?notification=${id}`;
      const form = { MessageStatus: status, MessageSid: "SM1", To: "+493012345678", ...(code && { ErrorCode: String(code) }) };
      const fields = Object.entries(form).toSorted(([one], [other]) => (one < other ? -1 : 1));
      const signed = `https://messenger.test${path}${fields.flat().join("")}`;
      const key = forge ? "another secret" : "secret";
      return postForm(path, form, createHmac("sha1", key).update(signed).digest("base64"));
    };

    const byMeta: Report = (id, status, code, forge = false) => {
      const one = { id: "wamid.1", status, biz_opaque_callback_data: id, ...(code && { errors: [{ code }] }) };
      const body = JSON.stringify({
        object: "whatsapp_business_account",
        entry: [{ changes: [{ value: { statuses: [null, one] } }] }],
      });
      const key = forge ? "another app's" : "the app's";
      const signature = `sha256=${createHmac("sha256", key).update(body).digest("hex")}`;
      return http(`${deployment.urls[0]}/api/callbacks/meta`, { body, headers: { "x-hub-signature-256": signature } });
    };

    describe.each([
      { provider: "Twilio", report: byTwilio, said: "Twilio 30003" },
      { provider: "Meta", report: byMeta, said: "Meta 30003" },
    ])("by $provider", ({ report, said }) => {
      it.each([
        [["sent", "delivered", "read"], "delivered"],
        [["delivered", "sent", "queued", "delivered"], "delivered"],
        [["delivered", "failed"], "delivered"],
        [["failed", "sent", "failed"], "failed"],
        [["failed", "delivered"], "failed"],
        [["sent", "nonsense"], "sent"],
      ] as const)("%j makes it %s", async (statuses, final) => {
        const made = await notify({ type: "sms", recipient: "+493012345678", content: "…" });
        await sent(made);
        const id = made.json["notification_id"] as string;
        for (const status of statuses)
          expect((await report(id, status, status === "failed" ? 30_003 : undefined)).status).toBe(204);
        const { json } = await call("GET", `/api/notifications/${id}`);
        expect(json).toMatchObject({ status: final, reason: final === "failed" ? said : null });
        expect(json["reported_at"] === null).toBe(final === "sent");
      });

      it("changes nothing where it is forged, or about what is not there", async () => {
        const made = await notify({ type: "sms", recipient: "+493012345678", content: "…" });
        await sent(made);
        const id = made.json["notification_id"] as string;
        expect(await report(id, "failed", 1, true)).toMatchObject({ status: 401, json: { code: "forged" } });
        expect(await statusOf(made)).toBe("sent");
        expect((await report("0197f3a2-6c1d-7b3e-9f00-2a4b6c8d0e1f", "delivered")).status).toBe(204);
      });
    });

    it("and nothing else is taken as a form", async () => {
      const headers = { "content-type": "application/x-www-form-urlencoded" };
      const answer = await http(`${deployment.urls[0]}/api/sessions/`, { body: "username=ada&password=x", headers });
      expect(answer).toMatchObject({ status: 415 });
      expect(
        await postForm("/api/callbacks/twilio?notification=x", { MessageSid: "1", MessageStatus: "sent" }, ""),
      ).toMatchObject({
        status: 400,
      });
    });
  });

  it.each([
    [{ type: "pigeon", recipient: "ada@example.org", content: "…" }, "/type"],
    [{ type: "email", content: "…" }, "properties recipient"],
    [{ type: "email", recipient: "ada@example.org" }, "give content, or a template"],
    [{ type: "email", recipient: "ada@@example.org", content: "…" }, "recipient is not"],
    [{ type: "email", recipient: "Ada <ada@example.org>", content: "…" }, "recipient is not"],
    [{ type: "email", recipient: "a@example.org, b@example.org", content: "…" }, "recipient is not"],
    [{ type: "email", recipient: "ada@example.org\r\nBcc: x@example.org", content: "…" }, "recipient is not"],
    [{ type: "sms", recipient: "ada@example.org", content: "…" }, "recipient is not"],
    [{ type: "sms", recipient: "+49", content: "…" }, "recipient is not"],
    [{ type: "sms", recipient: "+493012345678", content: "x".repeat(1_601) }, "at most 1600"],
    [{ type: "sms", recipient: "+493012345678", content: "…", subject: "s" }, "subject is for e-mail"],
    [{ type: "email", recipient: "ada@example.org", content: "…", subject: "a\nb" }, "single line"],
    [{ type: "email", recipient: "ada@example.org", content: "…", send_at: "tomorrow at noon" }, "send_at"],
    [{ type: "email", recipient: "ada@example.org", content: "…", send_at: "2099-01-01T00:00:00Z" }, "send_at"],
    [{ type: "email", recipient: "ada@example.org", content: "…", nonsense: 1 }, "nonsense"],
  ])("are refused where something is wrong: %o", async (body, said) => {
    const answer = await notify(body);
    expect(answer).toMatchObject({ status: 400, json: { code: "validation_error" } });
    expect(answer.text).toContain(said);
  });

  it("come by the door of another system, too", async () => {
    const answer = await call("POST", "/sendMessage", {
      type: "email",
      recipient: "door@example.org",
      content: "through the door",
    });
    expect(answer).toMatchObject({
      status: 200,
      json: { message: "Message sent successfully", type: "email", provider: "smtp" },
    });
    await waitFor(() => mailsTo("door@example.org").length === 1, { what: "the mail" });
    expect((await call("GET", "/api/notifications?limit=1")).json["notifications"]).toMatchObject([
      { notification_id: answer.json["id"], recipient: "door@example.org" },
    ]);
    for (const body of [
      { type: "fax", recipient: "+493012345678", content: "…" },
      { type: "email", content: "…" },
      { type: "email", recipient: "door@example.org" },
      { type: "email", recipient: "nobody", content: "…" },
      { type: "sms", recipient: "nobody", content: "…" },
    ]) {
      const refused = await call("POST", "/sendMessage", body);
      expect(refused, JSON.stringify(body)).toMatchObject({ status: 400, json: { detail: expect.any(String) } });
    }
    expect(await http(`${deployment.urls[0]}/sendMessage`, { body: {} })).toMatchObject({ status: 401 });
  });
});

describe("notifications", () => {
  it("are sent nowhere where nobody is set up to deliver them, and say so, embedded", async () => {
    const [{ deploy }] = deployments as [(typeof deployments)[number]];
    const deployment = await deploy();
    try {
      const [base] = deployment.urls as [string];
      const { token } = await register(base);
      const body = { type: "sms", recipient: "+493012345678", content: "…" };
      const made = await http(`${base}/api/notifications/`, { body, token });
      expect(made).toMatchObject({ status: 202, json: { provider: "log" } });
      const path = `${base}/api/notifications/${made.json["notification_id"] as string}`;
      await waitFor(async () => (await http(path, { token })).json["status"] === "sent", { what: "it to be sent" });
      expect((await http(path, { token })).json["provider"]).toBe("log");
    } finally {
      await deployment.close();
    }
  });

  it("are for administrators, and where somebody delivers them", async () => {
    const { url, database, close } = await deployListener({ notify: "admins" });
    try {
      const { id, token } = await register(url);
      const body = { type: "email", recipient: "ada@example.org", content: "…" };
      for (const call of [{ path: "", body }, { path: "" }, { path: "/0197f3a2-6c1d-7b3e-9f00-2a4b6c8d0e1f" }]) {
        const answer = await http(`${url}/api/notifications${call.path}`, { token, ...(call.body && { body: call.body }) });
        expect(answer).toMatchObject({ status: 403, json: { code: "forbidden" } });
      }
      await database.store.db.updateTable("users").set({ role: "admin" }).where("id", "=", id).execute();
      expect(await http(`${url}/api/notifications`, { token, body })).toMatchObject({
        status: 400,
        json: { code: "no_such_channel" },
      });
      expect(await http(`${url}/api/notifications`, { token })).toMatchObject({ status: 200, json: { notifications: [] } });
    } finally {
      await close();
    }
  });
});
