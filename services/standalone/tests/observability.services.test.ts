import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import {
  http,
  logIn,
  type Arrival,
  type Person,
  printed,
  register,
  type ScriptedReceiver,
  send,
  type ServiceProcess,
  startScriptedReceiver,
  waitFor,
} from "@messenger/testkit";
import { afterEach, beforeEach, describe, expect, inject, it } from "vitest";
import { type Cluster, openCluster } from "./cluster.ts";

const TRACE = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER = "00f067aa0ba902b7";
const TRACEPARENT = `00-${TRACE}-${CALLER}-01`;

interface ReceivedSpan {
  traceId: string;
  spanId: string;
  parentSpanId?: string;
  name: string;
}

/** A collector of OpenTelemetry's, as far as one is needed: takes spans in JSON. */
async function startCollector(): Promise<{ url: string; spans: readonly ReceivedSpan[]; server: Server }> {
  const spans: ReceivedSpan[] = [];
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      const sent = JSON.parse(Buffer.concat(chunks).toString()) as {
        resourceSpans: { scopeSpans: { spans: ReceivedSpan[] }[] }[];
      };
      for (const { scopeSpans } of sent.resourceSpans) for (const scope of scopeSpans) spans.push(...scope.spans);
      response.writeHead(request.url === "/v1/traces" ? 200 : 404, { "content-type": "application/json" }).end("{}");
    });
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, spans, server };
}

/** The lines that a process logged with this message. */
function lines(process: ServiceProcess, msg: string): Record<string, unknown>[] {
  return process.output
    .split("\n")
    .filter((line) => line.startsWith("{"))
    .map((line) => JSON.parse(line) as Record<string, unknown>)
    .filter((line) => line["msg"] === msg);
}

async function metricsOf(process: ServiceProcess): Promise<string> {
  return (await http(`http://127.0.0.1:${await printed(process, /"metricsPort":(\d+)/u)}/metrics`)).text;
}

/** A message from ada to herself, sent as part of a trace, once it has arrived. */
interface Sent {
  id: string;
  requestId: string;
  push: Arrival;
}

/** Sends a message, and waits for its push. */
async function sendAndArrive(base: string, ada: Person, receiver: ScriptedReceiver): Promise<Sent> {
  const answer = await send(base, ada, ada, "hello", { traceparent: TRACEPARENT });
  expect(answer.status).toBe(200);
  const id = answer.json["message_id"] as string;
  const push = await waitFor(() => receiver.arrivals.find((arrival) => arrival.id === id), { what: "the push" });
  return { id, requestId: answer.headers["x-request-id"] as string, push };
}

/** Sends until a push is part of the trace: one that is read from the log, as on a busy machine, is part of none. */
async function sendTraced(base: string, ada: Person, receiver: ScriptedReceiver): Promise<Sent> {
  for (let tries = 1; ; tries += 1) {
    const sent = await sendAndArrive(base, ada, receiver);
    if (String(sent.push.headers["traceparent"]).includes(TRACE)) return sent;
    expect(tries, "pushes outside of the trace").toBeLessThan(10);
  }
}

