import { addressOf, compose, type Language, readEmailAddress, SECRET_BYTES } from "@messenger/channels";
import {
  type Clock,
  createIds,
  type Keyring,
  type Periodic,
  type Random,
  runPeriodically,
  webhookSecretContext,
} from "@messenger/core";
import type { EndpointsChanged, MadeNotification, NewNotification, OperatorDigest } from "@messenger/store";

/** What telling the operator needs of the store. */
export interface OperatorStore {
  findProvider(scheme: string): Promise<string | null>;
  tellOperator(make: (digest: OperatorDigest) => NewNotification): Promise<MadeNotification | null>;
}

const EVERY_MS = 30_000;
const SCHEME = "mailto:";

/** Tells the operator by e-mail what became of endpoints. Any number of senders can do so at the same time. */
export function startOperatorNews(deps: {
  store: OperatorStore;
  keyring: Keyring;
  clock: Clock;
  random: Random;
  /** An e-mail address. */
  operator: string;
  language: Language;
  wake(changed: EndpointsChanged): void;
  onError(error: unknown): void;
}): Periodic {
  const { store, keyring, clock, random, language } = deps;
  const ids = createIds({ clock, random });
  const address = addressOf(SCHEME, readEmailAddress(deps.operator) as string);

  function notificationOf(digest: OperatorDigest, provider: string): NewNotification {
    const id = ids.next();
    const seal = (value: object): Uint8Array => keyring.contents.seal(id, Buffer.from(JSON.stringify(value)));
    const { subject, text, html } = compose(language, "operator", digest);
    return {
      id,
      userId: 0, // nobody's
      type: "email",
      purpose: "operator",
      address,
      recipient: seal({ recipient: "" }),
      data: seal({ subject, content: text, html }),
      provider,
      sendAt: null,
      sealSecret: (inbox) => keyring.webhookSecrets.seal(webhookSecretContext(inbox, address), random.bytes(SECRET_BYTES)),
      request: null,
    };
  }

  return runPeriodically({
    clock,
    everyMs: EVERY_MS,
    onError: (error) => deps.onError(error),
    async round() {
      const provider = await store.findProvider(SCHEME);
      if (provider === null) return; // it waits
      const told = await store.tellOperator((digest) => notificationOf(digest, provider));
      if (told?.status === "made" && told.changed !== null) deps.wake(told.changed);
    },
  });
}
