import type { EndpointNews } from "@messenger/store";
import { GONE_AFTER_MS } from "./outcome.ts";

/** What an event about an endpoint says, for its owner. */
export function describeNews(news: EndpointNews): object {
  const { kind, endpoint } = news;
  // Not its address, which may be a secret: the event goes to the owner's other endpoints, too.
  const of = { endpoint_id: endpoint };
  switch (kind) {
    case "endpoint.failing": {
      const since = news.failingSince.getTime();
      return {
        ...of,
        failing_since: news.failingSince.toISOString(),
        disabled_at: new Date(since + GONE_AFTER_MS).toISOString(),
      };
    }
    case "endpoint.disabled":
      return { ...of, reason: news.reason };
    case "dead_letter.created":
      return { ...of, event_seq: news.seq, event_id: news.eventId, reason: news.reason };
  }
}
