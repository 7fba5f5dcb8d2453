import {
  clearLevel,
  type Db,
  deferInboxes,
  deleteOutbox,
  endLeases,
  holdLeases,
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
    readEvents: (wanted, maxBytes) => readEvents(db, wanted, maxBytes),
    takeLeases: (by, endpoints) => takeLeases(db, by, endpoints),
    holdLeases: (by, endpoints) => holdLeases(db, by, endpoints),
    endLeases: (by, endpoints) => endLeases(db, by, endpoints),
    deferInboxes: (inboxes) => deferInboxes(db, inboxes),
    clearLevel: (by, endpoints) => clearLevel(db, by, endpoints),
    recordProgress: (by, progress) => recordProgress(db, by, progress),
    takeOutbox: (limit) => takeOutbox(db, limit),
    deleteOutbox: (ids) => deleteOutbox(db, ids),
    takeDue: (limit) => takeDue(db, limit),
    prune: (days) => prune(db, days),
  };
}
