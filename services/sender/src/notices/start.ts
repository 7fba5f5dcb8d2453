import type { Broker } from "@messenger/broker";
import type { Channels, Language } from "@messenger/channels";
import type { Clock, Keyring, Periodic, Random } from "@messenger/core";
import {
  countNotices,
  type Db,
  deferNotice,
  deleteContact,
  deleteOutbox,
  dropNotice,
  findProvider,
  reportNotification,
  takeNotices,
  takeUnreported,
  tellNotice,
  tellOperator,
  withdrawNotice,
} from "@messenger/store";
import type { SenderMetrics } from "../metrics.ts";
import { createWaker } from "../wakes.ts";
import { startNoticer } from "./noticer.ts";
import { startOperatorNews } from "./operator.ts";
import { startProviderReports } from "./provider-reports.ts";

export interface NoticerOptions {
  db: Db;
  broker: Pick<Broker, "publish">;
  channels: Pick<Channels, "channelFor">;
  keyring: Keyring;
  clock: Clock;
  random: Random;
  log: { warn(details: object, message: string): void };
  metrics: Pick<SenderMetrics, "onTold">;
  /** Where others reach this deployment; undefined where e-mails name no way to end them. */
  publicUrl: string | undefined;
  /** Notices by each channel, in a day. */
  noticesPerDay: number;
  /** Who is told by e-mail of endpoints that fail; undefined for nobody. */
  operatorAddress: string | undefined;
  operatorLanguage: Language;
}

/**
 * Tells users of what they have not read, and the operator of endpoints; asks providers what became of what they took.
 * On this database, until it is stopped.
 */
export function startNotices(given: NoticerOptions): Periodic {
  const { db, broker, channels, log, metrics, noticesPerDay, operatorAddress, operatorLanguage, ...options } = given;
  const wake = createWaker({ broker, deleteOutbox: (ids) => deleteOutbox(db, ids), log });
  const noticer = startNoticer({
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
    wake,
    onTold: (type) => metrics.onTold(type),
    onError: (error) => log.warn({ err: error }, "users could not be told of messages"),
  });
  const operator =
    operatorAddress === undefined
      ? undefined
      : startOperatorNews({
          ...options,
          store: { findProvider: (scheme) => findProvider(db, scheme), tellOperator: (make) => tellOperator(db, make) },
          operator: operatorAddress,
          language: operatorLanguage,
          wake,
          onError: (error) => log.warn({ err: error }, "the operator could not be told of endpoints"),
        });
  const reports = startProviderReports({
    ...options,
    store: {
      takeUnreported: (limit) => takeUnreported(db, limit),
      reportNotification: (id, status, code) => reportNotification(db, id, status, code),
    },
    channels,
    onError: (error) => log.warn({ err: error }, "providers could not be asked what became of notifications"),
  });
  return {
    async stop() {
      await Promise.all([noticer.stop(), operator?.stop(), reports.stop()]);
    },
  };
}
