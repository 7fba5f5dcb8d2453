import { type Static, Type } from "typebox";
import { Email, FullName, Id, Password, PhoneNumber, PublicKey, Username } from "./fields.ts";

/** Either user name, phone number and password, or e-mail address, full name and password. */
export const NewUserBody = Type.Object({
  username: Type.Optional(Username),
  phone_number: Type.Optional(PhoneNumber),
  email: Type.Optional(Email),
  full_name: Type.Optional(FullName),
  password: Password,
});
export type NewUserBody = Static<typeof NewUserBody>;

/** What a client needs to act as a session. */
export const SessionTokens = Type.Object({
  access_token: Type.String(),
  refresh_token: Type.String(),
  token_type: Type.Literal("Bearer"),
  /** Seconds. */
  expires_in: Type.Integer(),
});
export type SessionTokens = Static<typeof SessionTokens>;

export const NewUserAnswer = Type.Interface([SessionTokens], {
  user_id: Id,
  username: Type.Union([Type.String(), Type.Null()]),
});

/** `?username=`, or the same as a JSON body. */
export const FindUserQuery = Type.Object({ username: Type.Optional(Username), q: Type.Optional(Type.String()) });
export type FindUserQuery = Static<typeof FindUserQuery>;

export const UserAnswer = Type.Object({
  user_id: Id,
  username: Type.String(),
  full_name: Type.Union([Type.String(), Type.Null()]),
  public_key: Type.Union([PublicKey, Type.Null()]),
});

export const DeleteUserBody = Type.Object({ user_id: Id });
export type DeleteUserBody = Static<typeof DeleteUserBody>;

export const DeleteUserAnswer = Type.Object({ msg: Type.String(), user_id: Id });
