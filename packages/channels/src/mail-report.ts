import PostalMime from "postal-mime";
import { ADDRESS_GONE } from "./email.ts";

/** What a mail server says later of an e-mail that a relay took. */
export interface MailReport {
  /** The notification that the e-mail was. */
  notification: string;
  /** Not delivered for good, or taken for spam by who received it. */
  kind: "bounce" | "complaint";
  /** Such as `bounced 5.1.1`. */
  code: string;
  /** Nothing reaches this address, or is wanted there. */
  isGone: boolean;
}

/** Longer ones are not looked at: what is returned with a report may be as long as what was sent. */
export const MAX_REPORT_BYTES = 1024 * 1024;

const MESSAGE_ID = /^message-id:\s*<([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})@/imu;
const FAILED = /^action:\s*failed\s*$/imu;
const STATUS = /^status:\s*(\d\.\d{1,3}\.\d{1,3})/imu;
const FEEDBACK = /^feedback-type:\s*([a-z-]{1,40})\s*$/imu;
const RETURNED: ReadonlySet<string> = new Set(["message/rfc822", "text/rfc822-headers", "message/rfc822-headers"]);

/**
 * Reads an e-mail that may be a report of another one: of its delivery (RFC 3464), or that it is spam (RFC 5965). Undefined
 * where it is none, is not about an e-mail of ours, or tells of nothing that is final: a delay, say.
 */
export async function readMailReport(mail: Uint8Array): Promise<MailReport | undefined> {
  if (mail.length > MAX_REPORT_BYTES) return undefined;
  const { attachments } = await PostalMime.parse(mail, { forceRfc822Attachments: true, attachmentEncoding: "utf8" });
  const textOf = (isIt: (type: string) => boolean): string | undefined => {
    const content = attachments.find(({ mimeType }) => isIt(mimeType.toLowerCase()))?.content;
    return typeof content === "string" ? content : undefined;
  };
  const notification = MESSAGE_ID.exec(textOf((type) => RETURNED.has(type)) ?? "")?.[1]?.toLowerCase();
  if (notification === undefined) return undefined;

  const complaint = FEEDBACK.exec(textOf((type) => type === "message/feedback-report") ?? "")?.[1];
  if (complaint !== undefined) {
    if (complaint.toLowerCase() === "not-spam") return undefined;
    return { notification, kind: "complaint", code: `complaint: ${complaint.toLowerCase()}`, isGone: true };
  }
  // The first group of lines is about the report, each further one about a recipient (RFC 3464, 2.1): we name one.
  const status = textOf((type) => type === "message/delivery-status") ?? "";
  const [, ...recipients] = status.replaceAll("\r\n", "\n").split(/\n\s*\n/u);
  const failed = recipients.find((lines) => FAILED.test(lines));
  const code = STATUS.exec(failed ?? "")?.[1];
  if (code === undefined) return undefined;
  return { notification, kind: "bounce", code: `bounced ${code}`, isGone: ADDRESS_GONE.test(code) };
}
