// When a client retries, and after what pause (docs/protocol.md, "One request, one response"): the rules for both the
// blocking and the asynchronous client, without I/O.
import { MungeError } from "../errors.ts";

/** Maximum number of transactions for one request; the retry byte of the last is one less. */
export const MAX_TRANSACTIONS = 5;
/** Maximum number of tries to connect in one transaction. */
export const MAX_CONNECT_TRIES = 10;

const TRANSACTION_PAUSE_MS = 10;
const CONNECT_PAUSE_MS = 50;

/**
 * Whether to retry a transaction that failed after connecting: only after a socket error, as a message that is too long stays
 * too long. A failure to connect has had its own retries and is final.
 */
export function isRetryable(error: unknown): boolean {
  return error instanceof MungeError && error.code === "EMUNGE_SOCKET";
}

/** Milliseconds to wait after `failures` transactions have failed, 1 or more. */
export function transactionPause(failures: number): number {
  return TRANSACTION_PAUSE_MS * failures;
}

/** Milliseconds to wait after `failures` tries to connect have failed, 1 or more. */
export function connectPause(failures: number): number {
  return CONNECT_PAUSE_MS * failures;
}
