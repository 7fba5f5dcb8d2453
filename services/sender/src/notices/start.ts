import type { Broker } from "@messenger/broker";
import type { Clock, Keyring, Periodic, Random } from "@messenger/core";
import {
  countNotices,
  type Db,
  deferNotice,
  deleteContact,
  deleteOutbox,
  dropNotice,
  findProvider,
  takeNotices,
  tellNotice,
  withdrawNotice,
} from "@messenger/store";
import type { SenderMetrics } from "../metrics.ts";
import { createWaker } from "../wakes.ts";
import { startNoticer } from "./noticer.ts";

export interface NoticerOptions {
  db: Db;
  broker: Pick<Broker, "publish">;
  keyring: Keyring;
  clock: Clock;
  random: Random;
  log: { warn(details: object, message: string): void };
  metrics: Pick<SenderMetrics, "onTold">;
  /** Where others reach this deployment; undefined where e-mails name no way to end them. */
  publicUrl: string | undefined;
  /** Notices by each channel, in a day. */
  noticesPerDay: number;
}

/** Tells users of what they have not read, on this database, until it is stopped. */
export function startNotices({ db, broker, log, metrics, noticesPerDay, ...options }: NoticerOptions): Periodic {
  return startNoticer({
    ...options,
    store: {
      takeNotices: (limit) => takeNotices(db, limit),
      countNotices: (type, most) => countNotices(db, type, most),
      findProvider: (scheme) => findProvider(db, scheme),
      tellNotice: (notice, made, againInS) => tellNotice(db, notice, made, againInS),
      dropNotice: (notice) => dropNotice(db, notice),
      deferNotice: (notice, inS) => deferNotice(db, notice, inS),
      withdrawNotice: (notice, notificationId, inS) => withdrawNotice(db, notice, notificationId, inS),
      async deleteGoneContact(userId, id) {
        await deleteContact(db, userId, id, { onlyGone: true });
      },
    },
    mostInADay: noticesPerDay,
    wake: createWaker({ broker, deleteOutbox: (ids) => deleteOutbox(db, ids), log }),
    onTold: (type) => metrics.onTold(type),
    onError: (error) => log.warn({ err: error }, "users could not be told of messages"),
  });
}
