/**
 * The protocol level of MUNGE: requests and responses as sent over munged's socket. Most programs should use `encode()` and
 * `decode()` from `mungebox` instead, which throw the daemon's errors.
 *
 * @module
 */
import { DEFAULT_SOCKET } from "../paths.ts";
import type {
  DecodeRequest,
  DecodeResponse,
  EncodeRequest,
  EncodeResponse,
} from "../protocol/message.ts";
import { decodeTransaction, encodeTransaction } from "../protocol/transaction.ts";
import { transact, type TransactOptions } from "./transact.ts";

export type { TransactOptions };
export type { DecodeRequest, DecodeResponse, EncodeRequest, EncodeResponse };
export { ANY_ID } from "../protocol/message.ts";
export { DEFAULT_SOCKET };
export { ERRNO, errorCode, errorText, type MungeErrorCode } from "../errors.ts";
export { MungeError } from "./errors.ts";

/**
 * A protocol-level client of one munged: requests in, responses out, with libmunge's retries. At most 64 transactions with
 * one munged run at a time over a kept connection, and 64 over separate connections; others wait their turn.
 *
 * @example
 * ```ts
 * import { ANY_ID, MungeClient } from "mungebox/protocol";
 *
 * const client = new MungeClient();
 * const { errno, credential } = await client.encode({
 *   cipher: 1,
 *   mac: 1,
 *   zip: 1,
 *   realm: "",
 *   ttl: 0,
 *   uidRestriction: ANY_ID,
 *   gidRestriction: ANY_ID,
 *   payload: new TextEncoder().encode("hello"),
 * });
 * console.log(errno, (await client.decode({ credential })).uid === process.getuid?.()); // 0 true
 * ```
 */
export class MungeClient {
  /** Path of the socket that munged listens on. */
  readonly socketPath: string;

  /**
   * Does not connect yet. From the second transaction of this process on, munged is asked to keep a connection for further
   * ones.
   *
   * @param socketPath the socket that munged listens on; {@linkcode DEFAULT_SOCKET} unless given.
   */
  constructor(socketPath: string = DEFAULT_SOCKET) {
    this.socketPath = socketPath;
  }

  /**
   * Requests a credential.
   *
   * @param request the request on the wire.
   * @param options how the transaction may be ended early.
   * @returns the response, which may contain an error from the daemon.
   * @throws {MungeError} `EMUNGE_SOCKET` if there is no socket, no daemon behind it, or no complete answer after five tries;
   * `EMUNGE_BAD_LENGTH` for a message that is too long; `EMUNGE_OVERFLOW` for a path that is too long; `EMUNGE_TIMEOUT`
   * after `timeoutMs`.
   * @throws the signal's reason once it is aborted.
   */
  encode(request: EncodeRequest, options?: TransactOptions): Promise<EncodeResponse> {
    return transact(this.socketPath, encodeTransaction(request), options);
  }

  /**
   * Opens a credential.
   *
   * @param request the request on the wire.
   * @param options how the transaction may be ended early.
   * @returns the response, which may contain an error from the daemon.
   * @throws {MungeError} as {@linkcode MungeClient.encode} does.
   * @throws the signal's reason once it is aborted.
   */
  decode(request: DecodeRequest, options?: TransactOptions): Promise<DecodeResponse> {
    return transact(this.socketPath, decodeTransaction(request), options);
  }
}
