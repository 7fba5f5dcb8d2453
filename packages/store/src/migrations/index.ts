import type { Db } from "../database.ts";
import { up as initial } from "./0001-initial.ts";
import { up as endpointsOff } from "./0002-endpoints-off.ts";
import { up as liveSessions } from "./0003-live-sessions.ts";
import { up as indexes } from "./0004-indexes.ts";
import { up as names } from "./0005-names.ts";
import { up as familiarNetworks } from "./0006-familiar-networks.ts";
import { up as readMarkers } from "./0007-read-markers.ts";
import { up as messageVersions } from "./0008-message-versions.ts";
import { up as versionsOfEvents } from "./0009-versions-of-events.ts";
import { up as undeletedMessages } from "./0010-undeleted-messages.ts";
import { up as groups } from "./0011-groups.ts";
import { up as members } from "./0012-members.ts";
import { up as eventsOfConversations } from "./0013-events-of-conversations.ts";
import { up as whatOthersAreTold } from "./0014-what-others-are-told.ts";
import { up as streamTickets } from "./0015-stream-tickets.ts";
import { up as keepersOfEndpoints } from "./0016-keepers-of-endpoints.ts";
import { up as groupRequests } from "./0017-group-requests.ts";
import { up as endpointSettings } from "./0018-endpoint-settings.ts";
import { up as notifications } from "./0019-notifications.ts";
import { up as notices } from "./0020-notices.ts";
import { up as newsOfEndpoints } from "./0021-news-of-endpoints.ts";
import { up as endpointsInFlight } from "./0022-endpoints-in-flight.ts";
import { up as apiTokens } from "./0023-api-tokens.ts";
import { up as people } from "./0024-people.ts";
import { up as secondFactors } from "./0025-second-factors.ts";
import { up as operators } from "./0026-operators.ts";
import { up as unreportedNotifications } from "./0027-unreported-notifications.ts";
import { up as rateLimits } from "./0028-rate-limits.ts";
import { up as identities } from "./0029-identities.ts";
import { up as messageRequests } from "./0030-message-requests.ts";
import { up as moderation } from "./0031-moderation.ts";
import { up as bots } from "./0032-bots.ts";
import { up as erasure } from "./0033-erasure.ts";
import { up as retention } from "./0034-retention.ts";
import { up as addedMembers } from "./0035-added-members.ts";
import { up as invitations } from "./0036-invitations.ts";
import { up as authorsOfNotices } from "./0037-authors-of-notices.ts";

/** A step of the schema. One that breaks off is run again from its beginning, so that each can be. */
export interface SchemaStep {
  up(db: Db): Promise<void>;
  /** It runs outside of a transaction: it makes an index while others write, or fills a table bit by bit. */
  withoutTransaction?: boolean;
}

/** The end of the name of a step after which processes of an older version must not go on. */
export const BREAKING = "-breaking";

/**
 * All steps by name; they run in the order of their names, forward only. An older version goes on beside
 * those that do not end in {@link BREAKING}.
 */
export const steps: Record<string, SchemaStep> = {
  "0001-initial": { up: initial },
  "0002-endpoints-off": { up: endpointsOff },
  "0003-live-sessions": { up: liveSessions },
  "0004-indexes": { up: indexes, withoutTransaction: true },
  "0005-names": { up: names, withoutTransaction: true },
  "0006-familiar-networks": { up: familiarNetworks },
  "0007-read-markers": { up: readMarkers },
  "0008-message-versions": { up: messageVersions },
  "0009-versions-of-events": { up: versionsOfEvents },
  "0010-undeleted-messages": { up: undeletedMessages, withoutTransaction: true },
  "0011-groups": { up: groups },
  "0012-members": { up: members },
  "0013-events-of-conversations": { up: eventsOfConversations },
  "0014-what-others-are-told": { up: whatOthersAreTold },
  "0015-stream-tickets": { up: streamTickets },
  "0016-keepers-of-endpoints": { up: keepersOfEndpoints },
  "0017-group-requests": { up: groupRequests, withoutTransaction: true },
  "0018-endpoint-settings": { up: endpointSettings },
  "0019-notifications": { up: notifications },
  "0020-notices": { up: notices },
  "0021-news-of-endpoints": { up: newsOfEndpoints },
  "0022-endpoints-in-flight": { up: endpointsInFlight },
  "0023-api-tokens": { up: apiTokens },
  "0024-people": { up: people, withoutTransaction: true },
  "0025-second-factors": { up: secondFactors },
  "0026-operators": { up: operators },
  "0027-unreported-notifications": { up: unreportedNotifications, withoutTransaction: true },
  "0028-rate-limits": { up: rateLimits },
  "0029-identities": { up: identities },
  "0030-message-requests": { up: messageRequests },
  "0031-moderation": { up: moderation },
  "0032-bots": { up: bots },
  "0033-erasure": { up: erasure },
  "0034-retention": { up: retention },
  "0035-added-members": { up: addedMembers, withoutTransaction: true },
  "0036-invitations": { up: invitations },
  "0037-authors-of-notices": { up: authorsOfNotices },
};
