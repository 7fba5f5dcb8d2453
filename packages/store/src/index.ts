export {
  appendMessages,
  type AppendedBatch,
  type AppendedMessage,
  type AppendResult,
  isAppended,
  type NewMessage,
  type Recipients,
} from "./append-messages.ts";
export type { AppendedEvents } from "./append-events.ts";
export {
  type ChangeResult,
  deleteAnyMessage,
  deleteMessage,
  editMessage,
  eraseContents,
  listVersions,
  markRead,
  MAX_EMOJI,
  MAX_VERSIONS,
  type MessageVersion,
  react,
} from "./change-messages.ts";
export { type Backlog, readBacklog } from "./backlog.ts";
export {
  changeContact,
  type ContactRow,
  type ContactSettings,
  createContact,
  deleteContact,
  findContact,
  findContactByToken,
  listContacts,
  type NewCode,
  sendCode,
  tryCode,
  verifyContact,
} from "./contacts.ts";
export {
  type ConversationRow,
  findConversation,
  findDirect,
  findMessage,
  findRecipients,
  hasAnswered,
  listConversations,
  listMessages,
  listOwnMessages,
  type MessageFilter,
  type MessageRow,
  type Place,
  type Reactions,
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
  type AskedLetter,
  LEASE_MS,
  leaseMs,
  readAsked,
  TIMEOUT_S_DEFAULT,
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
export { type DeliveryState, listDeliveries, type RecipientRow } from "./delivery-states.ts";
export { type EndpointNews, tellOwners } from "./endpoint-news.ts";
export { type EndpointsChanged, type NewEndpoint, UNVERIFIED } from "./endpoints.ts";
export { recoverFromFailOver } from "./fail-over.ts";
export {
  addMember,
  ban,
  changePreferences,
  changeRole,
  createGroup,
  createInvite,
  deleteInvite,
  findGroupRole,
  findInvited,
  type GroupEvent,
  type GroupNow,
  type GroupRefusal,
  type GroupResult,
  type Invite,
  inviteContext,
  joinGroup,
  listBans,
  listInvites,
  listMembers,
  MAX_BANS,
  MAX_GROUPS,
  MAX_INVITES,
  MAX_MEMBERS,
  type MemberRow,
  openDirect,
  type Preferences,
  removeMember,
  renameGroup,
  type Role,
  groupRequestContext,
  titleContext,
  unban,
} from "./groups.ts";
export { keepValue, replaceValue } from "./kept-values.ts";
export { findReport, listReports, reportContext, reportMessage, type ReportRow, resolveReports } from "./moderation.ts";
export {
  countNotices,
  deferNotice,
  dropNotice,
  type NoticeRow,
  type TakenNotice,
  takeNotices,
  tellNotice,
  withdrawNotice,
} from "./notices.ts";
export {
  createUserOfIdentity,
  deleteIdentity,
  type IdentityHolder,
  type IdentityRow,
  linkIdentity,
  listIdentities,
  type Subject,
  takeSignIn,
  useIdentity,
} from "./identities.ts";
export { findInbox, type Inbox } from "./inboxes.ts";
export { isFamiliarNetwork, rememberNetwork } from "./familiar-networks.ts";
export { isUnavailable, whyUnavailable } from "./errors.ts";
export { noteMailReport } from "./mail-reports.ts";
export { createEmbeddedMaintenance, ping, prune } from "./maintenance.ts";
export { type Connections, openStore, type Store } from "./open-store.ts";
export { deleteOutbox, takeOutbox } from "./outbox.ts";
export { listPresenceAudience, listTypingAudience } from "./signals.ts";
export { createTicket, takeTicket, type TicketHolder } from "./stream-tickets.ts";
export { agree, type Agreement, isCurrentSecret, migrate, StoreMismatch } from "./schema.ts";
export { acceptRequest, declineRequest, hasRequests, screenStrangers } from "./requests.ts";
export {
  type BotRow,
  createBot,
  createHook,
  endHook,
  type HookHolder,
  type HookRow,
  isBotOf,
  listBots,
  listHooks,
  useHook,
} from "./bots.ts";
export {
  createInvitation,
  createInvitedUser,
  deleteInvitation,
  findInvitation,
  type InvitationRow,
  listInvitations,
} from "./invitations.ts";
export { resealAll, type Resealing, SEALED_COLUMNS } from "./resealing.ts";
export {
  beginErasure,
  claimErasures,
  eraseSlice,
  holdErasure,
  listWritten,
  readAdded,
  readNotices,
  readReported,
  readSent,
  rewriteAdded,
  rewriteNotices,
  rewriteTitle,
  rewriteReported,
  rewriteSent,
  type SealedData,
  type SentContent,
  type SentPlace,
  type Written,
} from "./erasure.ts";
export { expireConversations, expireMessages, keepMessages } from "./retention.ts";
export { type CountedRequests, drawRequests, type Drawn, findPlan } from "./rate-limits.ts";
export {
  beginSession,
  type BegunSession,
  changePassword,
  changeSession,
  confirmSession,
  endSession,
  findAdmin,
  isFreshSession,
  listSessions,
  type NewSession,
  recentRevocations,
  type RefreshResult,
  rotateRefresh,
  type SessionRow,
} from "./sessions.ts";
export {
  type AccountRow,
  changeAccount,
  changeSignIn,
  countErasable,
  claimSignIn,
  createUser,
  type ErasableCounts,
  type Credentials,
  deleteUser,
  type DeletedUser,
  findAccount,
  findCredentials,
  findPasswordHash,
  NO_PASSWORD,
  findRole,
  findTaken,
  findUserByName,
  type NewUser,
  type PublicUser,
  type UniqueUserField,
} from "./users.ts";
export {
  changeEndpoint,
  createEndpoint,
  deleteEndpoint,
  disableEndpoint,
  enableEndpoint,
  type EndpointChange,
  findEndpoint,
  listEndpoints,
  OFF_BY_OWNER,
  type OwnedEndpoint,
  replay,
  type ReplayFrom,
  rotateSecret,
  type SealedForAddress,
} from "./owned-endpoints.ts";
export {
  type AttemptFilter,
  type AttemptRow,
  type DeadLetterRow,
  listAttempts,
  listDeadLetters,
  replayDeadLetters,
  type WhichDeadLetters,
} from "./delivery-log.ts";
export { type ApiTokenHolder, type ApiTokenRow, createApiToken, endApiToken, listApiTokens, useApiToken } from "./api-tokens.ts";
export { findResetContact, resetPassword, sendResetCode, tryResetCode } from "./password-resets.ts";
export { beginTotp, confirmTotp, deleteTotp, findTotp, takeRecoveryCode, takeTotpStep, type TotpRow } from "./second-factors.ts";
export { type DatabaseHealth, readHealth } from "./health.ts";
export {
  type AccountOfOperator,
  type AuditEntry,
  setPlan,
  setRole,
  type FailingEndpoint,
  findAccountByName,
  findAccountOfOperator,
  findOwner,
  listFailingEndpoints,
  noteAudit,
  signOutUser,
  listAccounts,
  listAudit,
  restoreUser,
  suspendUser,
} from "./operators.ts";
export { blockUser, foldName, type FoundUser, listBlocks, searchUsers, unblockUser } from "./people.ts";
export { GONE } from "./gone-addresses.ts";
export { type OperatorDigest, type OperatorNews, tellOperator } from "./operator-news.ts";
export { askProbe, endProbe, type Probe, type ProbeResult, readProbe, settleChallenge, takeProbes } from "./probes.ts";
export {
  announceChannels,
  createNotification,
  findNotification,
  findProvider,
  findRequest,
  listNotifications,
  type MadeNotification,
  type NewNotification,
  renewAddress,
  noteProviderId,
  type NotificationAttempt,
  type NotificationRow,
  reportNotification,
  sendScheduled,
  takeUnreported,
} from "./notifications.ts";
