export { type Clock, systemClock, type Random, systemRandom, type Timer } from "./clock.ts";
export { createBatcher, type Batcher, BatcherFull } from "./batcher.ts";
export {
  type EventKind,
  incarnationOf,
  type InboxEvent,
  isCompleteInBroker,
  isErased,
  KNOWN_KINDS,
  type LiveNotice,
  type LiveSignal,
  PARTITIONS_DEFAULT,
  partitionOf,
  type PlainEvent,
  type QueueMessage,
} from "./event.ts";
export { createIds, type Ids } from "./ids.ts";
export {
  checkUsername,
  DELETED_NAME,
  emailKey,
  InvalidName,
  keyOr,
  type LoginKeys,
  loginKeys,
  phoneKey,
  usernameKey,
} from "./names.ts";
export { type Address, parseAddress, schemeOf } from "./address.ts";
export { fieldsOf, type MessageContent, readContent, storedContent } from "./message-content.ts";
export { delayAfterFailure } from "./retry-schedule.ts";
export { type Periodic, retry, type RetryOptions, runPeriodically, sleep, unlessAborted } from "./periodic.ts";
export { createTimeLimit, type TimeLimit } from "./time-limit.ts";
export {
  answerContext,
  contactCodeContext,
  contactSecretContext,
  contactTokenContext,
  resetCodeContext,
  signInContext,
  totpContext,
  createKeyring,
  endpointHeadersContext,
  type Keyring,
  type Sealer,
  SealError,
  signingKeyContext,
  webhookSecretContext,
} from "./sealing.ts";
export { parseTraceparent, partsOf, traceIdOf } from "./trace.ts";
export { parseSendDate } from "./send-date.ts";
