import { type Static, Type } from "typebox";
import { FullCode, LoginName, Password } from "./fields.ts";
import { type Route, shape, SMALL_BYTES } from "./route.ts";

/** A password may be written in escapes, of six bytes for each character. */
const PASSWORD_BYTES = 16 * 1024;

export const BeginTotp = shape(
  "BeginTotp",
  { password: Password },
  { password: "correct horse battery staple" },
  { additionalProperties: false },
);

export const BegunTotp = shape(
  "BegunTotp",
  {
    secret: Type.String({ description: "In Base32, for who types it." }),
    uri: Type.String({ description: "`otpauth://…`, to be shown as a QR code." }),
  },
  {
    secret: "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP",
    uri: "otpauth://totp/Messenger:ada?issuer=Messenger&secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP&algorithm=SHA1&digits=6&period=30",
  },
);

export const ConfirmTotp = shape(
  "ConfirmTotp",
  { code: Type.String({ pattern: "^\\d{6}$", description: "That the authenticator shows." }) },
  { code: "287082" },
  { additionalProperties: false },
);

export const RecoveryCodes = shape(
  "RecoveryCodes",
  {
    recovery_codes: Type.Array(Type.String(), { description: "Each stands in for a code, once. They are shown once." }),
  },
  { recovery_codes: ["k7m2p-x9q4c", "b3h8n-w6t5r"] },
);

export const DeleteTotp = shape(
  "DeleteTotp",
  { password: Password, code: FullCode },
  { password: "correct horse battery staple", code: "287082" },
  { additionalProperties: false },
);
export type DeleteTotp = Static<typeof DeleteTotp>;

export const RequestReset = shape("RequestReset", { username: LoginName }, { username: "ada" }, { additionalProperties: false });

export const ConfirmReset = shape(
  "ConfirmReset",
  { username: LoginName, code: Type.String({ pattern: "^\\d{6}$" }), password: Password },
  { username: "ada", code: "287082", password: "a better one than before" },
  { additionalProperties: false },
);
export type ConfirmReset = Static<typeof ConfirmReset>;

const ofTotp = { auth: "session", tag: "account", bodyLimit: PASSWORD_BYTES } as const;
const ofReset = { auth: "public", tag: "sessions", bodyLimit: PASSWORD_BYTES } as const;

export const SECOND_FACTOR_ROUTES = {
  beginTotp: {
    ...ofTotp,
    method: "POST",
    path: "/api/users/me/totp",
    summary: "Begin to set up an authenticator",
    description: "Log-ins need a code of it (TOTP, RFC 6238) once it is confirmed. One that was not confirmed is replaced.",
    isSecret: true,
    body: BeginTotp,
    answer: { status: 201, description: "What the authenticator needs.", body: BegunTotp },
    problems: ["wrong_password", "too_many_attempts", "taken"],
  },
  confirmTotp: {
    ...ofTotp,
    method: "POST",
    path: "/api/users/me/totp/confirm",
    summary: "Confirm an authenticator",
    description: "By the code that it shows. From then on, log-ins need one.",
    isSecret: true,
    body: ConfirmTotp,
    bodyLimit: SMALL_BYTES,
    answer: { status: 200, description: "Codes for when the authenticator is lost.", body: RecoveryCodes },
    problems: ["wrong_code", "taken", "too_many_attempts"],
  },
  deleteTotp: {
    ...ofTotp,
    method: "DELETE",
    path: "/api/users/me/totp",
    summary: "Delete an authenticator",
    description: "By the password, and a code of it or a recovery code. Log-ins need no code any more.",
    body: DeleteTotp,
    answer: { status: 204, description: "There is none any more." },
    problems: ["wrong_password", "wrong_code", "too_many_attempts"],
  },
  requestReset: {
    ...ofReset,
    method: "POST",
    path: "/api/password-resets",
    summary: "Ask for a code for a forgotten password",
    description:
      "It is sent to the verified e-mail address of who is known by this name, or else to their phone. The answer is the same where there is nobody, or nowhere to send it.",
    body: RequestReset,
    answer: { status: 202, description: "A code is sent, if there is somebody to send it to." },
    problems: ["too_many_attempts"],
  },
  confirmReset: {
    ...ofReset,
    method: "POST",
    path: "/api/password-resets/confirm",
    summary: "Replace a forgotten password",
    description:
      "By the code that was sent, within 15 minutes and five tries. All sessions end; an authenticator is still asked for.",
    body: ConfirmReset,
    answer: { status: 204, description: "The password is another one." },
    problems: ["wrong_code", "too_many_attempts"],
  },
} as const satisfies Record<string, Route>;
