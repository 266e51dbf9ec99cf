// One transaction with munged, for Bun, Deno and Node.js: over the kept connection if there is one, otherwise over a new
// one, with a limit on concurrent transactions, time limits and retries. lib/protocol/retry.ts has the rules; the commands
// use blocking_client.ts instead.
import { LARGEST_PAYLOAD_LENGTH, MAX_PAYLOAD_LENGTH } from "../credential/fields.ts";
import { atSocket } from "../errors.ts";
import { messageTimeout, setRetry } from "../protocol/message.ts";
import { isRetryable, MAX_TRANSACTIONS, transactionPause } from "../protocol/retry.ts";
import { limitsTransaction, maxPayloadWithout, type Transaction } from "../protocol/transaction.ts";
import { onAbort, pause } from "./abort.ts";
import { type ConnectOptions, connectTo } from "./connection.ts";
import { exchange } from "./exchange.ts";
import { Semaphore } from "./semaphore.ts";
import type { KeptConnection } from "./kept_connection.ts";
import { keptConnection } from "./kept_connections.ts";
import type { KeptFailure } from "./kept_requests.ts";
import { timerDelay, withDeadline } from "./time_limit.ts";

/** How a transaction can be ended early. */
export interface TransactOptions {
  /** Ends the transaction: it rejects with the signal's reason, and its connection is closed unless it is kept. */
  readonly signal?: AbortSignal | undefined;
  /** Milliseconds for the whole transaction, including retries and pauses; no limit unless given. */
  readonly timeoutMs?: number | undefined;
  /**
   * Milliseconds for each message, sent or received, before an attempt fails; unless given, 2000 for each 2 MiB of the
   * request. With it, the transaction has its own connection.
   */
  readonly messageTimeoutMs?: number | undefined;
  /**
   * Whether to wait for a missing socket as long as for one that refuses connections: a munged that is being
   * restarted has none for a moment. True unless given.
   */
  readonly waitForSocket?: boolean | undefined;
}

/** What ends an attempt early, and when. */
interface Limits extends ConnectOptions {
  readonly messageTimeoutMs: number | undefined;
}

const NOTHING = new Uint8Array(0);

/** Maximum number of concurrent transactions with one munged over separate connections; others wait their turn. */
const MAX_CONNECTIONS = 64;
/** The semaphore of each socket in use, and its number of transactions. */
const semaphores = new Map<string, { readonly semaphore: Semaphore; users: number }>();

/**
 * Carries out one transaction with the munged at `socketPath`, with the retries of docs/protocol.md
 * ("One request, one response"). If a munged might not accept a request of this length, it is asked first.
 *
 * @returns the response, which may contain an error from the daemon.
 * @throws {MungeError} EMUNGE_SOCKET if there is no socket, no daemon behind it, or no complete answer after five tries;
 * EMUNGE_BAD_LENGTH for a message that is too long; EMUNGE_OVERFLOW for a path that is too long; EMUNGE_TIMEOUT after
 * `timeoutMs`.
 * @throws the signal's reason once it is aborted.
 */
export async function transact<Response>(
  socketPath: string,
  transaction: Transaction<Response>,
  options: TransactOptions = {},
): Promise<Response> {
  const { signal, timeoutMs, messageTimeoutMs, waitForSocket = true } = options;
  const { maxPayloadNeeded } = transaction;
  const mayBeKept = messageTimeoutMs === undefined && waitForSocket &&
    (!transaction.isOnce || (signal === undefined && timeoutMs === undefined));
  try {
    // Now, not when it is this transaction's turn, because the caller may reuse its buffers before that. A request that no
    // munged accepts is never sent.
    const message = maxPayloadNeeded > LARGEST_PAYLOAD_LENGTH ? NOTHING : transaction.format(0);
    const run = (signal: AbortSignal | undefined) => {
      const limits = { messageTimeoutMs, waitForSocket, signal };
      const kept = mayBeKept ? keptConnection(socketPath) : undefined;
      if (kept?.accepts(message)) {
        return askKept(kept, message, transaction, socketPath, limits);
      }
      const send = () => tryAgain(socketPath, message, transaction, limits);
      const askFirst = async () => {
        transaction.requireFits(await maxPayload(socketPath, limits));
        return send();
      };
      return inTurn(
        socketPath,
        maxPayloadNeeded > MAX_PAYLOAD_LENGTH ? askFirst : send,
        signal,
      );
    };
    const limitMs = timerDelay(timeoutMs);
    return limitMs === undefined ? await run(signal) : await withDeadline(limitMs, run, signal);
  } catch (error) {
    throw atSocket(error, socketPath);
  }
}

/** Sends a request over a kept connection and, if that fails, over separate ones. */
async function askKept<Response>(
  kept: KeptConnection,
  message: Uint8Array,
  transaction: Transaction<Response>,
  socketPath: string,
  limits: Limits,
): Promise<Response> {
  const { signal } = limits;
  signal?.throwIfAborted();
  let failures = 0;
  try {
    const answer = kept.ask(message, transaction);
    return await (signal === undefined ? answer : unlessAborted(answer, signal));
  } catch (failure) {
    signal?.throwIfAborted();
    const { error = failure, wasSent = true } = failure as Partial<KeptFailure>;
    if (!isRetryable(error)) throw error;
    if (wasSent) failures++;
  }
  return inTurn(
    socketPath,
    () => tryAgain(socketPath, message, transaction, limits, failures),
    signal,
  );
}

/** Rejects with the signal's reason if it is aborted before the answer arrives; the answer is then ignored. */
function unlessAborted<T>(answer: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const stopListening = onAbort(signal, () => reject(signal.reason));
    answer.then(resolve, reject).finally(stopListening);
  });
}

/** Runs `task` once fewer than {@linkcode MAX_CONNECTIONS} transactions use the socket. */
async function inTurn<T>(
  socketPath: string,
  task: () => Promise<T>,
  signal: AbortSignal | undefined,
): Promise<T> {
  let entry = semaphores.get(socketPath);
  if (entry === undefined) {
    entry = { semaphore: new Semaphore(MAX_CONNECTIONS), users: 0 };
    semaphores.set(socketPath, entry);
  }
  entry.users++;
  try {
    return await entry.semaphore.run(task, signal);
  } finally {
    if (--entry.users === 0) semaphores.delete(socketPath);
  }
}

/** munged's `--max-payload`; the protocol's maximum for a munged that can't be asked. */
async function maxPayload(socketPath: string, limits: Limits): Promise<number> {
  const transaction = limitsTransaction();
  try {
    return await tryAgain(socketPath, transaction.format(0), transaction, limits);
  } catch (error) {
    return maxPayloadWithout(error);
  }
}

/**
 * The transaction with its retries.
 *
 * @param failures number of attempts that have already failed.
 */
async function tryAgain<Response>(
  socketPath: string,
  message: Uint8Array,
  transaction: Transaction<Response>,
  limits: Limits,
  failures = 0,
): Promise<Response> {
  const { messageTimeoutMs = messageTimeout(message.length), signal } = limits;
  if (failures > 0) await pause(transactionPause(failures), signal);
  for (;;) {
    signal?.throwIfAborted();
    setRetry(message, failures);
    const socket = await connectTo(socketPath, limits);
    try {
      const { responseType } = transaction;
      const body = await exchange(socket, message, responseType, messageTimeoutMs, signal);
      return transaction.parse(body);
    } catch (error) {
      if (++failures >= MAX_TRANSACTIONS || !isRetryable(error)) throw error;
    } finally {
      socket.destroy();
    }
    await pause(transactionPause(failures), signal);
  }
}
