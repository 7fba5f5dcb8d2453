import { isIP } from "node:net";
import type { FastifyInstance } from "fastify";
import { Refused } from "../refused.ts";

/**
 * For an instance that only this machine reaches: refuses requests for other names. A page in a browser on
 * this machine, whose name was made to lead here, would otherwise be of the same origin (DNS rebinding).
 */
export function requireLocalHost(app: FastifyInstance): void {
  app.addHook("onRequest", (request, _reply, done) => {
    const host = request.headers.host ?? "localhost";
    const name = host
      .replace(/:\d{1,5}$/u, "")
      .replace(/^\[(.*)\]$/u, "$1")
      .toLowerCase();
    if (isIP(name) !== 0 || name === "localhost" || name.endsWith(".localhost")) done();
    else {
      const detail =
        "this instance answers to an address or localhost only: set HOST, or TRUSTED_PROXIES behind a proxy, to serve other names";
      done(new Refused("misdirected", detail));
    }
  });
}
