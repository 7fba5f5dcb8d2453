import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import helmet from "@fastify/helmet";
import swagger from "@fastify/swagger";
import swaggerUi from "@fastify/swagger-ui";
import type { Description } from "@messenger/contracts";
import type { App } from "../app.ts";

const SWAGGER = "/api/docs";
const REDOC = "/api/redoc";
const REDOC_BUNDLE = `${REDOC}/redoc.standalone.js`;
const DESCRIPTION = "/api/openapi.json";
/** Swagger UI writes the description anew for each request of these. */
const MADE_EACH_TIME: readonly string[] = [`${SWAGGER}/json`, `${SWAGGER}/yaml`];
const TITLE = "Messenger API";

const ICON = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><path fill="#2563eb" d="M4 5h24v17H14l-7 6v-6H4z"/></svg>`;
const LOGO = `<svg xmlns="http://www.w3.org/2000/svg" width="190" height="40" viewBox="0 0 190 40"><path fill="#60a5fa" d="M4 8h26v18H16l-7 6v-6H4z"/><text x="42" y="27" fill="#fff" font-family="sans-serif" font-size="22">Messenger</text></svg>`;

const REDOC_PAGE = `<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8" />
    <meta name="viewport" content="width=device-width, initial-scale=1" />
    <title>${TITLE}</title>
    <link rel="icon" href="data:image/svg+xml;base64,${Buffer.from(ICON).toString("base64")}" />
  </head>
  <body style="margin: 0">
    <redoc spec-url="${DESCRIPTION}"></redoc>
    <script src="${REDOC_BUNDLE}"></script>
  </body>
</html>
`;

/** What Redoc's styles and worker need, and nothing else: it connects to this server only. */
const REDOC_POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'unsafe-inline'",
  "img-src 'self' data:",
  "font-src 'self' data:",
  "connect-src 'self'",
  "worker-src 'self' blob:",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join("; ");

/** Where people look for the pages of the systems whose contracts are served here, too. */
const OTHER_WAYS = { "/": SWAGGER, "/api": SWAGGER, "/docs": SWAGGER, "/apidocs": SWAGGER, "/redoc": REDOC };

/** Pages that show the description of the API to people. Their files come from packages, and from nowhere else. */
export async function servePages(app: App, description: Description): Promise<void> {
  // Only pages get Helmet's dozen headers. It looks at each route as it is registered, so this hook comes first.
  app.addHook("onRoute", (route) => {
    if (route.url.startsWith(SWAGGER) || route.url.startsWith(REDOC)) route.helmet = {};
    // Writing it takes 4 ms, and 120 ms as YAML: nobody shall make a listener do that for each request.
    if (MADE_EACH_TIME.includes(route.url)) route.handler = async (_request, reply) => reply.redirect(DESCRIPTION, 302);
  });
  await app.register(helmet, { global: false, contentSecurityPolicy: false, strictTransportSecurity: false });
  // Its types know no OpenAPI but 3.0.
  await app.register(swagger, { mode: "static", specification: { document: description as never } });
  await app.register(swaggerUi, {
    routePrefix: SWAGGER,
    uiConfig: { url: DESCRIPTION },
    staticCSP: true,
    // Over plain HTTP, as an embedded Messenger is, the page's own files must not be asked for over HTTPS.
    transformStaticCSP: (header) => header.replace("upgrade-insecure-requests;", ""),
    logo: { type: "image/svg+xml", content: Buffer.from(LOGO), href: SWAGGER },
    theme: {
      title: TITLE,
      favicon: [{ filename: "icon.svg", rel: "icon", sizes: "any", type: "image/svg+xml", content: Buffer.from(ICON) }],
    },
  });
  const written = Buffer.from(JSON.stringify(description));
  app.get(DESCRIPTION, (_request, reply) => reply.type("application/json; charset=utf-8").send(written));

  const bundle = await readFile(fileURLToPath(import.meta.resolve("redoc/bundles/redoc.standalone.js")));
  app.get(REDOC, (_request, reply) =>
    reply.header("content-security-policy", REDOC_POLICY).type("text/html; charset=utf-8").send(REDOC_PAGE),
  );
  app.get(REDOC_BUNDLE, (_request, reply) =>
    reply.header("cache-control", "public, max-age=86400").type("text/javascript; charset=utf-8").send(bundle),
  );
  for (const [from, to] of Object.entries(OTHER_WAYS)) app.get(from, (_request, reply) => reply.redirect(to, 302));
}
