import { testNamespace } from "@messenger/testkit";
import { type ChannelModel, connect } from "amqplib";
import { afterEach, describe, expect, inject, it } from "vitest";
import { takeSeat } from "./seats.ts";
import { namesIn } from "./topology.ts";

describe("seats at RabbitMQ", () => {
  const connections: ChannelModel[] = [];
  afterEach(async () => {
    for (const connection of connections.splice(0)) await connection.close();
  });

  async function open(): Promise<ChannelModel> {
    const connection = await connect(inject("amqpUrl"));
    connections.push(connection);
    return connection;
  }

  it("go to each connection from the lowest on, are free again when it closes, and end at sixty-four", async () => {
    const names = namesIn(testNamespace());
    const [first, second, third] = [await open(), await open(), await open()];
    expect(await takeSeat(first, names)).toBe(0);
    expect(await takeSeat(second, names)).toBe(1);
    expect(await takeSeat(third, names)).toBe(2);

    await connections.splice(connections.indexOf(second), 1)[0]?.close();
    expect(await takeSeat(await open(), names)).toBe(1);

    const channel = await first.createChannel();
    for (let seat = 3; seat < 64; seat += 1) await channel.assertQueue(names.seat(seat), { exclusive: true });
    expect(await takeSeat(await open(), names)).toBeUndefined();
  });

  it("are told apart when several connections ask at once", async () => {
    const names = namesIn(testNamespace());
    const four = await Promise.all([open(), open(), open(), open()]);
    const seats = await Promise.all(four.map((connection) => takeSeat(connection, names)));
    expect(new Set(seats)).toEqual(new Set([0, 1, 2, 3]));
  });
});
