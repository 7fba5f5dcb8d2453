import { readEmailAddress } from "@messenger/channels";
import type { ApiSettings } from "../context.ts";
import { Refused } from "../refused.ts";

/**
 * Whether somebody may make an account, with this e-mail address or none, and an invitation or none: whether that is a
 * good one is seen later. @throws {Refused} registration_closed
 */
export function checkMayRegister(
  { registration, emailDomains }: Pick<ApiSettings, "registration" | "emailDomains">,
  { email, invitation }: { email?: string | undefined; invitation?: string | undefined },
): void {
  if (registration === "closed") {
    throw new Refused("registration_closed", "accounts are made by whoever runs this Messenger: ask there");
  }
  if (registration === "invited" && invitation === undefined) {
    throw new Refused(
      "registration_closed",
      "registration needs an invitation: ask the operator, and send it in the field invitation of POST /api/users/",
    );
  }
  if (emailDomains.length === 0) return;
  const domain = readEmailAddress(email ?? "")
    ?.split("@")
    .at(-1);
  if (domain === undefined || !emailDomains.some((allowed) => allowed.toLowerCase() === domain)) {
    throw new Refused("registration_closed", `an account needs an e-mail address of ${emailDomains.join(" or ")}`);
  }
}
