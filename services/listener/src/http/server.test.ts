import { once } from "node:events";
import { type AddressInfo, connect } from "node:net";
import { expect, it } from "vitest";
import { createBoundedServer } from "./server.ts";

it("ends a connection with too many unanswered requests, and makes no stack traces for them", async () => {
  const { stackTraceLimit } = Error;
  const errors: Error[] = [];
  const server = createBoundedServer((request) => request.on("error", (error) => errors.push(error)), { maxConnections: 100 });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const socket = connect((server.address() as AddressInfo).port, "127.0.0.1");
  socket.on("error", () => undefined); // it is reset
  const closed = new Promise((resolve) => socket.once("close", resolve));
  socket.write("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(1_000));
  await closed;

  expect(errors).toHaveLength(50);
  expect(errors.filter(({ stack }) => stack?.includes("\n    at "))).toEqual([]);
  expect(Error.stackTraceLimit).toBe(stackTraceLimit);
  server.close();
});
