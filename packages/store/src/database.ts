import type { ColumnType, Generated, Kysely } from "kysely";

/** A connection to the database, or a transaction on it. Every statement of this package takes one. */
export type Db = Kysely<Database>;

/** timestamptz; written by the database's clock. */
type Time = ColumnType<Date, Date | string | undefined, Date | string>;
type NullableTime = ColumnType<Date | null, Date | string | null | undefined, Date | string | null>;
type GeneratedId = ColumnType<number, never, never>;

export interface Database {
  users: {
    id: GeneratedId;
    username: string | null;
    username_key: string | null;
    phone_number: string | null;
    phone_key: string | null;
    email: string | null;
    email_key: string | null;
    full_name: string | null;
    password_hash: string;
    role: Generated<"user" | "admin">;
    receipts: Generated<boolean>;
    typing: Generated<boolean>;
    presence: Generated<boolean>;
    created_at: Time;
  };
  sessions: {
    id: GeneratedId;
    user_id: number | null;
    refresh_hash: Uint8Array | null;
    refresh_expires_at: NullableTime;
    device_name: string | null;
    public_key: string | null;
    endpoint_id: number | null;
    created_at: Time;
    last_seen_at: Time;
    refreshed_at: NullableTime;
    revoked_at: NullableTime;
    token_hash: Uint8Array | null;
    scopes: string[] | null;
  };
  inboxes: {
    id: GeneratedId;
    user_id: number | null;
    address: string | null;
    head: Generated<number>;
    floor: Generated<number>;
    version: Generated<number>;
    has_contacts: Generated<boolean>;
  };
  events: {
    inbox_id: number;
    seq: number;
    id: string;
    kind: string;
    message_id: string | null;
    message_version: number | null;
    data: Uint8Array | null;
    conversation_id: number | null;
    created_at: Time;
  };
  endpoints: {
    id: GeneratedId;
    inbox_id: number;
    address: string;
    kinds: string[];
    kept_by: Generated<"sessions" | "owner">;
    secret: Uint8Array;
    previous_secret: Uint8Array | null;
    previous_secret_until: NullableTime;
    signing_key: Uint8Array | null;
    headers: Uint8Array | null;
    is_thin: Generated<boolean>;
    timeout_s: Generated<number>;
    max_per_second: number | null;
    max_in_flight: Generated<number>;
    verified_at: NullableTime;
    begins_off: Generated<boolean>;
    replaying: Generated<boolean>;
    is_told: Generated<boolean>;
    warned_for: NullableTime;
    cursor: Generated<number>;
    attached_at: Generated<number>;
    failures: Generated<number>;
    server_errors: Generated<number>;
    rejections: Generated<number>;
    rejected_at: NullableTime;
    failing_since: NullableTime;
    retry_at: NullableTime;
    lease_by: string | null;
    generation: Generated<number>;
    state: Generated<"active" | "off">;
    reason: string | null;
    created_at: Time;
  };
  conversations: {
    id: GeneratedId;
    low_user_id: number | null;
    high_user_id: number | null;
    title: Uint8Array | null;
    members_version: Generated<number>;
    keep_days: number | null;
    expired_at: NullableTime;
    request_key: Uint8Array | null;
    request: Uint8Array | null;
    created_at: Time;
  };
  participants: {
    conversation_id: number;
    user_id: number;
    role: "owner" | "admin" | "member" | null;
    joined_at: NullableTime;
    read_at: NullableTime;
    read_id: string | null;
    muted: Generated<boolean>;
    archived: Generated<boolean>;
    pinned: Generated<boolean>;
    request: "waiting" | "declined" | null;
  };
  bans: { conversation_id: number; user_id: number; by_user_id: number; at: Time };
  invites: {
    id: string;
    conversation_id: number;
    token_hash: Uint8Array;
    token: Uint8Array;
    by_user_id: number;
    created_at: Time;
    expires_at: Date;
  };
  abandoned_groups: { conversation_id: number; at: Time };
  stream_tickets: { hash: Uint8Array; session_id: number; expires_at: Date };
  reactions: { message_id: string; emoji: string; user_id: number; at: Time };
  messages: {
    id: string;
    conversation_id: number;
    sender_id: number;
    content: Uint8Array | null;
    request_key: Uint8Array | null;
    sent_at: Time;
    created_at: Time;
    version: Generated<number>;
    edited_at: NullableTime;
    deleted_at: NullableTime;
  };
  message_versions: { message_id: string; version: number; content: Uint8Array; at: Date };
  outbox: { id: GeneratedId; created_at: Time; due_at: Time; inbox_ids: number[] };
  attempts: {
    endpoint_id: number;
    seq: number;
    attempt: number;
    at: Time;
    outcome: string;
    status: number | null;
    ms: number;
    error: string | null;
  };
  dead_letters: { endpoint_id: number; seq: number; reason: string; at: Time; is_told: Generated<boolean> };
  familiar_networks: { user_id: number; network: string; at: Time };
  contacts: {
    id: GeneratedId;
    user_id: number;
    type: string;
    address: string;
    secret: Uint8Array | null;
    session_id: number | null;
    verified_at: NullableTime;
    code: Uint8Array | null;
    code_at: NullableTime;
    code_tries: Generated<number>;
    shows_content: Generated<boolean>;
    language: Generated<string>;
    delay_s: number;
    window_s: number;
    quiet_from: number | null;
    quiet_until: number | null;
    time_zone: Generated<string>;
    token: Uint8Array;
    token_hash: Uint8Array;
    created_at: Time;
  };
  notices: {
    contact_id: number;
    conversation_id: number;
    waiting: Generated<number>;
    message_id: string | null;
    due_at: NullableTime;
    sent_at: NullableTime;
    notification_id: string | null;
  };
  names: { key: string; user_id: number };
  meta: { key: string; value: string };
}
