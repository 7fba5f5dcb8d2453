import {
  clearLevel,
  type Db,
  deleteOutbox,
  loadMailboxes,
  prune,
  readEvents,
  recordProgress,
  takeDue,
  takeLeases,
  takeOutbox,
} from "@messenger/store";
import type { SenderStore } from "./sender.ts";

/** The sender's statements, on this database. */
export function senderStore(db: Db): SenderStore {
  return {
    loadMailboxes: (inboxes) => loadMailboxes(db, inboxes),
    readEvents: (wanted, limit) => readEvents(db, wanted, limit),
    takeLeases: (by, endpoints) => takeLeases(db, by, endpoints),
    clearLevel: (by, endpoints) => clearLevel(db, by, endpoints),
    recordProgress: (by, progress) => recordProgress(db, by, progress),
    takeOutbox: (limit) => takeOutbox(db, limit),
    deleteOutbox: (ids) => deleteOutbox(db, ids),
    takeDue: (limit) => takeDue(db, limit),
    prune: (days) => prune(db, days),
  };
}
