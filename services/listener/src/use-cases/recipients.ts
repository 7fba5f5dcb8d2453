import { readEmailAddress, readPhoneNumber } from "@messenger/channels";
import { Refused } from "../refused.ts";

/** A recipient as it is sent to; numbers without a country's code are of the region. @throws {Refused} validation_error */
export function readRecipient(type: "email" | "sms" | "whatsapp", text: string, region: string | undefined): string {
  const read = type === "email" ? readEmailAddress(text) : readPhoneNumber(text, region);
  if (read !== undefined) return read;
  const wanted = type === "email" ? "an e-mail address" : "a phone number, such as +49 30 12345678";
  throw new Refused("validation_error", `recipient is not ${wanted}`);
}
