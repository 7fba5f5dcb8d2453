import type { Given } from "../given.ts";
import { type Api, ApiError, openApi } from "./api.ts";
import { printJson, printTable } from "./print.ts";

const PAGE = 50;

async function withApi(env: NodeJS.ProcessEnv, run: (api: Api) => Promise<void>): Promise<number> {
  const api = await openApi(env);
  try {
    await run(api);
    return 0;
  } finally {
    await api.close();
  }
}

/** An id as it stands in a path. @throws {ApiError} */
function idIn(text: string | undefined, what: string): string {
  if (text === undefined || !/^[\w-]{1,64}$/u.test(text)) throw new ApiError(`name ${what}`);
  return text;
}

interface EndpointAnswer {
  endpoint_id: number;
  state: string;
  reason: string | null;
  address: string;
  waiting: number;
  failures: number;
  dead_letters: number;
}

export function listEndpoints(env: NodeJS.ProcessEnv, { values }: Given): Promise<number> {
  return withApi(env, async (api) => {
    const { endpoints } = await api.call<{ endpoints: EndpointAnswer[] }>("GET", "endpoints/");
    if (values["json"] === true) printJson(endpoints);
    else {
      printTable(
        ["ID", "STATE", "WAITING", "FAILURES", "DEAD", "ADDRESS", "REASON"],
        endpoints.map((one) => [
          one.endpoint_id,
          one.state,
          one.waiting,
          one.failures,
          one.dead_letters,
          one.address,
          one.reason,
        ]),
      );
    }
  });
}

interface AttemptAnswer {
  at: string;
  seq: number;
  type: string | null;
  attempt: number;
  outcome: string;
  status: number | null;
  ms: number;
  error: string | null;
}

export function listAttempts(env: NodeJS.ProcessEnv, { values, positionals }: Given): Promise<number> {
  return withApi(env, async (api) => {
    const id = idIn(positionals[0], "the endpoint (messenger endpoints lists them): messenger attempts <endpoint id>");
    const query = new URLSearchParams({ limit: String(PAGE) });
    for (const name of ["outcome", "since", "limit"]) if (values[name] !== undefined) query.set(name, String(values[name]));
    const { attempts } = await api.call<{ attempts: AttemptAnswer[] }>("GET", `endpoints/${id}/attempts/?${query.toString()}`);
    if (values["json"] === true) printJson(attempts);
    else {
      printTable(
        ["AT", "SEQ", "TYPE", "TRY", "OUTCOME", "STATUS", "MS", "ERROR"],
        attempts.map((one) => [one.at, one.seq, one.type, one.attempt, one.outcome, one.status, one.ms, one.error]),
      );
    }
  });
}

interface DeadLetterAnswer {
  at: string;
  seq: number;
  type: string | null;
  reason: string;
  is_replaying: boolean;
}

export function listDeadLetters(env: NodeJS.ProcessEnv, { values, positionals }: Given): Promise<number> {
  return withApi(env, async (api) => {
    const id = idIn(positionals[0], "the endpoint (messenger endpoints lists them): messenger dead-letters <endpoint id>");
    const { replay } = values;
    if (replay !== undefined) {
      const which = replay === "all" ? "" : `${idIn(String(replay), "a seq, or all, behind --replay")}/`;
      const answer = await api.call<{ dead_letters: number }>("POST", `endpoints/${id}/dead-letters/${which}replay/`, {});
      if (values["json"] === true) printJson(answer);
      else process.stdout.write(`Pushed again: ${answer.dead_letters}\n`);
      return;
    }
    const { dead_letters: letters } = await api.call<{ dead_letters: DeadLetterAnswer[] }>(
      "GET",
      `endpoints/${id}/dead-letters/?limit=${PAGE}`,
    );
    if (values["json"] === true) printJson(letters);
    else {
      printTable(
        ["AT", "SEQ", "TYPE", "REPLAYING", "REASON"],
        letters.map((one) => [one.at, one.seq, one.type, one.is_replaying ? "yes" : "no", one.reason]),
      );
    }
  });
}

interface NotificationAnswer {
  notification_id: string;
  created_at: string;
  type: string;
  status: string;
  provider: string;
  recipient: string;
  reason: string | null;
  attempts?: { at: string; outcome: string; status: number | null; ms: number; error: string | null }[];
}

export function listNotifications(env: NodeJS.ProcessEnv, { values, positionals }: Given): Promise<number> {
  return withApi(env, async (api) => {
    const [id] = positionals;
    if (id !== undefined) {
      const one = await api.call<NotificationAnswer>("GET", `notifications/${idIn(id, "a notification")}/`);
      if (values["json"] === true) printJson(one);
      else {
        process.stdout.write(
          `${one.type} to ${one.recipient} by ${one.provider}: ${one.status}${one.reason === null ? "" : `, ${one.reason}`}\n\n`,
        );
        printTable(
          ["AT", "OUTCOME", "STATUS", "MS", "ERROR"],
          (one.attempts ?? []).map((attempt) => [attempt.at, attempt.outcome, attempt.status, attempt.ms, attempt.error]),
        );
      }
      return;
    }
    const query = new URLSearchParams({ limit: String(PAGE) });
    for (const name of ["type", "status", "limit"]) if (values[name] !== undefined) query.set(name, String(values[name]));
    const { notifications } = await api.call<{ notifications: NotificationAnswer[] }>(
      "GET",
      `notifications/?${query.toString()}`,
    );
    if (values["json"] === true) printJson(notifications);
    else {
      printTable(
        ["ID", "AT", "TYPE", "STATUS", "PROVIDER", "RECIPIENT", "REASON"],
        notifications.map((one) => [
          one.notification_id,
          one.created_at,
          one.type,
          one.status,
          one.provider,
          one.recipient,
          one.reason,
        ]),
      );
    }
  });
}
