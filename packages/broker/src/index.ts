export {
  type Broker,
  type BrokerOptions,
  type BrokerProblem,
  bytesOf,
  type Consumer,
  type ConsumeOptions,
  type Delivery,
  type Subscription,
} from "./broker.ts";
export { unbundle } from "./encoding.ts";
export { createHolding, type Holding, SETTLE_KEPT_EVERY_MS } from "./holding.ts";
export { noticesOf } from "./live-topics.ts";
export { openBroker } from "./open-broker.ts";
