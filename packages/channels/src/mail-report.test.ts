import { describe, expect, it } from "vitest";
import { MAX_REPORT_BYTES, readMailReport } from "./mail-report.ts";

const ID = "0197f3a2-6c1d-7b3e-9f00-2a4b6c8d0e1f";
const ORIGINAL = [
  "From: Messenger <m@example.org>",
  "To: ada@example.net",
  "Subject: Status: 5.1.1",
  `Message-ID: <${ID}@example.org>`,
];

/** A report as RFC 6522 frames it: a text, what it says for machines, and what is returned. */
function report(type: string, said: readonly string[], returned = ORIGINAL, returnedType = "message/rfc822"): Buffer {
  const lines = [
    "From: MAILER-DAEMON@example.net",
    "To: m@example.org",
    "Subject: Undelivered Mail Returned to Sender",
    "MIME-Version: 1.0",
    `Content-Type: multipart/report; report-type=${type}; boundary="b"`,
    "",
    "--b",
    "Content-Type: text/plain",
    "",
    "Action: failed\nStatus: 5.0.0 (this is for people, and says nothing)",
    "",
    "--b",
    `Content-Type: message/${type}`,
    "",
    ...said,
    "",
    "--b",
    `Content-Type: ${returnedType}`,
    "",
    ...returned,
    "",
    "Hello!",
    "--b--",
    "",
  ];
  return Buffer.from(lines.join("\r\n"));
}
const delivery = (recipient: readonly string[]): string[] => ["Reporting-MTA: dns; mx.example.net", "", ...recipient];

describe("a report by e-mail", () => {
  it("says that an e-mail came back for good", async () => {
    const postfix = delivery([
      "Final-Recipient: rfc822; ada@example.net",
      "Action: failed",
      "Status: 5.1.1",
      "Diagnostic-Code: smtp; 550 5.1.1 <ada@example.net>: no such user",
    ]);
    const expected = { notification: ID, kind: "bounce", code: "bounced 5.1.1", isGone: true };
    expect(await readMailReport(report("delivery-status", postfix))).toEqual(expected);
    // Other spellings (Exchange, Exim), and headers alone.
    const other = delivery(["final-recipient: RFC822; ada@example.net", "action: Failed", "status: 5.1.10"]);
    expect(await readMailReport(report("delivery-status", other, ORIGINAL, "text/rfc822-headers"))).toEqual({
      ...expected,
      code: "bounced 5.1.10",
    });
  });

  it("does not take an address from service whose mailbox is full, or where a policy is in the way", async () => {
    for (const status of ["5.2.2", "5.7.1", "5.4.4"]) {
      const said = delivery(["Final-Recipient: rfc822; ada@example.net", "Action: failed", `Status: ${status}`]);
      expect(await readMailReport(report("delivery-status", said))).toMatchObject({ code: `bounced ${status}`, isGone: false });
    }
  });

  it("says nothing of what is not final", async () => {
    for (const action of ["delayed", "delivered", "relayed", "expanded"]) {
      const said = delivery(["Final-Recipient: rfc822; ada@example.net", `Action: ${action}`, "Status: 4.4.1"]);
      expect(await readMailReport(report("delivery-status", said))).toBeUndefined();
    }
  });

  it("says that somebody took it for spam", async () => {
    const said = ["Feedback-Type: abuse", "User-Agent: SomeGenerator/1.0", "Version: 1"];
    expect(await readMailReport(report("feedback-report", said))).toEqual({
      notification: ID,
      kind: "complaint",
      code: "complaint: abuse",
      isGone: true,
    });
    expect(await readMailReport(report("feedback-report", ["Feedback-Type: not-spam", "Version: 1"]))).toBeUndefined();
  });

  it("is nothing else that somebody sends", async () => {
    const said = delivery(["Final-Recipient: rfc822; ada@example.net", "Action: failed", "Status: 5.1.1"]);
    const others = [
      Buffer.alloc(0),
      Buffer.from("Subject: hello\r\n\r\nAction: failed\r\nStatus: 5.1.1\r\n"),
      Buffer.from([0, 255, 13, 10, 200]),
      report("delivery-status", said, ["Subject: not ours", "Message-ID: <something@example.com>"]),
      report("delivery-status", said, ["Subject: none"]),
      Buffer.concat([report("delivery-status", said), Buffer.alloc(MAX_REPORT_BYTES)]),
    ];
    for (const mail of others) expect(await readMailReport(mail)).toBeUndefined();
  });
});