describe("what an operator sees", () => {
  let cluster: Cluster;
  let receiver: ScriptedReceiver;
  const closing: (() => unknown)[] = [];

  beforeEach(async () => {
    receiver = await startScriptedReceiver();
    closing.push(() => receiver.close());
  });
  afterEach(async () => {
    for (let close = closing.pop(); close !== undefined; close = closing.pop()) await close();
  });

  async function start(
    settings: Record<string, string> = {},
  ): Promise<{ listener: ServiceProcess; sender: ServiceProcess; ada: Person }> {
    cluster = await openCluster(inject("amqpUrl"), settings);
    closing.push(() => cluster.close());
    const [listener, sender] = [await cluster.startListener(), await cluster.startSender()];
    const base = cluster.urls()[0] as string;
    const ada = await register(base);
    ada.token = (await logIn(base, ada, `${receiver.url}/ada`)).token;
    return { listener, sender, ada };
  }

  it("is one line for each request and one for each attempt, which name the message and the caller's trace, and no content", async () => {
    const { listener, sender, ada } = await start();
    const { id, requestId, push } = await sendTraced(cluster.urls()[0] as string, ada, receiver);
    const attempt = await waitFor(() => lines(sender, "attempt").find(({ message }) => message === id), {
      what: "the attempt's line",
    });
    const request = await waitFor(() => lines(listener, "request").find((line) => line["requestId"] === requestId), {
      what: "the request's line",
    });
    expect(request).toMatchObject({
      method: "POST",
      path: "/api/messages/",
      status: 200,
      user: ada.id,
      message: id,
      trace: TRACE,
    });
    expect(attempt).toMatchObject({ seq: push.seq, attempt: 1, outcome: "delivered", status: 204, trace: TRACE });
    expect(lines(sender, "attempt")).toHaveLength(receiver.arrivals.length);
    expect(push.headers["traceparent"]).toBe(TRACEPARENT);
    expect(listener.output + sender.output).not.toMatch(/hello|Bearer|whsec_/u);
  });

  it("is a span for the request and one for the push below it, where there is a collector, and the push names its own", async () => {
    const collector = await startCollector();
    closing.push(() => collector.server.close());
    const { ada } = await start({ OTEL_EXPORTER_OTLP_ENDPOINT: collector.url });
    const { push } = await sendTraced(cluster.urls()[0] as string, ada, receiver);
    const find = (name: string, spanId: string | undefined) =>
      collector.spans.find((span) => span.name === name && span.traceId === TRACE && span.spanId === spanId);
    const pushed = await waitFor(() => find("push webhook", String(push.headers["traceparent"]).slice(36, 52)), {
      what: "the push's span",
    });
    const posted = await waitFor(() => find("POST /api/messages", pushed.parentSpanId), { what: "the request's span" });
    expect(posted.parentSpanId).toBe(CALLER);
  });

  it("is nobody's loss when the collector is away", async () => {
    const { listener, sender, ada } = await start({ OTEL_EXPORTER_OTLP_ENDPOINT: "http://127.0.0.1:9" });
    await sendAndArrive(cluster.urls()[0] as string, ada, receiver);
    await Promise.all([cluster.end(listener, "SIGTERM"), cluster.end(sender, "SIGTERM")]);
    expect(await Promise.all([listener.exited, sender.exited])).toEqual([0, 0]);
  });

  it("is what was accepted, refused, published, pushed and refused for good, in metrics", async () => {
    const { listener, sender, ada } = await start();
    const base = cluster.urls()[0] as string;
    const refused = await startScriptedReceiver();
    closing.push(() => refused.close());
    refused.behave({ status: 410 });
    await sendAndArrive(base, ada, receiver);
    expect((await send(base, ada, { id: 999_999 })).status).toBe(400);
    await logIn(base, ada, `${refused.url}/gone`);
    await send(base, ada, ada, "to both");
    await waitFor(async () => (await metricsOf(sender)).includes("messenger_endpoints_switched_off_total 1"), {
      what: "the endpoint to go off",
    });

    const [of, pushed] = [await metricsOf(listener), await metricsOf(sender)];
    for (const line of [
      'messenger_accepted_total{status="accepted"} 2',
      'messenger_rejected_total{code="unknown_receiver"} 1',
      'messenger_published_total{confirmed="true"}',
      "messenger_publish_confirm_seconds_count",
      'messenger_request_seconds_count{status="4xx"} 1',
      "messenger_broker_connected 1",
      "messenger_broker_blocked 0",
      'messenger_database_connections{state="waiting"} 0',
    ]) {
      expect(of).toContain(line);
    }
    for (const line of [
      'messenger_pushes_total{channel="webhook",outcome="delivered"} 2',
      'messenger_pushes_total{channel="webhook",outcome="gone"} 1',
      "messenger_delivery_seconds_count 2",
      "messenger_outbox_rows",
      "messenger_endpoints_overdue_seconds 0",
      "messenger_broker_connected 1",
    ]) {
      expect(pushed).toContain(line);
    }
  });

  it("is documented, and what alerts and dashboards look at is there", async () => {
    const { listener, sender } = await start();
    const ours = new Set(
      [await metricsOf(listener), await metricsOf(sender)].flatMap((text) =>
        [...text.matchAll(/^# TYPE (messenger_\w+) /gmu)].map((match) => match[1] as string),
      ),
    );
    expect(ours.size).toBeGreaterThan(20);
    const named = async (path: string): Promise<Set<string>> => {
      const text = await readFile(new URL(`../../../${path}`, import.meta.url), "utf8");
      return new Set([...text.matchAll(/\bmessenger_\w+/gu)].map(([name]) => name.replace(/_(?:bucket|count|sum)$/u, "")));
    };
    for (const path of ["alerts.yaml", "alerts.test.yaml"].map((name) => `infra/prometheus/${name}`)) {
      expect([...(await named(path))].filter((name) => !ours.has(name))).toEqual([]);
    }
    for (const path of ["service.json", "delivery.json"].map((name) => `infra/grafana/dashboards/${name}`)) {
      const used = await named(path);
      expect(used.size).toBeGreaterThan(5);
      expect([...used].filter((name) => !ours.has(name))).toEqual([]);
    }
    const documented = await named("docs/operations.md");
    expect([...ours].filter((name) => !documented.has(name))).toEqual([]);
    expect([...documented].filter((name) => !ours.has(name))).toEqual([]);
  });
});
