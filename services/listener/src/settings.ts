import { integer } from "@messenger/runtime";

/** The settings of the API, the same wherever a listener runs. */
export const apiSettings = {
  passwordMinLength: integer("PASSWORD_MIN_LENGTH", { fallback: 8, min: 1, max: 128 }),
  tokenTtlSeconds: integer("TOKEN_TTL_SECONDS", { fallback: 3600, min: 60, max: 7 * 24 * 3600 }),
  maxMessageBytes: integer("MAX_MESSAGE_BYTES", { fallback: 65_536, min: 1, max: 8 * 1024 * 1024 }),
};
