import { type Static, Type } from "typebox";
import { Id, LoginName, Password, PublicKey, UserAddress } from "./fields.ts";
import { SessionTokens } from "./users.ts";

export const LoginBody = Type.Object({
  username: LoginName,
  password: Password,
  user_address: UserAddress,
  public_key: PublicKey,
});
export type LoginBody = Static<typeof LoginBody>;

export const LoginAnswer = Type.Interface([SessionTokens], {
  msg: Type.String(),
  user_id: Id,
  /** The access token. */
  token: Type.String(),
  /** Signs the pushes to `user_address`; shown only now. */
  webhook_secret: Type.String(),
  /** Why nothing is pushed to `user_address`; null where it is. */
  address_refusal: Type.Union([Type.String(), Type.Null()]),
});

export const LogoutBody = Type.Object({ username: LoginName });
export type LogoutBody = Static<typeof LogoutBody>;

export const LogoutAnswer = Type.Object({ msg: Type.String(), username: Type.String() });

export const RefreshBody = Type.Object(
  { refresh_token: Type.String({ minLength: 1, maxLength: 200 }) },
  { additionalProperties: false },
);
export type RefreshBody = Static<typeof RefreshBody>;
