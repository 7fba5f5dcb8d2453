import type { IncomingMessage, ServerResponse } from "node:http";
import { systemClock } from "@messenger/core";
import { createAddressGuard } from "../address-guard.ts";
import type { Channel } from "../channel.ts";
import { createMetaChannel } from "../meta.ts";
import { createPoster, type Poster } from "../poster.ts";
import { createTwilioChannel } from "../twilio.ts";
import type { Behaviour, Counterpart } from "./counterpart.ts";
import { misbehave, serveHttp } from "./http.ts";

/** What differs between the APIs of providers. */
interface Api {
  channelOf(baseUrl: string, poster: Poster): Channel;
  address: string;
  /** What is wrong with a request, as the provider's documentation says; undefined where nothing is. */
  faultOf(request: IncomingMessage, body: string): string | undefined;
  /** The text that is to be sent. */
  textOf(body: string): string;
  taken(n: number): object;
  /** By its status and the provider's own code. */
  errors: Record<"defer" | "reject" | "be gone" | "fault", readonly [status: number, body: object]>;
}

async function serve(api: Api): Promise<Counterpart> {
  const taken: { id: string }[] = [];
  let behaviour: Behaviour = { does: "take" };

  function answer(request: IncomingMessage, body: string, response: ServerResponse): void {
    const json = (status: number, value: object, headers: Record<string, string> = {}): void => {
      response.writeHead(status, { "content-type": "application/json", ...headers }).end(JSON.stringify(value));
    };
    const fault = api.faultOf(request, body);
    if (fault !== undefined) {
      json(api.errors.fault[0], { ...api.errors.fault[1], fault });
      return;
    }
    switch (behaviour.does) {
      case "take":
        taken.push({ id: api.textOf(body) });
        json(api.errors.fault[0] === 400 ? 201 : 200, api.taken(taken.length));
        return;
      case "defer": {
        const { afterSeconds } = behaviour;
        json(...api.errors.defer, afterSeconds === undefined ? {} : { "retry-after": String(afterSeconds) });
        return;
      }
      case "be busy":
        json(...api.errors.defer);
        return;
      case "reject":
      case "be gone":
        json(...api.errors[behaviour.does]);
        return;
      case "hang":
      case "answer at length":
      case "answer without end":
      case "answer nonsense":
      case "break off":
        misbehave(behaviour.does, response);
    }
  }

  const server = await serveHttp(answer);
  const poster = createPoster({ guard: createAddressGuard({ allowCidrs: ["127.0.0.0/8"] }), clock: systemClock });
  const channel = api.channelOf(server.url, poster);
  return {
    channel: { ...channel, close: () => poster.close() },
    address: api.address,
    unusable: api.address.replace(/\+.*/u, "+4900"),
    behave: (next) => void (behaviour = next),
    taken,
    async close() {
      await poster.close();
      server.close();
    },
  };
}

/** https://www.twilio.com/docs/messaging/api/message-resource#create-a-message-resource */
function twilio(kind: "sms" | "whatsapp"): Api {
  const prefix = kind === "whatsapp" ? "whatsapp:" : "";
  return {
    channelOf: (baseUrl, poster) =>
      createTwilioChannel({
        kind,
        accountSid: "ACtest",
        authToken: "secret",
        from: "+15005550006",
        baseUrl,
        publicUrl: "https://example.org",
        poster,
        clock: systemClock,
      }),
    address: `${kind}:+493012345678`,
    faultOf({ method, url, headers }, body) {
      const form = new URLSearchParams(body);
      if (method !== "POST" || url !== "/2010-04-01/Accounts/ACtest/Messages.json") return "the resource";
      if (headers["content-type"] !== "application/x-www-form-urlencoded") return "the type";
      if (headers.authorization !== `Basic ${Buffer.from("ACtest:secret").toString("base64")}`) return "the authorization";
      if (form.get("To") !== `${prefix}+493012345678` || form.get("From") !== `${prefix}+15005550006`) return "the numbers";
      if (form.get("StatusCallback")?.startsWith("https://example.org/api/callbacks/twilio?notification=0") !== true)
        return "the callback";
      return form.get("Body") ? undefined : "the text";
    },
    textOf: (body) => new URLSearchParams(body).get("Body") ?? "",
    taken: (n) => ({ sid: `SM${n}`, status: "queued", error_code: null }),
    errors: {
      defer: [429, { code: 20_429, message: "Too Many Requests", status: 429 }],
      reject: [400, { code: 21_617, message: "The concatenated message body exceeds the limit", status: 400 }],
      "be gone": [400, { code: 21_610, message: "Attempt to send to unsubscribed recipient", status: 400 }],
      fault: [400, { code: 20_001, message: "the test's own", status: 400 }],
    },
  };
}

/** https://developers.facebook.com/docs/whatsapp/cloud-api/reference/messages */
const meta: Api = {
  channelOf: (baseUrl, poster) =>
    createMetaChannel({ token: "secret", phoneNumberId: "1066", baseUrl: `${baseUrl}/v25.0`, poster, clock: systemClock }),
  address: "whatsapp:+493012345678",
  faultOf({ method, url, headers }, body) {
    const { messaging_product, to, type } = JSON.parse(body) as Record<string, unknown>;
    if (method !== "POST" || url !== "/v25.0/1066/messages") return "the resource";
    if (headers["content-type"] !== "application/json" || headers.authorization !== "Bearer secret") return "the headers";
    return messaging_product === "whatsapp" && to === "493012345678" && type === "text" ? undefined : "the message";
  },
  textOf: (body) => (JSON.parse(body) as { text: { body: string } }).text.body,
  taken: (n) => ({ messaging_product: "whatsapp", contacts: [], messages: [{ id: `wamid.${n}` }] }),
  errors: {
    defer: [429, { error: { code: 130_429, message: "Rate limit hit", type: "OAuthException" } }],
    reject: [400, { error: { code: 131_047, message: "Re-engagement message", type: "OAuthException" } }],
    "be gone": [400, { error: { code: 131_026, message: "Message undeliverable", type: "OAuthException" } }],
    fault: [422, { error: { code: 1_000_000, message: "the test's own" } }],
  },
};

export const smsCounterpart = (): Promise<Counterpart> => serve(twilio("sms"));
export const twilioWhatsAppCounterpart = (): Promise<Counterpart> => serve(twilio("whatsapp"));
export const metaCounterpart = (): Promise<Counterpart> => serve(meta);
