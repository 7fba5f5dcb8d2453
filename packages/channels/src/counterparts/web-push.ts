import { createECDH, randomBytes } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import { systemClock, systemRandom } from "@messenger/core";
import { decrypt } from "http_ece";
import { importJWK, jwtVerify } from "jose";
import { createAddressGuard } from "../address-guard.ts";
import { createPoster } from "../poster.ts";
import { createVapid, newVapidKey } from "../vapid.ts";
import { createWebPushChannel, packKeys, webPushAddress } from "../web-push.ts";
import type { Behaviour, Counterpart } from "./counterpart.ts";
import { misbehave, serveHttp } from "./http.ts";

/** Who sends, as RFC 8292 has it; throws where it is not said, or not for this push service. */
async function verifySender(authorization: string | undefined, audience: string): Promise<void> {
  const [, token, key] = /^vapid t=([\w.-]+), k=([\w-]{87})$/u.exec(authorization ?? "") ?? [];
  const point = Buffer.from(key ?? "", "base64url");
  const jwk = { kty: "EC", crv: "P-256", x: point.toString("base64url", 1, 33), y: point.toString("base64url", 33) };
  const { payload } = await jwtVerify(token ?? "", await importJWK(jwk, "ES256"), { audience, algorithms: ["ES256"] });
  if ((payload.exp ?? 0) > Date.now() / 1000 + 24 * 60 * 60) throw new Error("it lasts longer than a day");
}

/** A push service with one subscription. */
export async function webPushCounterpart(): Promise<Counterpart> {
  const taken: { id: string }[] = [];
  let behaviour: Behaviour = { does: "take" };
  const browser = createECDH("prime256v1");
  browser.generateKeys();
  const auth = randomBytes(16);

  async function take(request: IncomingMessage, body: Buffer, response: ServerResponse): Promise<void> {
    const { headers } = request;
    try {
      await verifySender(headers.authorization, server.url);
      if (headers["content-encoding"] !== "aes128gcm" || body.length > 4096) throw new Error("it is not one record of aes128gcm");
      if (!/^\d+$/u.test(String(headers["ttl"]))) throw new Error("no TTL");
      const text = decrypt(body, { version: "aes128gcm", privateKey: browser, authSecret: auth.toString("base64url") });
      taken.push({ id: (JSON.parse(text.toString()) as { body: string }).body });
      response.writeHead(201, { location: `${server.url}/message/${taken.length}` }).end();
    } catch (error) {
      response.writeHead(400).end(String(error));
    }
  }

  const server = await serveHttp((request, _text, response, body) => {
    switch (behaviour.does) {
      case "take":
        void take(request, body, response);
        return;
      case "defer": {
        const { afterSeconds } = behaviour;
        response.writeHead(429, afterSeconds === undefined ? {} : { "retry-after": String(afterSeconds) }).end();
        return;
      }
      case "be busy":
        response.writeHead(429).end();
        return;
      case "reject":
        response.writeHead(413).end();
        return;
      case "be gone":
        response.writeHead(410).end();
        return;
      case "hang":
      case "answer at length":
      case "answer without end":
      case "answer nonsense":
      case "break off":
        misbehave(behaviour.does, response);
    }
  });

  const guard = createAddressGuard({ allowCidrs: ["127.0.0.0/8"] });
  const poster = createPoster({ guard, clock: systemClock });
  const vapid = createVapid({ key: newVapidKey(), contact: "mailto:operator@example.org", clock: systemClock });
  const channel = createWebPushChannel({ guard, poster, vapid, random: systemRandom });
  return {
    channel: { ...channel, close: () => poster.close() },
    address: webPushAddress(`${server.url}/subscription/1`),
    unusable: webPushAddress("http://example.org/subscription/1"),
    secret: packKeys({ p256dh: browser.getPublicKey(), auth }),
    behave: (next) => void (behaviour = next),
    taken,
    async close() {
      await poster.close();
      server.close();
    },
  };
}
