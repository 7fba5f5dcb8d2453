import { Readable } from "node:stream";
import type { Conversation, Message } from "@messenger/contracts";
import { ZipFile } from "yazl";
import { Overloaded } from "../append-queue.ts";
import type { Context } from "../context.ts";
import { Refused } from "../refused.ts";
import type { Identity } from "../tokens.ts";
import type { TokensOfUser } from "./api-tokens.ts";
import type { Bots } from "./bots.ts";
import type { Contacts } from "./contacts.ts";
import type { Conversations } from "./conversations.ts";
import type { Endpoints } from "./endpoints.ts";
import type { Identities } from "./identities.ts";
import type { People } from "./people.ts";
import { readPage } from "./export-page.ts";
import type { Sessions } from "./sessions.ts";
import type { Users } from "./users.ts";

/** All that a user has, to take along. */
export interface Export {
  /**
   * A zip of JSON files, and of pages to read, made as it is read: of any size, with little of it in memory. Ends where
   * `signal` is aborted. @throws {Overloaded}
   */
  open(by: Identity, signal: AbortSignal): Readable;
}

/** What an export reads. */
interface Parts {
  users: Pick<Users, "readAccount">;
  sessions: Pick<Sessions, "list">;
  tokens: Pick<TokensOfUser, "list">;
  contacts: Pick<Contacts, "list">;
  endpoints: Pick<Endpoints, "list">;
  people: Pick<People, "listBlocks">;
  identities: Pick<Identities, "list">;
  bots: Pick<Bots, "list">;
  conversations: Pick<Conversations, "list" | "history">;
}

/** A file of the zip; `content` is read once, before the next file is asked for. */
interface Entry {
  path: string;
  content: AsyncIterable<string>;
}

/** At a listener at the same time; one for each user. */
const MAX_EXPORTS = 4;
/** Read from the database at once. */
const READ_AT_ONCE = 100;
const MESSAGES_OF_PAGE = 1_000;

async function* once(text: string): AsyncGenerator<string> {
  yield text;
}

/** With keys as the API has them. */
function asInApi(_: string, value: unknown): unknown {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return value;
  const snake = (key: string): string => key.replaceAll(/[A-Z]/gu, (letter) => `_${letter.toLowerCase()}`);
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [snake(key), item]));
}

const json = (path: string, value: unknown): Entry => ({ path, content: once(`${JSON.stringify(value, asInApi, 2)}\n`) });

/** A list as JSON, an item on each line. */
async function* jsonLines(items: AsyncIterable<unknown>): AsyncGenerator<string> {
  let isFirst = true;
  yield "[";
  for await (const item of items) {
    yield `${isFirst ? "" : ","}\n${JSON.stringify(item)}`;
    isFirst = false;
  }
  yield "\n]\n";
}

export function createExport(context: Context, parts: Parts): Export {
  const { log } = context;
  const underWay = new Set<number>();

  async function* conversationsOf(by: Identity): AsyncGenerator<Conversation> {
    for (const requests of [false, true]) {
      let cursor: string | undefined;
      do {
        const page = await parts.conversations.list(by, {
          requests,
          limit: READ_AT_ONCE,
          ...(cursor !== undefined && { cursor }),
        });
        yield* page.items;
        cursor = page.nextCursor ?? undefined;
      } while (cursor !== undefined);
    }
  }

  /** From the oldest on. Nothing more once the user is out of the conversation. */
  async function* messagesOf(by: Identity, id: number): AsyncGenerator<Message> {
    let cursor: string | undefined;
    do {
      const request = { order: "oldest" as const, limit: READ_AT_ONCE, ...(cursor !== undefined && { cursor }) };
      const page = await parts.conversations.history(by, id, request).catch((error: unknown) => {
        if (error instanceof Refused) return undefined;
        throw error;
      });
      if (page === undefined) return;
      yield* page.items;
      cursor = page.nextCursor ?? undefined;
    } while (cursor !== undefined);
  }

  async function* entriesOf(by: Identity): AsyncGenerator<Entry> {
    const account = await parts.users.readAccount(by);
    yield json("account.json", account);
    yield json("sessions.json", await parts.sessions.list(by));
    yield json("tokens.json", await parts.tokens.list(by));
    yield json("contacts.json", await parts.contacts.list(by));
    yield json("endpoints.json", await parts.endpoints.list(by));
    yield json("identities.json", await parts.identities.list(by));
    yield json("bots.json", await parts.bots.list(by));
    yield json("blocks.json", await parts.people.listBlocks(by));
    const index: { title: string; path: string }[] = [];
    for await (const conversation of conversationsOf(by)) {
      const { conversation_id: id, with: peer, group, last_message: _, ...rest } = conversation;
      const folder = `conversations/${id}`;
      const title = group?.title ?? peer?.username ?? peer?.full_name ?? "deleted account";
      yield json(`${folder}/conversation.json`, { conversation_id: id, with: peer, group, ...rest });
      yield { path: `${folder}/messages.json`, content: jsonLines(messagesOf(by, id)) };
      index.push({ title, path: `${folder}/1.html` });
      const toRead = lookAhead(messagesOf(by, id));
      let page = 0;
      do {
        page += 1;
        const content = readPage.messages({
          title,
          page,
          mine: by.userId,
          messages: toRead.take(MESSAGES_OF_PAGE),
          isMore: toRead.isMore,
        });
        yield { path: `${folder}/${page}.html`, content };
      } while (await toRead.isMore());
    }
    yield { path: "index.html", content: readPage.index({ name: by.name, at: new Date(context.clock.now()), index }) };
  }

  return {
    open(by, signal) {
      if (underWay.size >= MAX_EXPORTS || underWay.has(by.userId)) {
        throw new Overloaded("an export of yours, or too many of others, are being made at this moment");
      }
      underWay.add(by.userId);
      const zip = new ZipFile();
      const output = zip.outputStream as Readable;
      const entries = entriesOf(by);

      const end = (): void => void underWay.delete(by.userId);
      function fail(error: unknown): void {
        end();
        if (!signal.aborted) log.error({ err: error, user: by.userId }, "an export broke off");
        output.destroy(error as Error);
      }

      /** The next one is asked for once this one was read. */
      async function addNext(): Promise<void> {
        const next = await entries.next();
        if (signal.aborted) throw new Error("nobody reads it any more");
        if (next.done === true) {
          zip.end();
          return;
        }
        const { path, content } = next.value;
        zip.addReadStreamLazy(path, { mtime: new Date(context.clock.now()) }, (give) => {
          const stream = Readable.from(content, { objectMode: false });
          stream.once("error", fail).once("end", () => void addNext().catch(fail));
          give(null, stream);
        });
      }

      zip.on("error", fail);
      output.once("end", end).once("close", end);
      signal.addEventListener("abort", () => fail(new Error("nobody reads it any more")), { once: true });
      addNext().catch(fail);
      return output;
    },
  };
}

/** A list that is read a part at a time. */
function lookAhead<Item>(items: AsyncGenerator<Item>): {
  isMore: () => Promise<boolean>;
  /** The next items, `most` at most. */
  take(most: number): AsyncGenerator<Item>;
} {
  let next: Promise<IteratorResult<Item, unknown>> | undefined;
  const peek = (): Promise<IteratorResult<Item, unknown>> => (next ??= items.next());
  return {
    isMore: async () => (await peek()).done !== true,
    async *take(most) {
      for (let n = 0; n < most; n += 1) {
        const { done, value } = await peek();
        if (done === true) return;
        next = undefined;
        yield value;
      }
    },
  };
}
