import { once } from "node:events";
import { link, rename, rm } from "node:fs/promises";
import { connect, createServer, type Server } from "node:net";
import { join, relative } from "node:path";

/** Somebody else uses the folder. */
export class FolderInUse extends Error {
  override readonly name = "FolderInUse";
}

export interface FolderLock {
  release(): Promise<void>;
}

const NAME = "lock.sock";
/** What a Unix socket's path may have on all systems. */
const MAX_PATH_BYTES = 100;

function socketPath(folder: string, name: string): string {
  const path = join(folder, name);
  const short = relative(process.cwd(), path);
  const best = Buffer.byteLength(short) < Buffer.byteLength(path) ? short : path;
  if (Buffer.byteLength(best) > MAX_PATH_BYTES) throw new Error(`the path of the data folder is too long: ${folder}`);
  return best;
}

async function answers(path: string): Promise<boolean> {
  const socket = connect(path);
  try {
    await once(socket, "connect");
    return true;
  } catch {
    return false; // nobody is behind it: its owner is dead
  } finally {
    socket.destroy();
  }
}

async function tryLink(from: string, to: string): Promise<boolean> {
  try {
    await link(from, to);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw error;
  }
}

/**
 * Takes a folder for this process alone: a Unix socket in it that this process listens on. A dead owner's
 * socket answers nobody, and is replaced; so nothing has to be cleaned up after a crash.
 * @throws {FolderInUse}
 */
export async function lockFolder(folder: string): Promise<FolderLock> {
  const lock = socketPath(folder, NAME);
  const own = socketPath(folder, `lock.${process.pid}.sock`);
  const dead = socketPath(folder, `lock.${process.pid}.dead`);
  const inUse = (): FolderInUse =>
    new FolderInUse(`another Messenger runs on ${folder}: stop it, or set DATA_DIR to another folder`);

  await rm(own, { force: true });
  const server: Server = createServer((socket) => socket.destroy());
  server.listen(own);
  await once(server, "listening");
  server.unref();
  try {
    // Two processes may find the same dead socket: moving it away by name is what only one of them can do for each socket.
    for (let round = 0; !(await tryLink(own, lock)); round += 1) {
      if (round === 10 || (await answers(lock))) throw inUse();
      try {
        await rename(lock, dead);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === "ENOENT") continue; // the other one moved it
        throw error;
      }
      if (await answers(dead)) {
        // What was moved away is the other one's, made a moment ago: put it back.
        await tryLink(dead, lock);
        throw inUse();
      }
    }
  } catch (error) {
    server.close();
    throw error;
  } finally {
    await rm(own, { force: true });
    await rm(dead, { force: true });
  }
  return {
    async release() {
      await rm(lock, { force: true });
      server.close();
    },
  };
}
