export {
  appendMessages,
  type AppendedBatch,
  type AppendedMessage,
  type AppendResult,
  type NewMessage,
} from "./append-messages.ts";
export {
  type AppendedEvents,
  type ChangeResult,
  deleteMessage,
  editMessage,
  listVersions,
  markRead,
  MAX_VERSIONS,
  type MessageVersion,
} from "./change-messages.ts";
export { type Backlog, readBacklog } from "./backlog.ts";
export {
  type ConversationRow,
  findConversation,
  listConversations,
  listMessages,
  type MessageRow,
  type Place,
} from "./conversations.ts";
export type { Db } from "./database.ts";
export {
  type Attempt,
  breakLeases,
  type ClearAnswer,
  clearLevel,
  deferInboxes,
  endLeases,
  type EndpointRow,
  holdLeases,
  LEASE_MS,
  type LeaseAnswer,
  loadMailboxes,
  type MailboxRow,
  type Progress,
  type ProgressAnswer,
  readEvents,
  recordProgress,
  repair,
  takeDue,
  takeLeases,
} from "./deliveries.ts";
export { recoverFromFailOver } from "./fail-over.ts";
export { findInbox, type Inbox } from "./inboxes.ts";
export { isFamiliarNetwork, rememberNetwork } from "./familiar-networks.ts";
export { isUnavailable, whyUnavailable } from "./errors.ts";
export { createEmbeddedMaintenance, ping, prune } from "./maintenance.ts";
export { findMessage, type StoredMessage } from "./messages.ts";
export { type Connections, openStore, type Store } from "./open-store.ts";
export { deleteOutbox, takeOutbox } from "./outbox.ts";
export { agree, type Agreement, migrate, StoreMismatch } from "./schema.ts";
export {
  beginSession,
  type BegunSession,
  type EndpointsChanged,
  endSession,
  type NewEndpoint,
  type NewSession,
  recentRevocations,
  type RefreshResult,
  rotateRefresh,
} from "./sessions.ts";
export {
  createUser,
  type Credentials,
  deleteUser,
  findCredentials,
  findRole,
  findTaken,
  findUserByName,
  type LoginKeys,
  type NewUser,
  type PublicUser,
  type UniqueUserField,
} from "./users.ts";
