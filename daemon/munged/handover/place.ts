// Where a running munged is asked to hand over: a socket in the directory of its replay cache, which only munged's user can
// enter, and which both mungeds use.
import { join } from "node:path";
import { identifyPeer, peer } from "../../../lib/os/socket.ts";

/** The socket's path. */
export function handoverPath(replayDir: string): string {
  return join(replayDir, "handover");
}

/** The process at the other end of a connection, if it may take part: one of our own user, or of root. */
export function trustedPeer(fd: number): { readonly pid: number } | null {
  if (!identifyPeer(fd)) return null;
  const { pid, uid } = peer;
  return uid === process.geteuid!() || uid === 0 ? { pid } : null;
}
