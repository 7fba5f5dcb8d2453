import type { Broker } from "@messenger/broker";
import type { EndpointsChanged } from "@messenger/store";

/** Tells senders of a change of an inbox's endpoints; unconfirmed, the outbox row that covers it is due in some seconds. */
export function createWaker(deps: {
  broker: Pick<Broker, "publish">;
  deleteOutbox: (ids: readonly number[]) => Promise<void>;
  log: { warn(details: object, message: string): void };
}): (changed: EndpointsChanged) => void {
  const { broker, deleteOutbox, log } = deps;
  return ({ inbox, outboxId }) => {
    broker
      .publish([{ type: "wake", inbox }])
      .then((confirmed) => (confirmed ? deleteOutbox([outboxId]) : undefined))
      .catch((error: unknown) => log.warn({ err: error }, "a wake could not be published"));
  };
}
