import { readContent, storedContent } from "@messenger/core";
import { describe, expect, it } from "vitest";
import { composeBody } from "./webhook-body.ts";

const event = {
  inbox: 1,
  seq: 7,
  version: 0,
  id: "018f",
  kind: "message.created",
  messageId: "018f",
  conversation: 3,
  createdAt: "2026-01-02T03:04:05.678Z",
};
const own = { type: "message.created", id: "018f", seq: 7, timestamp: "2026-01-02T03:04:05.678Z", conversation_id: 3 };
const content = { message: 'ü"\\', sender_id: 1, sender_username: "a", receiver_id: 2, send_date: "2026-01-02" };

describe("the body of a push", () => {
  const parsed = (...given: Parameters<typeof composeBody>): unknown => JSON.parse(composeBody(...given).toString());

  it("is the content with the event's fields behind it", () => {
    expect(parsed({ event, content: storedContent(content), receiver: 2 })).toEqual({ ...content, ...own });
  });

  it("says who receives a message to a group, of which one content is stored for all", () => {
    const { receiver_id: _, ...toGroup } = content;
    const stored = storedContent(toGroup);
    expect(readContent(stored)).toEqual(toGroup);
    const pushed = parsed({ event, content: stored, receiver: 9 });
    expect(pushed).toEqual({ ...toGroup, receiver_id: 9, ...own });
    expect(pushed).not.toHaveProperty("v");
  });

  it("has the data of other kinds, and the version that an edit made", () => {
    const edit = { ...event, id: "0190", kind: "message.edited", messageVersion: 2 };
    expect(parsed({ event: edit, content: storedContent(content), receiver: 2 })).toEqual({
      ...content,
      ...own,
      type: "message.edited",
      id: "0190",
      message_id: "018f",
      version: 2,
    });
    const read = { ...event, id: "0191", kind: "receipt.read" };
    expect(parsed({ event: read, content: new Uint8Array(), data: { user_id: 5 }, receiver: 2 })).toEqual({
      ...own,
      type: "receipt.read",
      id: "0191",
      message_id: "018f",
      user_id: 5,
    });
  });

  it("says nothing of what was written where that is wished", () => {
    expect(parsed({ event, content: storedContent(content), receiver: 2 }, true)).toEqual({ ...own, message_id: "018f" });
  });
});
