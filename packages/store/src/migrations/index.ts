import type { Migration } from "kysely/migration";
import { up as initial } from "./0001-initial.ts";
import { up as endpointsOff } from "./0002-endpoints-off.ts";

/** All migrations by name; they run in the order of their names, forward only. */
export const migrations: Record<string, Migration> = {
  "0001-initial": { up: initial },
  "0002-endpoints-off": { up: endpointsOff },
};

/** The schema that this code is written for. */
export const SCHEMA_VERSION = Object.keys(migrations).length;
