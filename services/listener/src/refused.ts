import type { ProblemCode } from "@messenger/contracts";

/** Where one is not in a conversation, one does not learn whether it exists. */
export const noSuchConversation = (): Refused =>
  new Refused("no_such_conversation", "there is no such conversation, or you are not in it");

/** Why something is not done: thrown by whatever looks into it, and answered as the problem of that code. */
export class Refused extends Error {
  override readonly name = "Refused";
  readonly code: ProblemCode;
  readonly retryAfterSeconds: number | undefined;

  /** `detail` says to a person what is wrong, and with what. */
  constructor(code: ProblemCode, detail: string, retryAfterSeconds?: number) {
    super(detail);
    this.code = code;
    this.retryAfterSeconds = retryAfterSeconds;
  }
}
