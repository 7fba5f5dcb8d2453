export { type Chance, createChance } from "./chance.ts";
