import type { Delivery } from "@messenger/broker";

/** A broker message that is kept unacknowledged until every lane of its inbox has released it. */
export interface Held {
  /** Of an event; a wake is beyond all events: only a due time or a clearing statement covers it. */
  readonly seq: number;
  /** Called once by each lane. */
  release(): void;
}

export function hold(delivery: Delivery, lanes: number): Held {
  let left = lanes;
  return {
    seq: delivery.message.type === "event" ? delivery.message.seq : Number.POSITIVE_INFINITY,
    release() {
      left -= 1;
      if (left === 0) delivery.ack();
    },
  };
}
