import type { Broker, BrokerOptions } from "./broker.ts";
import { openInProcessBroker } from "./in-process.ts";
import { openRabbit } from "./rabbit.ts";

/** Opens a broker. RabbitMQ need not be there yet: it is connected to as soon as it is, again and again. */
export function openBroker(options: BrokerOptions): Promise<Broker> {
  return options.url === "in-process:" ? openInProcessBroker(options) : openRabbit(options);
}
