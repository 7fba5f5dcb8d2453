import { Type } from "typebox";

/** An id of a user, an inbox, an endpoint or a conversation. */
export const Id = Type.Integer({ minimum: 1, maximum: Number.MAX_SAFE_INTEGER });
/** A sequence number within an inbox. */
export const Seq = Type.Integer({ minimum: 1, maximum: Number.MAX_SAFE_INTEGER });
export const Username = Type.String({ minLength: 1, maxLength: 64 });
export const Password = Type.String({ minLength: 1, maxLength: 1024 });
/** Of any characters. */
export const PhoneNumber = Type.String({ minLength: 5, maxLength: 32 });
export const Email = Type.String({ minLength: 3, maxLength: 254 });
export const FullName = Type.String({ minLength: 1, maxLength: 200 });
/** What somebody signs in by: a user name, an e-mail address or a phone number. */
export const LoginName = Type.String({ minLength: 1, maxLength: 254 });
/** Where messages are pushed to: a URL, or a bare `host` or `host:port`. */
export const UserAddress = Type.String({ minLength: 1, maxLength: 2000 });
/** What an authenticator shows, or a recovery code. */
export const FullCode = Type.String({
  minLength: 6,
  maxLength: 20,
  description: "That the authenticator shows, or a recovery code: for who has set one up.",
});
export const PublicKey = Type.String({ minLength: 1, maxLength: 16_384 });
/** ISO 8601 or `YYYY-MM-DD HH:MM:SS`; UTC where it has no zone. */
export const SendDate = Type.String({ minLength: 10, maxLength: 40 });
/** RFC 3339, UTC, with milliseconds. */
export const Timestamp = Type.String({ maxLength: 40 });
