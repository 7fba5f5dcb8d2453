import type { Channel } from "./channel.ts";
import { readEmailAddress, readPhoneNumber, recipientOf } from "./recipients.ts";

/** Takes whatever it gets, and sends it nowhere: so that the API can be tried without a provider. */
export function createLogChannel(name: "email" | "sms" | "whatsapp", onPush: (id: string) => void): Channel {
  const scheme = name === "email" ? "mailto:" : `${name}:`;
  const read = name === "email" ? readEmailAddress : readPhoneNumber;
  const vet = (address: string): string | undefined =>
    read(recipientOf(address, scheme) ?? "") === undefined ? "this is no e-mail address or phone number" : undefined;
  return {
    name,
    vet,
    laneKey: () => scheme,
    prepare: ({ address }) => ({ address }),
    push({ target, event }) {
      const refusal = vet(target.address);
      if (refusal !== undefined) return Promise.resolve({ result: "blocked", code: "BLOCKED", detail: refusal });
      onPush(event.id);
      return Promise.resolve({ result: "delivered" });
    },
    close: () => Promise.resolve(),
  };
}
