export { freePort } from "./free-port.ts";
export { findUncovered, type Uncovered } from "./invariant.ts";
export { printed, type ServiceProcess, startCommand, startService } from "./process.ts";
export { deleteNamespace, startRabbit } from "./rabbit.ts";
export { type Arrival, type Behaviour, type ScriptedReceiver, startScriptedReceiver } from "./receiver.ts";
export type { BreakableServer } from "./server.ts";
export { createEmptyDatabase, createTestDatabase, type TestDatabase, testNamespace } from "./test-database.ts";
export { waitFor } from "./wait-for.ts";
