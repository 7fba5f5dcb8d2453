import { checkNameServer, checkProxyUrl, type EgressProxy, LANGUAGES, readEmailAddress } from "@messenger/channels";
import { integer, list, oneOf, optional, secretText, string } from "@messenger/runtime";

/** The settings of pushing, the same wherever a sender runs. */
export const senderSettings = {
  maxInFlight: integer("PUSH_CONCURRENCY", { fallback: 256, min: 1, max: 10_000 }),
  keepAttemptsDays: integer("KEEP_ATTEMPTS_DAYS", { fallback: 30, min: 1, max: 3650 }),
  keepAnswers: oneOf("KEEP_ANSWERS", ["all", "public", "none"], "public"),
  maxMailboxes: integer("MAX_MAILBOXES", { fallback: 100_000, min: 1_000, max: 10_000_000 }),
  noticesPerDay: integer("NOTICES_PER_DAY", { fallback: 10_000, min: 0, max: 100_000_000 }),
  operatorAddress: optional({ ...string("OPERATOR_ADDRESS", { fallback: "" }), parse: readOperator }),
  operatorLanguage: oneOf("OPERATOR_LANGUAGE", LANGUAGES, "en"),
  pushProxyUrl: optional({ ...secretText("PUSH_PROXY_URL"), parse: readProxyUrl }),
  noProxy: list("NO_PROXY", { fallback: [], check: () => undefined }),
  nameServers: list("DNS_SERVERS", { fallback: [], check: checkNameServer }),
};

function readOperator(text: string): string {
  const address = readEmailAddress(text);
  if (address === undefined) throw new Error("it is no e-mail address");
  return address;
}

function readProxyUrl(text: string): string {
  checkProxyUrl(text);
  return text;
}

/** How pushes leave this network; undefined where they go straight. */
export function proxyOf(settings: { pushProxyUrl: string | undefined; noProxy: readonly string[] }): EgressProxy | undefined {
  return settings.pushProxyUrl === undefined ? undefined : { url: settings.pushProxyUrl, except: settings.noProxy };
}
