import type { Contact, CONTACT_ROUTES } from "@messenger/contracts";
import type { Handlers } from "../http/route.ts";
import type { Contacts, OpenedContact } from "../use-cases/contacts.ts";

const timeOf = (minutes: number): string =>
  `${String(Math.floor(minutes / 60)).padStart(2, "0")}:${String(minutes % 60).padStart(2, "0")}`;

const describe = (contact: OpenedContact): Contact => ({
  contact_id: contact.id,
  type: contact.type,
  recipient: contact.recipient,
  state: contact.isVerified ? "active" : "unverified",
  shows_content: contact.showsContent,
  language: contact.language,
  delay_s: contact.delayS,
  window_s: contact.windowS,
  quiet_hours:
    contact.quietFrom === null || contact.quietUntil === null
      ? null
      : { from: timeOf(contact.quietFrom), until: timeOf(contact.quietUntil), time_zone: contact.timeZone },
  created_at: contact.createdAt.toISOString(),
});

/** Programs follow the links of an e-mail, too, to look for what is harmful: only the button changes anything. */
const PAGE = `<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8" />
    <meta name="viewport" content="width=device-width, initial-scale=1" />
    <meta name="robots" content="noindex" />
    <title>Messenger: get no more notices</title>
  </head>
  <body style="font-family: sans-serif; max-width: 32rem; margin: 4rem auto; padding: 0 1rem; line-height: 1.5">
    <h1 style="font-size: 1.4rem">Get no more notices</h1>
    <p>You are told by e-mail when somebody writes to you. Shall nothing more be sent to this address?</p>
    <form method="post"><button style="font: inherit; padding: 0.5rem 1rem">Send nothing more</button></form>
  </body>
</html>
`;
const PAGE_POLICY = "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

export function contactHandlers(contacts: Contacts): Handlers<typeof CONTACT_ROUTES> {
  return {
    readPushKey: () => Promise.resolve({ public_key: contacts.pushKey }),
    listContacts: async ({ identity }) => ({ contacts: (await contacts.list(identity)).map(describe) }),
    async createContact({ identity, body }, reply) {
      const made = await contacts.create(identity, body);
      reply.header("location", `/api/contacts/${made.id}/`);
      return describe(made);
    },
    readContact: async ({ identity, params }) => describe(await contacts.read(identity, params.id)),
    changeContact: async ({ identity, params, body }) => describe(await contacts.change(identity, params.id, body)),
    deleteContact: ({ identity, params }) => contacts.delete(identity, params.id),
    sendContactCode: ({ identity, params }) => contacts.sendCode(identity, params.id),
    verifyContact: async ({ identity, params, body }) => describe(await contacts.verify(identity, params.id, body.code)),
    async showUnsubscribe(_request, reply) {
      reply
        .header("content-security-policy", PAGE_POLICY)
        .type("text/html; charset=utf-8")
        .serializer((page: string) => page);
      return PAGE;
    },
    async unsubscribe({ query }, reply) {
      await contacts.unsubscribe(query.token);
      reply.type("text/plain; charset=utf-8").serializer((text: string) => text);
      return "No further notice is sent to this address.";
    },
  };
}
