import { randomBytes } from "node:crypto";
import { Secret, TOTP } from "otpauth";
import { totpContext } from "@messenger/core";
import { tokenHash } from "@messenger/runtime";
import { beginTotp, confirmTotp, deleteTotp, findTotp, takeRecoveryCode, takeTotpStep, type TotpRow } from "@messenger/store";
import type { Context } from "../context.ts";
import { Refused } from "../refused.ts";
import type { Identity } from "../tokens.ts";

/** Codes of an authenticator (TOTP, RFC 6238), beside the password. */
export interface SecondFactor {
  /** Begins to set one up. @throws {Refused} taken */
  begin(by: Identity): Promise<{ secret: string; uri: string }>;
  /** Asks for codes from now on; returns the recovery codes. @throws {Refused} wrong_code, taken */
  confirm(by: Identity, code: string): Promise<readonly string[]>;
  delete(by: Identity): Promise<void>;
  /** Whether log-ins of a user need a code, and this is one. Each is good once. */
  check(userId: number, code: string | undefined): Promise<"fine" | "needed" | "wrong">;
}

const SECRET_BYTES = 20;
const PERIOD_S = 30;
/** Steps before and after the present one, for clocks that are not quite right (RFC 6238, 5.2). */
const WINDOW = 1;
const RECOVERY_CODES = 10;
/** 50 bits each, as five letters and digits twice. */
const ALPHABET = "abcdefghjkmnpqrstuvwxyz234567890";

function newRecoveryCode(): string {
  const letters = Array.from(randomBytes(10), (byte) => ALPHABET[byte % ALPHABET.length]).join("");
  return `${letters.slice(0, 5)}-${letters.slice(5)}`;
}

const recoveryHash = (userId: number, code: string): Uint8Array => tokenHash(`recovery ${userId} ${code}`);

export function createSecondFactor({ db, keyring, clock }: Context): SecondFactor {
  function authenticatorOf(userId: number, { secret }: Pick<TotpRow, "secret">, label: string): TOTP {
    const bytes = keyring.webhookSecrets.unseal(totpContext(userId), secret);
    return new TOTP({
      issuer: "Messenger",
      label,
      secret: new Secret({ buffer: Uint8Array.from(bytes).buffer }),
      period: PERIOD_S,
    });
  }

  /** Whether this is a code of the authenticator that was not used before. */
  async function take(userId: number, row: TotpRow, code: string): Promise<boolean> {
    const now = clock.now();
    const delta = authenticatorOf(userId, row, "").validate({ token: code, timestamp: now, window: WINDOW });
    return delta !== null && takeTotpStep(db, userId, Math.floor(now / 1000 / PERIOD_S) + delta);
  }

  return {
    async begin({ userId, name }) {
      const secret = keyring.webhookSecrets.seal(totpContext(userId), randomBytes(SECRET_BYTES));
      if (!(await beginTotp(db, userId, secret)))
        throw new Refused("taken", "there is an authenticator already: delete it first");
      const authenticator = authenticatorOf(userId, { secret }, name);
      return { secret: authenticator.secret.base32, uri: authenticator.toString() };
    },
    async confirm({ userId }, code) {
      const row = await findTotp(db, userId);
      if (row?.isConfirmed === true) throw new Refused("taken", "it is confirmed already");
      if (row === null || !(await take(userId, row, code)))
        throw new Refused("wrong_code", "this is not the code that the authenticator shows now, or it was used before");
      const codes = Array.from({ length: RECOVERY_CODES }, newRecoveryCode);
      const hashes = codes.map((one) => recoveryHash(userId, one));
      if (!(await confirmTotp(db, userId, hashes))) throw new Refused("taken", "it is confirmed already");
      return codes;
    },
    delete: ({ userId }) => deleteTotp(db, userId),
    async check(userId, code) {
      const row = await findTotp(db, userId);
      if (row?.isConfirmed !== true) return "fine";
      if (code === undefined) return "needed";
      const given = code.trim().toLowerCase();
      const isRight = /^\d{6}$/u.test(given)
        ? await take(userId, row, given)
        : await takeRecoveryCode(db, userId, recoveryHash(userId, given));
      return isRight ? "fine" : "wrong";
    },
  };
}
