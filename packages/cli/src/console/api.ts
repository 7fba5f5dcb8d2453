/** Requests to the API, as whoever the environment names. */
export interface Api {
  readonly base: string;
  /** Returns the JSON of the answer; undefined where it has none. @throws {ApiError} */
  call<Answer>(method: string, path: string, body?: object): Promise<Answer>;
  /** Ends the session, if it was begun for this. */
  close(): Promise<void>;
}

/** What the server answered instead of a result, in words. */
export class ApiError extends Error {
  override readonly name = "ApiError";
}

const TIMEOUT_MS = 20_000;

async function request(base: string, method: string, path: string, token: string | undefined, body?: object): Promise<unknown> {
  const response = await fetch(`${base}/api/${path}`, {
    method,
    headers: {
      accept: "application/json",
      ...(body !== undefined && { "content-type": "application/json" }),
      ...(token !== undefined && { authorization: `Bearer ${token}` }),
    },
    ...(body !== undefined && { body: JSON.stringify(body) }),
    signal: AbortSignal.timeout(TIMEOUT_MS),
  }).catch((error: unknown) => {
    const { cause } = error as Error;
    throw new ApiError(`no Messenger answers at ${base}: ${cause instanceof Error ? cause.message : String(error)}`, {
      cause: error,
    });
  });
  const text = await response.text();
  const answer = readJson(text);
  if (response.ok) return answer;
  const { detail, code } = (answer ?? {}) as { detail?: string; code?: string };
  throw new ApiError(
    `${method} /api/${path.split("?", 1)[0] ?? ""} at ${base} was answered ${response.status}: ${detail ?? text.slice(0, 200)}${code === undefined ? "" : ` (${code})`}${code === "code_needed" ? "; give an API token as MESSENGER_TOKEN instead" : ""}`,
  );
}

function readJson(text: string): unknown {
  try {
    return text === "" ? undefined : JSON.parse(text);
  } catch {
    return undefined;
  }
}

/**
 * Signs in as `MESSENGER_USER` with `MESSENGER_PASSWORD`, or takes the access token in `MESSENGER_TOKEN`; at
 * `MESSENGER_URL`, or this machine's port 5000. @throws {ApiError}
 */
export async function openApi(env: NodeJS.ProcessEnv): Promise<Api> {
  const base = (env["MESSENGER_URL"] ?? `http://127.0.0.1:${env["PORT"] ?? "5000"}`).replace(/\/+$/u, "");
  if (!/^https?:\/\/./u.test(base))
    throw new ApiError(`MESSENGER_URL is ${base}: a URL such as http://127.0.0.1:5000 is expected`);
  const { MESSENGER_USER: username = "", MESSENGER_PASSWORD: password = "" } = env;
  const given = env["MESSENGER_TOKEN"] === "" ? undefined : env["MESSENGER_TOKEN"];
  if (given === undefined && (username === "" || password === "")) {
    throw new ApiError("say who you are: set MESSENGER_USER and MESSENGER_PASSWORD, or MESSENGER_TOKEN to an access token");
  }
  async function signIn(): Promise<string> {
    const device = { username, password, device_name: "messenger command" };
    return ((await request(base, "POST", "sessions/", undefined, device)) as { access_token: string }).access_token;
  }
  const token = given ?? (await signIn());
  return {
    base,
    call: async <Answer>(method: string, path: string, body?: object) =>
      (await request(base, method, path, token, body)) as Answer,
    async close() {
      if (given === undefined) await request(base, "POST", "logout/", token, { username }).catch(() => undefined);
    },
  };
}
