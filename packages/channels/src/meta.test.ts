import { systemClock } from "@messenger/core";
import { expect, it } from "vitest";
import { createAddressGuard } from "./address-guard.ts";
import { serveHttp } from "./counterparts/http.ts";
import { createMetaChannel } from "./meta.ts";
import { createPoster } from "./poster.ts";

/** https://developers.facebook.com/docs/whatsapp/cloud-api/guides/send-message-templates */
it.each([
  [
    ["Ada", "42 €"],
    {
      components: [
        {
          type: "body",
          parameters: [
            { type: "text", text: "Ada" },
            { type: "text", text: "42 €" },
          ],
        },
      ],
    },
  ],
  [[], {}],
])("a template goes to Meta with what stands in its blanks: %j", async (variables, more) => {
  const bodies: unknown[] = [];
  const server = await serveHttp((_request, body, response) => {
    bodies.push(JSON.parse(body));
    response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify({ messages: [{ id: "wamid.1" }] }));
  });
  const poster = createPoster({ guard: createAddressGuard({ allowCidrs: ["127.0.0.0/8"] }), clock: systemClock });
  try {
    const channel = createMetaChannel({
      token: "secret",
      phoneNumberId: "1066",
      baseUrl: `${server.url}/v25.0`,
      poster,
      clock: systemClock,
    });
    const target = channel.prepare({ address: "whatsapp:+493012345678", secrets: [] });
    const event = {
      inbox: 1,
      seq: 1,
      version: 0,
      id: "e1",
      kind: "notification.created",
      messageId: null,
      conversation: null,
      createdAt: "",
    };
    const data = { template: { name: "parcel", language: "de", variables } };
    expect(await channel.push({ target, event, content: new Uint8Array(), data, receiver: 0 })).toMatchObject({
      result: "delivered",
    });
    expect(bodies).toEqual([
      {
        messaging_product: "whatsapp",
        recipient_type: "individual",
        to: "493012345678",
        biz_opaque_callback_data: "e1",
        type: "template",
        template: { name: "parcel", language: { code: "de" }, ...more },
      },
    ]);
  } finally {
    await poster.close();
    server.close();
  }
});
