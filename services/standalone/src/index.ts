export { FolderInUse } from "@messenger/runtime";
export { type Standalone, type StandaloneOptions, startStandalone } from "./standalone.ts";
