// When a client tries again, and after which pause (docs/protocol.md, "One request, one response"): rules without I/O, for the blocking and the asynchronous client alike.
import { MungeError } from "../errors.ts";

/** Most transactions for one request; the retry byte of the last is one less. */
export const MAX_TRANSACTIONS = 5;
/** Most tries to connect in one transaction. */
export const MAX_CONNECT_TRIES = 10;

const TRANSACTION_PAUSE_MS = 10;
const CONNECT_PAUSE_MS = 50;

/**
 * Whether a transaction that failed after connecting is worth another: one that failed on the socket is,
 * a message that is too long stays so. Failures to connect have had their own tries and are final.
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
