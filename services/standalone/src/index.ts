export { FolderInUse } from "./folder-lock.ts";
export { type Standalone, type StandaloneOptions, startStandalone } from "./standalone.ts";
