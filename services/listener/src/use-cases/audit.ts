import type { Identity } from "../tokens.ts";

/** Who it is in the audit log: without a name, which would stay there when the account is erased. */
export const actorOf = ({ userId }: Identity): string => `user ${userId}`;
