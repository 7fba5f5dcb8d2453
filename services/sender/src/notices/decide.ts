import type { NoticeRow } from "@messenger/store";

/** What is to be done about a notice that is due. */
export type Decision =
  | { do: "tell" }
  /** There is nothing to tell (any more). */
  | { do: "drop" }
  | { do: "wait"; inS: number }
  /** What was told, and waits for its provider still, is taken back; it is looked at again then. */
  | { do: "withdraw"; inS: number };

type Facts = Pick<
  NoticeRow,
  | "waiting"
  | "last"
  | "sentAt"
  | "isUnderWay"
  | "isWanted"
  | "unread"
  | "windowS"
  | "quietFrom"
  | "quietUntil"
  | "timeZone"
  | "sentToday"
>;

/** Of a message that is older, nobody is told. */
const LASTS_MS = 24 * 60 * 60 * 1000;
/** While what was told waits for its provider, so often it is looked whether it is still wanted. */
export const LOOK_AGAIN_S = 30;
/** Notices to one address in a day. */
const MOST_IN_A_DAY = 50;
const CAPPED_FOR_S = 60 * 60;
const MINUTES_OF_DAY = 24 * 60;

/** Minutes after midnight in a time zone. */
function minutesIn(timeZone: string, now: number): number {
  const parts = new Intl.DateTimeFormat("en-GB", {
    timeZone,
    hour: "2-digit",
    minute: "2-digit",
    hourCycle: "h23",
  }).formatToParts(now);
  const part = (type: string): number => Number(parts.find((one) => one.type === type)?.value);
  return part("hour") * 60 + part("minute");
}

/** Seconds until quiet hours are over; 0 outside of them. They may go over midnight. */
function quietForS({ quietFrom, quietUntil, timeZone }: Facts, now: number): number {
  if (quietFrom === null || quietUntil === null) return 0;
  const at = minutesIn(timeZone, now);
  const sinceStart = (at - quietFrom + MINUTES_OF_DAY) % MINUTES_OF_DAY;
  const length = (quietUntil - quietFrom + MINUTES_OF_DAY) % MINUTES_OF_DAY;
  return sinceStart < length ? (length - sinceStart) * 60 - (Math.floor(now / 1000) % 60) : 0;
}

/**
 * Decides about a notice. One goes out for each conversation and window at most; none for what was read, or is muted;
 * none if the last message is older than a day; none while the one before waits for its provider; none in quiet hours,
 * or beyond what an address (or the deployment, `isCapped`) gets in a day.
 */
export function decide(notice: Facts, now: number, isCapped: boolean): Decision {
  const { waiting, last, sentAt, isUnderWay, isWanted, unread, windowS } = notice;
  if (!isWanted || unread === 0) return isUnderWay ? { do: "withdraw", inS: 0 } : { do: "drop" };
  const quietS = quietForS(notice, now);
  if (isUnderWay) return quietS > 0 ? { do: "withdraw", inS: quietS } : { do: "wait", inS: LOOK_AGAIN_S };
  if (waiting === 0 || last === null || now - last.at.getTime() > LASTS_MS) return { do: "drop" };
  const windowEndsInS = sentAt === null ? 0 : windowS - (now - sentAt.getTime()) / 1000;
  if (windowEndsInS > 0) return { do: "wait", inS: windowEndsInS };
  if (quietS > 0) return { do: "wait", inS: quietS };
  if (isCapped || notice.sentToday >= MOST_IN_A_DAY) return { do: "wait", inS: CAPPED_FOR_S };
  return { do: "tell" };
}
