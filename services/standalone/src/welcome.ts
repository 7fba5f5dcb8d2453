import type { Standalone } from "./standalone.ts";

/** What a newcomer sees: where it listens, and what to try. */
export function welcome({ url, dataDir }: Pick<Standalone, "url" | "dataDir">, allowCidrs: readonly string[]): string {
  const json = `-H 'content-type: application/json'`;
  const ranges = allowCidrs.length === 0 ? "public addresses only" : `public addresses, and ${allowCidrs.join(", ")}`;
  return `
Messenger listens on ${url}

  API docs   ${url}/api/docs
  data       ${dataDir}
  pushes to  ${ranges}

Try it, in another terminal:

  curl ${url}/api/health/

  curl ${url}/api/users/ ${json} \\
    -d '{"username": "ada", "phone_number": "+441234567", "password": "correct horse"}'

  curl ${url}/api/login/ ${json} \\
    -d '{"username": "ada", "password": "correct horse", "user_address": "127.0.0.1:9000", "public_key": "none yet"}'

or see the whole of it: npx -y pnpm demo

`;
}
