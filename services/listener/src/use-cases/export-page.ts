import type { Message } from "@messenger/contracts";

const ESCAPES: Readonly<Record<string, string>> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };

/** Text in HTML, whatever it is. */
const escape = (text: string): string => text.replaceAll(/[&<>"']/gu, (character) => ESCAPES[character] as string);

/** Nothing is loaded from anywhere, and nothing runs. */
const head = (title: string): string => `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width">
<title>${escape(title)}</title>
<style>
body { font: 16px/1.5 system-ui, sans-serif; max-width: 42rem; margin: 2rem auto; padding: 0 1rem; overflow-wrap: anywhere }
article { margin: 0.5rem 0; padding: 0.5rem 0.75rem; border-radius: 0.5rem; background: #eee; color: #111; white-space: pre-wrap }
article.mine { background: #dbeafe; margin-left: 3rem }
header, nav { color: #555; font-size: 0.85rem }
</style>
</head>
<body>
`;
const FOOT = "</body>\n</html>\n";

interface MessagesPage {
  /** Of the conversation. */
  title: string;
  /** From 1 on. */
  page: number;
  mine: number;
  messages: AsyncIterable<Message>;
  /** Asked at its end: whether another page follows. */
  isMore: () => Promise<boolean>;
}

async function* messages({ title, page, mine, messages: some, isMore }: MessagesPage): AsyncGenerator<string> {
  const before = page > 1 ? ` · <a href="${page - 1}.html">before</a>` : "";
  yield `${head(title)}<nav><a href="../../index.html">all conversations</a>${before}</nav>\n<h1 dir="auto">${escape(title)}</h1>\n`;
  for await (const { message, sender_id, sender_username, created_at, version } of some) {
    const edited = version > 1 ? ", edited" : "";
    const by = `${escape(sender_username)}, <time>${escape(created_at)}</time>${edited}`;
    yield `<article${sender_id === mine ? ' class="mine"' : ""}><header>${by}</header><div dir="auto">${escape(message)}</div></article>\n`;
  }
  yield `${(await isMore()) ? `<nav><a href="${page + 1}.html">go on</a></nav>\n` : ""}${FOOT}`;
}

interface IndexPage {
  name: string;
  at: Date;
  index: readonly { title: string; path: string }[];
}

async function* index({ name, at, index: conversations }: IndexPage): AsyncGenerator<string> {
  yield `${head(`Messenger: ${name}`)}<h1 dir="auto">${escape(name)}</h1>
<p>The conversations of this account on ${escape(at.toISOString())}. The account, its sessions, tokens, contacts, endpoints and blocks are in the JSON files beside this page.</p>
<h2>Conversations</h2>
<ul>
`;
  for (const { title, path } of conversations) yield `<li dir="auto"><a href="${escape(path)}">${escape(title)}</a></li>\n`;
  yield `</ul>\n${FOOT}`;
}

/** Pages of an export that people read: each as parts of its HTML. */
export const readPage = { messages, index };
