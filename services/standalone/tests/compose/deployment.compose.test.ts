import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { globalAgent } from "node:https";
import { connect } from "node:tls";
import { http, logIn, type Person, register, sendSurely, waitFor } from "@messenger/testkit";
import { Webhook } from "standardwebhooks";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { figure, msSince } from "../figure.ts";
import { Arrivals, compose, containersOf, deploy, docker, EDGE, hasEngine, tearDown } from "./deployment.ts";

const SERVICES = ["nginx", "listener", "sender", "postgres", "rabbitmq"];
const IMAGE_MAX_BYTES = 80e6;

describe.skipIf(!(await hasEngine()))("the compose deployment", () => {
  const arrivals = new Arrivals();
  let ada: Person;

  beforeAll(() => deploy(), 900_000);
  afterAll(() => tearDown(), 300_000);

  it("takes users, a log-in and messages over HTTPS, and pushes them in order, signed", async () => {
    ada = await register(EDGE);
    const { webhookSecret, token } = await logIn(EDGE, ada, "http://receiver:9000/ada");
    ada.token = token;
    const ids: string[] = [];
    for (let n = 0; n < 10; n += 1) ids.push(await sendSurely(EDGE, ada, ada, `message ${n}`));
    await arrivals.include(ids);
    expect(arrivals.all.map(({ id }) => id)).toEqual(ids);
    const webhook = new Webhook(webhookSecret);
    for (const { rawBody, headers } of arrivals.all) webhook.verify(rawBody, headers as Record<string, string>);
  });

  it("names a request the same at nginx, at the listener and in the answer", async () => {
    const answer = await http(`${EDGE}/api/nowhere/`);
    const id = answer.headers["x-request-id"] as string;
    expect(answer.json["request_id"]).toBe(id);
    for (const service of ["nginx", "listener"]) {
      await waitFor(
        async () => (await compose("logs", "--no-log-prefix", "--tail", "200", service)).includes(`"requestId":"${id}"`),
        {
          what: `the line of ${service}`,
        },
      );
    }
  });

  it("speaks HTTP/2 and TLS 1.3, and nothing older than TLS 1.2", async () => {
    const { ca } = globalAgent.options;
    const socket = connect({ host: "localhost", port: Number(new URL(EDGE).port), ca, ALPNProtocols: ["h2", "http/1.1"] });
    await once(socket, "secureConnect");
    expect([socket.alpnProtocol, socket.getProtocol()]).toEqual(["h2", "TLSv1.3"]);
    socket.destroy();
    const old = connect({ host: "localhost", port: Number(new URL(EDGE).port), ca, maxVersion: "TLSv1.1", minVersion: "TLSv1" });
    await expect(once(old, "secureConnect")).rejects.toThrow();
  });

  it("sends what protects a browser with every answer, its own refusals included, which are problem details", async () => {
    const large = await http(`${EDGE}/api/messages/`, { body: "x".repeat(500_000), token: ada.token });
    expect([large.status, large.json["code"]]).toEqual([413, "too_large"]);
    const malformed = await http(`${EDGE}/api/health/`, { headers: { "content-length": "12 monkeys" } });
    expect([malformed.status, malformed.json["code"]]).toEqual([400, "bad_request"]);
    for (const { headers } of [large, malformed, await http(`${EDGE}/api/health/`), await http(`${EDGE}/api/nowhere`)]) {
      expect(headers["strict-transport-security"]).toMatch(/max-age=\d{8}/u);
      expect(headers["x-content-type-options"]).toBe("nosniff");
      expect(headers["content-security-policy"]).toContain("default-src 'none'");
    }
    const pages = await http(`${EDGE}/api/docs/`);
    expect(pages.headers["content-security-policy"]).toContain("default-src 'self'");
  });

  it("keeps its data when it is taken down and brought up again", async () => {
    const before = arrivals.all.at(-1)?.seq as number;
    await compose("down");
    const startedAt = performance.now();
    await compose("up", "--detach", "--wait");
    figure("up again", msSince(startedAt));
    arrivals.forget(); // the receiver is another one, too
    const id = await sendSurely(EDGE, ada, ada, "after");
    await arrivals.include([id]);
    expect(arrivals.all.find((arrival) => arrival.id === id)?.seq).toBeGreaterThan(before);
  });

  it("runs nothing as root, and shows no secret to those who may look at containers", async () => {
    const words: string[] = [];
    for (const name of ["secret", "database_url", "amqp_url"]) {
      const text = await compose("exec", "-T", "listener", "cat", `/secrets/messenger/${name}`);
      words.push(/:([^:@]+)@/u.exec(text)?.[1] ?? text.trim());
    }
    for (const word of words) expect(word.length).toBeGreaterThanOrEqual(32);
    for (const service of SERVICES) {
      for (const container of await containersOf(service)) {
        const owners = (await docker("top", container, "-eo", "uid,pid,args")).trim().split("\n").slice(1);
        expect(owners.length).toBeGreaterThan(0);
        expect(owners.filter((line) => line.trim().startsWith("0 "))).toEqual([]);
        const environment = await docker("exec", container, "sh", "-c", "cat /proc/[0-9]*/environ 2>/dev/null | tr '\\0' '\\n'");
        expect(environment).toContain("PATH=");
        const shown = (await docker("inspect", container)) + environment;
        expect(words.filter((word) => shown.includes(word))).toEqual([]);
      }
    }
  });

  it("writes to nothing but its volumes and to memory, with no capability", async () => {
    for (const service of SERVICES) {
      for (const container of await containersOf(service)) {
        const [readOnly, capabilities] = JSON.parse(
          await docker("inspect", "--format", "[{{.HostConfig.ReadonlyRootfs}}, {{json .HostConfig.CapDrop}}]", container),
        ) as [boolean, string[]];
        expect([service, readOnly, capabilities]).toEqual([service, true, ["ALL"]]);
        const effective = await docker("exec", container, "sh", "-c", "grep CapEff /proc/1/status");
        expect(effective).toMatch(/CapEff:\s+0+$/mu);
      }
    }
  });

  it("opens one port only, which speaks HTTPS only", async () => {
    const filter = "label=com.docker.compose.project=messenger-test";
    const format = '{{.Label "com.docker.compose.service"}} {{.Ports}}';
    const lines = (await docker("ps", "--all", "--filter", filter, "--format", format)).trim().split("\n");
    expect(lines.length).toBeGreaterThan(SERVICES.length);
    const open = lines.flatMap((line) => {
      const [service, ...ports] = line.split(/,? /u);
      return ports.filter((port) => port.includes("->")).map((port) => `${service} ${port}`);
    });
    const ours = open.filter((one) => !one.startsWith("receiver ")); // which is the test's own
    expect(ours.length).toBeGreaterThan(0);
    for (const one of ours)
      expect(one).toMatch(new RegExp(`^nginx (?:0\\.0\\.0\\.0|\\[::\\]):${new URL(EDGE).port}->5000/tcp$`, "u"));
    const plain = await http(`${EDGE.replace("https:", "http:")}/api/health/`);
    expect(plain.status).toBe(400);
    expect(plain.json["code"]).toBe("not_https");
  });

  it("gives listeners, PostgreSQL and RabbitMQ no way out, and the world and senders no way in but nginx", async () => {
    const reach = (service: string, host: string, port: number): Promise<string> =>
      compose("exec", "-T", service, "bash", "-c", `timeout 2 bash -c ': < /dev/tcp/${host}/${port}'`);
    /** By all its addresses: a name could merely not be known. */
    const addressesOf = async (service: string): Promise<string[]> => {
      const [container] = await containersOf(service);
      const format = "{{range .NetworkSettings.Networks}}{{.IPAddress}} {{end}}";
      return (await docker("inspect", "--format", format, container as string)).trim().split(" ");
    };
    const expectNoWay = async (from: string, to: string, port: number): Promise<void> => {
      const tries = (await addressesOf(to)).map((address) => reach(from, address, port));
      const reached = (await Promise.allSettled(tries)).some(({ status }) => status === "fulfilled");
      expect([from, to, reached]).toEqual([from, to, false]);
    };
    await reach("sender", "receiver", 9000);
    await reach("listener", "postgres", 5432);
    await reach("sender", "rabbitmq", 5672);
    for (const service of ["listener", "postgres", "rabbitmq"]) await expectNoWay(service, "receiver", 9000);
    for (const service of ["nginx", "receiver", "client"]) {
      await expectNoWay(service, "postgres", 5432);
      await expectNoWay(service, "rabbitmq", 5672);
    }
    for (const service of ["sender", "receiver", "client"]) await expectNoWay(service, "listener", 5000);
  });

  it("logs no query and no referrer at the edge", async () => {
    const headers = { referer: "https://elsewhere.example/?token=abc-referrer" };
    const answer = await http(`${EDGE}/api/users/?username=abc-query`, { token: ada.token, headers });
    await http(`${EDGE}/api/messages/?a=abc-query`, { body: "x".repeat(500_000), headers });
    const id = answer.headers["x-request-id"] as string;
    const logs = await waitFor(
      async () => {
        const text = await compose("logs", "--no-log-prefix", "nginx");
        return text.includes(id) ? text : undefined;
      },
      { what: "the request's line" },
    );
    expect(logs).not.toMatch(/abc-query|abc-referrer/u);
  });

  it("adds at most 80 MB to the image that it is made from", async () => {
    const size = async (image: string): Promise<number> =>
      Number(await docker("image", "inspect", "--format", "{{.Size}}", image));
    const added = (await size("messenger:0.1.0")) - (await size("node:24-slim"));
    figure("the image adds", `${(added / 1e6).toFixed(1)} MB`);
    expect(added).toBeLessThan(IMAGE_MAX_BYTES);
  });

  it("is watched by Prometheus, which finds every process and understands every alert and every panel", async () => {
    await compose("--profile", "observability", "up", "--detach", "--wait", "prometheus");
    const ask = async (path: string): Promise<Record<string, unknown>> =>
      (await http(`http://127.0.0.1:9090/api/v1/${path}`)).json;
    const healthy = async (): Promise<boolean> => {
      const { activeTargets } = (await ask("targets"))["data"] as {
        activeTargets: { labels: { job: string }; health: string }[];
      };
      const up = activeTargets.filter(({ health }) => health === "up").map(({ labels }) => labels.job);
      return up.sort().join() === "listener,listener,rabbitmq,sender,sender";
    };
    await waitFor(healthy, { what: "Prometheus to read all processes", timeoutMs: 60_000 });
    const { groups } = (await ask("rules"))["data"] as { groups: { rules: { health: string }[] }[] };
    expect(groups.flatMap(({ rules }) => rules).length).toBeGreaterThan(10);

    for (const name of ["service", "delivery"]) {
      const text = await readFile(new URL(`../../../../infra/grafana/dashboards/${name}.json`, import.meta.url), "utf8");
      const { panels } = JSON.parse(text) as { panels: { targets?: { expr: string }[] }[] };
      const expressions = panels.flatMap(({ targets }) => targets ?? []).map(({ expr }) => expr);
      expect(expressions.length).toBeGreaterThan(10);
      for (const expression of expressions) {
        const query = encodeURIComponent(expression.replaceAll("$__rate_interval", "1m"));
        expect([expression, (await ask(`query?query=${query}`))["status"]]).toEqual([expression, "success"]);
      }
    }
  });
});
