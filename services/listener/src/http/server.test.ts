import { once } from "node:events";
import { type AddressInfo, connect } from "node:net";
import { expect, it } from "vitest";
import { createBoundedServer } from "./server.ts";

it("ends a connection with too many unanswered requests, and makes no stack traces for them", async () => {
  const { stackTraceLimit } = Error;
  const errors: Error[] = [];
  let begun = 0;
  const server = createBoundedServer(() => void (begun += 1), { maxConnections: 100 });
  server.prependListener("request", (request) => request.on("error", (error) => errors.push(error)));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const socket = connect((server.address() as AddressInfo).port, "127.0.0.1");
  socket.on("error", () => undefined); // it is reset
  const closed = new Promise((resolve) => socket.once("close", resolve));
  socket.write("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(1_000));
  await closed;

  expect(begun).toBe(1);
  expect(errors.length).toBeGreaterThan(50);
  expect(errors.filter(({ stack }) => stack?.includes("\n    at "))).toEqual([]);
  expect(Error.stackTraceLimit).toBe(stackTraceLimit);
  server.close();
});

it("answers the requests of a connection one after the other, in order", async () => {
  let underway = 0;
  const most: number[] = [];
  const server = createBoundedServer(
    (request, response) => {
      underway += 1;
      most.push(underway);
      // The later one is asked, the sooner it would be answered.
      setTimeout(
        () => {
          underway -= 1;
          response.end(request.url);
        },
        10 - Number(request.url?.slice(1)),
      );
    },
    { maxConnections: 100 },
  );
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const socket = connect((server.address() as AddressInfo).port, "127.0.0.1");
  let answers = "";
  socket.setEncoding("utf8").on("data", (data: string) => (answers += data));
  for (let n = 0; n < 9; n += 1) socket.write(`GET /${n} HTTP/1.1\r\nHost: localhost\r\n\r\n`);
  socket.write("GET /9 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
  await once(socket, "close");

  expect(most).toEqual(Array.from({ length: 10 }, () => 1));
  expect(Array.from(answers.matchAll(/\r\n\r\n\/(\d)/gu), ([, digit]) => Number(digit))).toEqual(
    Array.from({ length: 10 }, (_, n) => n),
  );
  server.close();
});
