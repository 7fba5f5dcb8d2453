import {
  announceChannels,
  clearLevel,
  type Db,
  deferInboxes,
  deleteOutbox,
  endLeases,
  endProbe,
  holdLeases,
  loadMailboxes,
  prune,
  readAsked,
  readEvents,
  recordProgress,
  sendScheduled,
  settleChallenge,
  takeDue,
  takeLeases,
  takeOutbox,
  takeProbes,
  tellOwners,
} from "@messenger/store";
import type { SenderStore } from "./sender.ts";

/** The sender's statements, on this database. */
export function senderStore(db: Db): SenderStore {
  return {
    loadMailboxes: (inboxes) => loadMailboxes(db, inboxes),
    readEvents: (wanted, maxBytes) => readEvents(db, wanted, maxBytes),
    readAsked: (endpoint, maxBytes) => readAsked(db, endpoint, maxBytes),
    takeLeases: (by, endpoints) => takeLeases(db, by, endpoints),
    holdLeases: (by, endpoints) => holdLeases(db, by, endpoints),
    endLeases: (by, endpoints) => endLeases(db, by, endpoints),
    deferInboxes: (inboxes) => deferInboxes(db, inboxes),
    clearLevel: (by, endpoints) => clearLevel(db, by, endpoints),
    recordProgress: (by, progress) => recordProgress(db, by, progress),
    takeOutbox: (limit) => takeOutbox(db, limit),
    deleteOutbox: (ids) => deleteOutbox(db, ids),
    takeDue: (limit) => takeDue(db, limit),
    takeProbes: (limit) => takeProbes(db, limit),
    endProbe: (id, result) => endProbe(db, id, result),
    settleChallenge: (endpoint, refusal) => settleChallenge(db, endpoint, refusal),
    tellOwners: (limit, describe) => tellOwners(db, limit, describe),
    sendScheduled: (limit) => sendScheduled(db, limit),
    announceChannels: (channels) => announceChannels(db, channels),
    prune: (days) => prune(db, days),
  };
}
