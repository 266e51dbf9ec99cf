// When a client tries again, and after which pause (protocol.md section 1): rules without I/O, for the
// blocking and the asynchronous client alike.
import { MungeError } from "./errors.ts";

/** Most transactions for one request; the retry byte of the last is one less. */
export const MAX_TRANSACTIONS = 5;
/** Most tries to connect in one transaction. */
export const MAX_CONNECT_TRIES = 10;

const TRANSACTION_PAUSE_MS = 10;
const CONNECT_PAUSE_MS = 50;

/** Errors of connect() that pass: a full listen queue, and a daemon that is just being restarted. */
const PASSING_CONNECT_ERRORS: ReadonlySet<string> = new Set(["EAGAIN", "ECONNREFUSED"]);

/**
 * Milliseconds to wait after the failure of transaction number `count` (1 is the first), or null if it
 * is final: a message that is too long stays too long.
 */
export function transactionPause(count: number, error: unknown): number | null {
  const passing = error instanceof MungeError && error.code === "EMUNGE_SOCKET";
  return passing && count < MAX_TRANSACTIONS ? TRANSACTION_PAUSE_MS * count : null;
}

/** Milliseconds to wait after connect number `count` (1 is the first) failed with `code`, null if final. */
export function connectPause(count: number, code: string | undefined): number | null {
  const passing = code !== undefined && PASSING_CONNECT_ERRORS.has(code);
  return passing && count < MAX_CONNECT_TRIES ? CONNECT_PAUSE_MS * count : null;
}
