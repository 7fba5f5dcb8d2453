import type { ProviderSettings } from "@messenger/channels";
import {
  optional,
  publicUrlSetting,
  secretText,
  secretUrl,
  SettingsError,
  type SettingsValues,
  string,
  webUrl,
} from "@messenger/runtime";

const text = (name: string) => optional(string(name, { fallback: "" }));

/** Who delivers to people. Where nothing is given, nobody does. */
export const providerSettings = {
  publicUrl: optional(publicUrlSetting),
  smtpUrl: optional(secretUrl("SMTP_URL", ["smtp:", "smtps:"])),
  secondSmtpUrl: optional(secretUrl("SMTP_URL_2", ["smtp:", "smtps:"])),
  mailFrom: text("MAIL_FROM"),
  twilioAccountSid: text("TWILIO_ACCOUNT_SID"),
  twilioAuthToken: optional(secretText("TWILIO_AUTH_TOKEN")),
  twilioSmsFrom: text("TWILIO_SMS_FROM"),
  twilioWhatsAppFrom: text("TWILIO_WHATSAPP_FROM"),
  twilioUrl: webUrl("TWILIO_URL", { fallback: "https://api.twilio.com" }),
  metaToken: optional(secretText("META_TOKEN")),
  metaPhoneNumberId: text("META_PHONE_NUMBER_ID"),
  metaUrl: webUrl("META_URL", { fallback: "https://graph.facebook.com/v25.0" }),
};

type Given = SettingsValues<typeof providerSettings>;

/** Whom push services may write to: some demand that there is somebody. */
export function contactOf({ publicUrl, mailFrom }: Pick<Given, "publicUrl" | "mailFrom">): string | undefined {
  if (publicUrl?.startsWith("https:") === true) return publicUrl;
  const address = /<([^<>]+)>\s*$/u.exec(mailFrom ?? "")?.[1] ?? mailFrom;
  return address === undefined ? undefined : `mailto:${address}`;
}

/** @throws {SettingsError} where one is given that needs another one. */
export function providersOf(given: Given): Omit<ProviderSettings, "pretend" | "webPush"> {
  const faults: string[] = [];
  function needs<Name extends string>(what: string, values: Record<Name, string | undefined>): Record<Name, string> {
    for (const [name, value] of Object.entries(values))
      if (value === undefined) faults.push(`${name}: it must be set, as ${what} is`);
    return values as Record<Name, string>;
  }
  const { smtpUrl, mailFrom, twilioSmsFrom, twilioWhatsAppFrom, metaToken, metaPhoneNumberId, metaUrl: baseUrl } = given;

  function twilio(what: string, from: string) {
    const { TWILIO_ACCOUNT_SID: accountSid, TWILIO_AUTH_TOKEN: authToken } = needs(what, {
      TWILIO_ACCOUNT_SID: given.twilioAccountSid,
      TWILIO_AUTH_TOKEN: given.twilioAuthToken,
    });
    return { accountSid, authToken, from, baseUrl: given.twilioUrl, publicUrl: given.publicUrl };
  }

  const { secondSmtpUrl } = given;
  if (secondSmtpUrl !== undefined) needs("SMTP_URL_2", { SMTP_URL: smtpUrl });
  const email =
    smtpUrl === undefined ? undefined : { smtpUrl, secondSmtpUrl, from: needs("SMTP_URL", { MAIL_FROM: mailFrom }).MAIL_FROM };
  const sms = twilioSmsFrom === undefined ? undefined : twilio("TWILIO_SMS_FROM", twilioSmsFrom);
  const byTwilio = twilioWhatsAppFrom === undefined ? undefined : twilio("TWILIO_WHATSAPP_FROM", twilioWhatsAppFrom);
  const byMeta =
    metaToken === undefined
      ? undefined
      : {
          token: metaToken,
          phoneNumberId: needs("META_TOKEN", { META_PHONE_NUMBER_ID: metaPhoneNumberId }).META_PHONE_NUMBER_ID,
          baseUrl,
        };
  if (faults.length > 0) throw new SettingsError(faults);
  return { email, sms, whatsapp: { twilio: byTwilio, meta: byMeta } };
}
