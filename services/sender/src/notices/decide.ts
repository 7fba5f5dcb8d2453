import type { NoticeRow } from "@messenger/store";

/** What is to be done about a notice that is due. */
export type Decision =
  | { do: "tell" }
  /** There is nothing to tell (any more); `withdraw` what was told, but not sent yet. */
  | { do: "drop"; withdraw: boolean }
  | { do: "wait"; inS: number };

type Facts = Pick<
  NoticeRow,
  | "waiting"
  | "firstAt"
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

/** What is older is of no use to anybody. */
const LASTS_MS = 24 * 60 * 60 * 1000;
/** While what was told waits for its provider, so often it is looked whether it is still wanted. */
const LOOK_AGAIN_S = 30;
/** For one address, of all kinds, in a day. */
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
 * none that is older than a day; none while the one before waits for its provider; none in quiet hours, or beyond what
 * an address (or the deployment, `isCapped`) gets in a day.
 */
export function decide(notice: Facts, now: number, isCapped: boolean): Decision {
  const { waiting, firstAt, sentAt, isUnderWay, isWanted, unread, windowS } = notice;
  if (!isWanted || unread === 0) return { do: "drop", withdraw: isUnderWay };
  if (isUnderWay) return { do: "wait", inS: LOOK_AGAIN_S };
  if (waiting === 0 || firstAt === null || now - firstAt.getTime() > LASTS_MS) return { do: "drop", withdraw: false };
  const windowEndsInS = sentAt === null ? 0 : windowS - (now - sentAt.getTime()) / 1000;
  if (windowEndsInS > 0) return { do: "wait", inS: windowEndsInS };
  const quietS = quietForS(notice, now);
  if (quietS > 0) return { do: "wait", inS: quietS };
  if (isCapped || notice.sentToday >= MOST_IN_A_DAY) return { do: "wait", inS: CAPPED_FOR_S };
  return { do: "tell" };
}

/** Once it is told, it is looked after until its provider has taken it. */
export const LOOK_AFTER_S = LOOK_AGAIN_S;
