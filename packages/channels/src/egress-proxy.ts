import { request as httpRequest } from "node:http";
import { request as httpsRequest } from "node:https";
import { isIP, isIPv6, type Socket } from "node:net";
import type { buildConnector } from "undici";
import type { AddressGuard } from "./address-guard.ts";
import { matchesHost, withoutBrackets } from "./hosts.ts";

/** How what is pushed leaves this network. */
export interface EgressProxy {
  /** `http://user:password@proxy.example:3128`, or `https://`. */
  url: string;
  /** Hosts that are reached without it: `name`, `.domain` with all below it, or `*`; each may have a `:port`. */
  except?: readonly string[];
}

/** The proxy itself is at fault: it cannot be reached, or does not let us through. */
export class ProxyFault extends Error {
  override readonly name = "ProxyFault";
  readonly code = "EPROXY";
}

/** The proxy could not reach the address. */
class Unreachable extends Error {
  override readonly name = "Unreachable";
  readonly code = "EHOSTUNREACH";
}

const portOf = ({ protocol, port }: { protocol: string; port: string }): number =>
  port === "" ? (protocol === "https:" ? 443 : 80) : Number(port);

/** Throws where this is no proxy. */
export function checkProxyUrl(text: string): void {
  const url = URL.parse(text);
  if (url === null || !/^https?:$/u.test(url.protocol) || url.hostname === "" || url.pathname !== "/") {
    throw new Error("a URL such as http://proxy.example:3128 is expected");
  }
}

/**
 * Makes connections through a proxy (`CONNECT`; RFC 9110, 9.3.6), to the very address that the guard has let through:
 * the proxy resolves no name. TLS is with the address itself. `direct` makes those to hosts that are excepted.
 */
export function connectThrough(
  { url, except = [] }: EgressProxy,
  options: { guard: AddressGuard; timeoutMs: number; direct: buildConnector.connector; secure: buildConnector.connector },
): buildConnector.connector {
  const { guard, timeoutMs, direct, secure } = options;
  const proxy = new URL(url);
  const request = proxy.protocol === "https:" ? httpsRequest : httpRequest;
  const credentials = `${decodeURIComponent(proxy.username)}:${decodeURIComponent(proxy.password)}`;
  const authorization =
    proxy.username === "" ? {} : { "proxy-authorization": `Basic ${Buffer.from(credentials).toString("base64")}` };

  /** A way through the proxy to an address and port. */
  function tunnel(target: string): Promise<Socket> {
    return new Promise((resolve, reject) => {
      const asked = request({
        host: withoutBrackets(proxy.hostname),
        port: portOf(proxy),
        method: "CONNECT",
        path: target,
        headers: { host: target, ...authorization },
        agent: false,
        timeout: timeoutMs,
      });
      asked.once("connect", ({ statusCode = 0 }, socket: Socket) => {
        asked.setTimeout(0);
        if (statusCode >= 200 && statusCode < 300) {
          resolve(socket);
          return;
        }
        socket.destroy();
        // A proxy that cannot reach the target says so by 502, 503 or 504.
        reject(
          statusCode >= 500
            ? new Unreachable(`the proxy answered ${statusCode}`)
            : new ProxyFault(`the proxy answered ${statusCode}`),
        );
      });
      asked.once("timeout", () => asked.destroy(new ProxyFault("the proxy does not answer")));
      asked.once("error", (error) => {
        reject(error instanceof ProxyFault ? error : new ProxyFault("the proxy cannot be reached", { cause: error }));
      });
      asked.end();
    });
  }

  /** A literal address was vetted before; a name is now, and not resolved a second time. */
  async function addressOf(hostname: string): Promise<string> {
    const host = withoutBrackets(hostname);
    if (isIP(host) !== 0) return host;
    const [found] = await guard.resolve(host);
    if (found === undefined) throw new Unreachable(`${host} has no address`);
    return found.address;
  }

  return (opts, callback) => {
    const { hostname, protocol } = opts;
    const port = portOf({ protocol, port: opts.port });
    if (matchesHost(except, hostname, port)) {
      direct(opts, callback);
      return;
    }
    addressOf(hostname)
      .then((address) => tunnel(`${isIPv6(address) ? `[${address}]` : address}:${port}`))
      .then(
        (socket) => (protocol === "https:" ? secure({ ...opts, httpSocket: socket }, callback) : callback(null, socket)),
        (error: unknown) => callback(error as Error, null),
      );
  };
}
