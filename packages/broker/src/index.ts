export type { Broker, BrokerOptions, BrokerProblem, Consumer, ConsumeOptions, Delivery, Subscription } from "./broker.ts";
export { unbundle } from "./encoding.ts";
export { openBroker } from "./open-broker.ts";
