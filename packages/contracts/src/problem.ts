import { Type } from "typebox";

/** Problem details (RFC 9457). */
export const Problem = Type.Object({
  type: Type.String(),
  title: Type.String(),
  status: Type.Integer(),
  /** What went wrong, for a person. */
  detail: Type.Optional(Type.String()),
  /** What went wrong, for a program: stable. */
  code: Type.String(),
  request_id: Type.String(),
});
