import { once, setMaxListeners } from "node:events";
import { Server } from "node:net";
import type { AddressInfo } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import type { Broker } from "@messenger/broker";
import { type AddressGuard, newVapidKey, openChannels, VAPID_KEY, vapidPublicKey } from "@messenger/channels";
import { type Clock, createIds, type Keyring, type Random } from "@messenger/core";
import { CannotStart, createClosing, loadOwnKey, type Logger, type Registry, type Tracing } from "@messenger/runtime";
import { appendMessages, deleteOutbox, ping, recentRevocations, type Store, useApiToken, whyUnavailable } from "@messenger/store";
import { type App, createApp } from "./app.ts";
import { type AppendQueueDeps, createAppendQueue } from "./append-queue.ts";
import type { ApiSettings, Context } from "./context.ts";
import { createListenerMetrics } from "./metrics.ts";
import { createOidcProviders } from "./oidc.ts";
import { createPasswords } from "./passwords.ts";
import { createPublisher } from "./publisher.ts";
import { startRevocations } from "./revocations.ts";
import { createReceipts, newReceiptKey, RECEIPT_KEY } from "./receipts.ts";
import { createTokens } from "./tokens.ts";
import { createApiTokens } from "./api-tokens.ts";

export interface ListenerOptions {
  store: Store;
  broker: Broker;
  keyring: Keyring;
  guard: AddressGuard;
  clock: Clock;
  random: Random;
  log: Logger;
  registry: Registry;
  tracing?: Tracing | undefined;
  settings: ApiSettings;
  tokenTtlSeconds: number;
  host: string;
  /** 0 takes a free one. */
  port: number;
  /** How long open connections are still answered when it closes, at most. */
  closeGraceMs: number;
  /**
   * How long it refuses connections before it cuts idle ones and closes. If not given, it closes once nothing
   * is open.
   */
  drainMs?: number;
}

export interface Listener {
  /** Where it listens: `http://127.0.0.1:5000`. */
  readonly url: string;
  /** Accepts no more connections, answers those that are open, and publishes what was accepted. */
  close(): Promise<void>;
}

/** Answers the HTTP API on a port, until it is closed. */
export async function startListener(options: ListenerOptions): Promise<Listener> {
  const { store, broker, clock, random, log } = options;
  const { db } = store;
  const closing = createClosing();
  const metrics = createListenerMetrics(options.registry);
  const onError = (error: unknown): void => log.warn({ err: error }, "the store could not be written or read");

  const publisher = createPublisher({
    broker,
    clock,
    deleteOutbox: (ids) => deleteOutbox(db, ids),
    onPublished: metrics.onPublished,
    onError,
  });
  const appending: AppendQueueDeps = {
    clock,
    appendMessages: (messages) => appendMessages(db, messages),
    whyUnavailable,
    onAppended: (batch) => publisher.publishEvents(batch),
    onBatch: (size, ms) => metrics.onBatch(size, ms),
    onError,
  };
  const appends = createAppendQueue(appending);
  const groupAppends = createAppendQueue({ ...appending, maxBatch: GROUP_MESSAGES_AT_ONCE });
  metrics.observe({ waiting: () => appends.waiting + groupAppends.waiting });
  const revocations = await startRevocations({
    recentRevocations: (seconds) => recentRevocations(db, seconds),
    ttlSeconds: options.tokenTtlSeconds,
    clock,
    onError,
  });
  closing.add(() => revocations.stop());
  closing.add(() => publisher.idle());

  const channels = openChannels({ guard: options.guard, clock, random });
  const vapidKey = await loadOwnKey(db, options.keyring, VAPID_KEY, newVapidKey);
  closing.add(() => channels.close());

  const oidc = createOidcProviders({
    providers: options.settings.oidcProviders,
    guard: options.guard,
    clock,
    onRefused: (provider, error) => log.warn({ provider, err: error }, "a sign-in through a provider failed"),
  });
  closing.add(() => oidc.close());

  const stopping = new AbortController();
  setMaxListeners(0, stopping.signal); // one for each stream

  const context: Context = {
    settings: options.settings,
    db,
    appends,
    groupAppends,
    publisher,
    keyring: options.keyring,
    apiTokens: createApiTokens({ use: (hash) => useApiToken(db, hash), clock }),
    tokens: createTokens({ keys: options.keyring.tokenKeys, ttlSeconds: options.tokenTtlSeconds, clock, random }),
    passwords: await createPasswords(),
    oidc,
    revocations,
    receipts: await createReceipts(await loadOwnKey(db, options.keyring, RECEIPT_KEY, newReceiptKey), clock),
    subscribe: (inbox, onNotice) => broker.subscribe(inbox, onNotice),
    notify: (notices) => broker.notify(notices),
    closing: stopping.signal,
    guard: options.guard,
    pushKey: vapidPublicKey(vapidKey),
    channels,
    clock,
    random,
    ids: createIds({ clock, random }),
    metrics,
    tracing: options.tracing,
    log,
    whyUnavailable,
    async unreadiness() {
      if (!(await revocations.freshen())) return "the database does not answer";
      return ping(db).then(
        () => undefined,
        () => "the database does not answer",
      );
    },
  };
  const app = await createApp(context);
  try {
    const url = await listen(app, options.host, options.port);
    closing.add(() => closeApp(app, options.closeGraceMs, options.drainMs ?? 0));
    closing.add(() => Promise.resolve(stopping.abort()));
    return { url, close: () => closing.closeAll() };
  } catch (error) {
    await closing.closeAll();
    throw error;
  }
}

/** Each of them may be 256 events. */
const GROUP_MESSAGES_AT_ONCE = 16;

/** @throws {CannotStart} where the port cannot be had. */
async function listen(app: App, host: string, port: number): Promise<string> {
  try {
    await app.listen({ host, port });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "EADDRINUSE") {
      throw new CannotStart(`something listens on port ${port} of ${host} already: stop it, or set PORT to another one`, {
        cause: error,
      });
    }
    if (code === "EACCES" || code === "EADDRNOTAVAIL" || code === "ENOTFOUND") {
      throw new CannotStart(`it cannot listen on port ${port} of ${host} (${code}): set HOST and PORT to what it may`, {
        cause: error,
      });
    }
    throw error;
  }
  return urlOf(app, host);
}

function urlOf(app: App, host: string): string {
  const { port } = app.server.address() as AddressInfo;
  return `http://${host.includes(":") ? `[${host}]` : host}:${port}`;
}

/**
 * Fastify's own `close` cuts connections that are idle, on which a request may be under way, and waits for
 * ever for one that is busy. So: stops accepting first, answers what still comes with `Connection: close`,
 * and closes when nothing is open, or the time is up.
 *
 * A proxy that is refused asks another listener at once, and leaves this one alone for a while; of an address
 * that nobody has any more it hears nothing, and waits. So it refuses for a while before it goes, and goes
 * before the proxy looks again: it does not wait for connections that are idle even then.
 */
async function closeApp(app: App, graceMs: number, drainMs: number): Promise<void> {
  const { server } = app;
  server.on("request", (_request, response) => {
    if (!response.headersSent) response.setHeader("connection", "close");
  });
  const nothingOpen = once(server, "close");
  // The method of `net.Server`, which leaves open connections alone; that of `http.Server` cuts idle ones.
  Server.prototype.close.call(server);
  const timeIsUp = sleep(graceMs, undefined, { ref: false });
  if (drainMs > 0) {
    await sleep(drainMs);
    server.closeIdleConnections();
  }
  await Promise.race([nothingOpen, timeIsUp]);
  server.closeAllConnections();
  await app.close();
}
