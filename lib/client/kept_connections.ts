// Decides when this process keeps a connection to a munged: from the second request on, unless the munged does not keep
// connections, like the C one, or the identity of the process may change between requests.
import { isHangup } from "../protocol/transaction.ts";
import { KeptConnection } from "./kept_connection.ts";

/** How long a munged that refused, as a C munged does, is not asked again. */
const REFUSED_MS = 300_000;
/** The same for one that could not be reached, or closed a connection before answering a request over it. */
const FAILED_MS = 1_000;

/** What this process knows about one socket. */
interface Known {
  connection: KeptConnection | undefined;
  isOpening: boolean;
  /** When to ask again, in milliseconds of performance.now(). */
  askAt: number;
  /** IDs of this process when it connected. */
  uid: number;
  gid: number;
}

const sockets = new Map<string, Known>();

/** The kept connection for a request to the munged at this socket; undefined if there is none now. */
export function keptConnection(path: string): KeptConnection | undefined {
  const known = sockets.get(path);
  if (known === undefined) {
    sockets.set(path, { connection: undefined, isOpening: false, askAt: 0, uid: -1, gid: -1 });
    return undefined;
  }
  const { connection } = known;
  if (connection === undefined) {
    if (!known.isOpening && performance.now() >= known.askAt) open(path, known);
    return undefined;
  }
  // A new connection represents the effective IDs at that time. This one does so only while they stay the same.
  if (isSameIdentity(known)) return connection;
  connection.close();
  return undefined;
}

function open(path: string, known: Known): void {
  known.askAt = performance.now() + FAILED_MS;
  const ids = identity();
  if (ids === undefined) return;
  [known.uid, known.gid] = ids;
  known.isOpening = true;
  const ended = (hasAnswered: boolean) => {
    known.connection = undefined;
    known.askAt = hasAnswered ? 0 : performance.now() + FAILED_MS;
  };
  KeptConnection.open(path, ended).then((connection) => {
    known.connection = connection;
  }, (error) => {
    known.askAt = performance.now() + (isHangup(error) ? REFUSED_MS : FAILED_MS);
  }).finally(() => {
    known.isOpening = false;
  });
}

/**
 * UID and GID of this process; undefined if the effective IDs differ from the real ones, which the kernel attaches to what
 * is sent, or if they can't be determined, for which Deno requires `--allow-sys=uid,gid`.
 */
function identity(): readonly [uid: number, gid: number] | undefined {
  try {
    const [uid, gid] = [process.geteuid!(), process.getegid!()];
    return uid === process.getuid!() && gid === process.getgid!() ? [uid, gid] : undefined;
  } catch {
    return undefined;
  }
}

function isSameIdentity({ uid, gid }: Known): boolean {
  try {
    return process.geteuid!() === uid && process.getegid!() === gid;
  } catch { // a permission of Deno's that was revoked
    return false;
  }
}
