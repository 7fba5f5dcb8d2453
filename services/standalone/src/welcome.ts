import type { Standalone } from "./standalone.ts";

/** What a newcomer sees: where it listens, and what to try. */
export function welcome({ url, dataDir }: Pick<Standalone, "url" | "dataDir">, allowCidrs: readonly string[]): string {
  const json = `-H 'content-type: application/json' -H 'accept: application/json'`;
  const ranges = allowCidrs.length === 0 ? "public addresses only" : `public addresses, and ${allowCidrs.join(", ")}`;
  return `
Messenger listens on ${url}

  API docs   ${url}/api/docs
  process    ${process.pid}
  data       ${dataDir}
  pushes to  ${ranges}

Try it, in another terminal:

  curl ${url}/api/users/ ${json} \\
    -d '{"username": "grace", "phone_number": "+441234567", "password": "correct horse"}'

  curl ${url}/api/login/ ${json} \\
    -d '{"username": "grace", "password": "correct horse", "user_address": "127.0.0.1:9000", "public_key": "none yet"}'

  id=<the user_id that both answered> token=<the token of either>

  curl ${url}/api/messages/ ${json} -H "authorization: Bearer $token" \\
    -d '{"message": "hello", "sender_id": '$id', "sender_username": "grace", "receiver_id": '$id', "send_date": "2026-01-02 03:04:05"}'

(grace writes to herself; her messages go to port 9000 of this machine, where a program of yours may listen)
or see the whole of it: PORT=${new URL(url).port} npx -y pnpm demo
Ctrl-C stops it; all that was accepted is kept.

`;
}
