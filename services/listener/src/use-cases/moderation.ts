import type { MessageReport, ReportMessage, ResolveReport } from "@messenger/contracts";
import {
  deleteAnyMessage,
  findReport,
  listReports,
  noteAudit,
  reportContext,
  reportMessage,
  type ReportRow,
  resolveReports,
  suspendUser,
} from "@messenger/store";
import type { Context } from "../context.ts";
import { publishEvents } from "../publisher.ts";
import { Refused } from "../refused.ts";
import type { Identity } from "../tokens.ts";
import { actorOf } from "./audit.ts";
import { contentOf } from "./contents.ts";
import { type Page, type PageRequest, readPageById } from "./pages.ts";

/** Reports of messages, and what moderators do about them. */
export interface Moderation {
  /** @throws {Refused} no_such_message, validation_error, full */
  report(by: Identity, messageId: string, given: ReportMessage): Promise<void>;
  list(request: PageRequest & { resolved?: boolean | undefined }): Promise<Page<MessageReport>>;
  /** @throws {Refused} no_such_report */
  resolve(by: Identity, id: number, action: ResolveReport["action"]): Promise<MessageReport>;
}

export function createModeration({ db, keyring, ids, publisher }: Context): Moderation {
  function describe(row: ReportRow): MessageReport {
    const { messageId, senderId, sender, reporterId, comment, content } = row;
    return {
      report_id: row.id,
      message_id: messageId,
      conversation_id: row.conversation,
      sender: sender && { user_id: senderId, username: sender.username },
      reporter: { user_id: reporterId, username: row.reporter },
      reason: row.reason,
      comment: comment && keyring.contents.unseal(reportContext(messageId, reporterId), comment).toString(),
      message: content && contentOf(keyring, messageId, content).message,
      created_at: row.createdAt.toISOString(),
      others: row.others,
      resolution: row.resolution,
      resolved_at: row.resolvedAt?.toISOString() ?? null,
    };
  }

  async function find(id: number): Promise<ReportRow> {
    const found = await findReport(db, id);
    if (found === null) throw new Refused("no_such_report", "there is no such report");
    return found;
  }

  return {
    async report({ userId }, messageId, { reason, comment }) {
      const id = messageId.toLowerCase();
      const sealed = comment === undefined ? null : keyring.contents.seal(reportContext(id, userId), Buffer.from(comment));
      const done = await reportMessage(db, { messageId: id, userId, reason, comment: sealed });
      if (done === "no-message") throw new Refused("no_such_message", "there is no such message");
      if (done === "own") throw new Refused("validation_error", "it is your own message: delete it");
      if (done === "full") throw new Refused("full", "100 of your reports wait for a moderator already");
    },
    async list({ resolved = false, ...request }) {
      const page = await readPageById(request, (after, limit) => listReports(db, { after, limit, isResolved: resolved }));
      return { ...page, items: page.items.map(describe) };
    },
    async resolve(by, id, action) {
      const { messageId, senderId, sender } = await find(id);
      await noteAudit(db, actorOf(by), `report.${action}`, senderId);
      if (action === "delete_message") {
        publishEvents(publisher, await deleteAnyMessage(db, messageId, ids.next()));
      }
      if (action === "suspend_sender" && sender !== null) {
        if (senderId === by.userId) throw new Refused("forbidden", "nobody suspends their own account");
        await suspendUser(db, actorOf(by), senderId);
      }
      await resolveReports(db, messageId, action);
      return describe(await find(id));
    },
  };
}
