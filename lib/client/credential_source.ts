// CredentialSource: credentials for a client that makes many requests, without asking munged each time.
import { clearTimeout, setTimeout } from "node:timers";
import { MungeError } from "../errors.ts";
import { DEFAULT_SOCKET } from "../paths.ts";
import {
  decodeTransaction,
  encodeTextTransaction,
  type Transaction,
} from "../protocol/transaction.ts";
import { onAbort } from "./abort.ts";
import { copyOf } from "./arguments.ts";
import { transact } from "./transact.ts";
import { acceptedIn, decodeRequest } from "./decode.ts";
import {
  type CallOptions,
  credentialIn,
  type CredentialOptions,
  encode,
  encodeRequest,
} from "./encode.ts";
import { LibraryError } from "./errors.ts";
import { timerDelay } from "./time_limit.ts";

/** Shares of its TTL after which a credential is renewed, and after which it is no longer handed out. */
const RENEWED_AT = 0.5;
const STALE_AT = 0.9;
const FIRST_PAUSE_MS = 100;
const MAX_PAUSE_MS = 2_000;
const DEFAULT_TIMEOUT_MS = 10_000;

/** Properties of the credentials of a {@linkcode CredentialSource}. */
export interface CredentialSourceOptions extends CredentialOptions {
  /** The payload: bytes, or a string, which is encoded as UTF-8; empty unless given. */
  readonly payload?: string | Uint8Array | undefined;
  /** Milliseconds for each call without its own `timeoutMs`; unless given, 10,000 for `get()` and no limit for `fresh()`. */
  readonly timeoutMs?: number | undefined;
}

/** A credential with the times, in milliseconds since the epoch, between which it is handed out. */
interface Cached {
  readonly credential: string;
  readonly madeAt: number;
  readonly staleAt: number;
}

/**
 * Hands out a credential that is never stale: it is cached and renewed in the background at half its TTL, with a single
 * request in flight regardless of the number of callers. While munged is unavailable, it keeps trying, with pauses that
 * double from 0.1 s to 2 s, and hands out the current credential until a tenth of its TTL is left.
 *
 * The TTL is the one munged actually grants: each renewal decodes a second, empty credential to find out.
 * For a service that refuses replays, call {@linkcode CredentialSource.fresh}.
 *
 * @example
 * ```ts
 * import { CredentialSource } from "mungebox";
 *
 * await using source = new CredentialSource({ ttl: 60 });
 * console.log(await source.get() === await source.get()); // true
 * console.log(await source.get() === await source.fresh()); // false
 * ```
 */
export class CredentialSource implements AsyncDisposable {
  readonly #payload: string | Uint8Array;
  readonly #options: CredentialOptions;
  readonly #socketPath: string;
  readonly #timeoutMs: number | undefined;
  readonly #closed = new AbortController();
  #cached: Cached | undefined;
  #renewing: Promise<string> | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** The error of the last attempt, while munged is unavailable. */
  #failure: MungeError | undefined;

  /**
   * Does not contact munged yet; the first {@linkcode CredentialSource.get} does.
   *
   * @param options properties of the credentials.
   */
  constructor(options: CredentialSourceOptions = {}) {
    const { payload = "", timeoutMs, ...rest } = options;
    this.#timeoutMs = timeoutMs;
    this.#payload = copyOf(payload);
    this.#options = rest;
    this.#socketPath = rest.socketPath ?? DEFAULT_SOCKET;
  }

  /**
   * The cached credential, or a new one if it is not fresh enough. Waits while munged is unavailable.
   *
   * @param options how long to wait: `timeoutMs` is the source's, or 10,000, unless given.
   * @returns a credential with at least a tenth of its TTL left.
   * @throws {MungeError} as {@linkcode encode} does: at once, except that `EMUNGE_SOCKET` and `EMUNGE_TIMEOUT` are thrown only
   * after `timeoutMs`; `ERR_SOURCE_DISPOSED` once the source is disposed.
   * @throws the signal's reason once it is aborted.
   *
   * @example
   * ```ts
   * import { CredentialSource, decode } from "mungebox";
   *
   * await using source = new CredentialSource({ payload: "hello" });
   * const { uid } = await decode(await source.get({ timeoutMs: 500 }));
   * console.log(uid === process.getuid?.()); // true
   * ```
   */
  async get(options: CallOptions = {}): Promise<string> {
    const { signal, timeoutMs = this.#timeoutMs ?? DEFAULT_TIMEOUT_MS } = options;
    this.#requireOpen();
    signal?.throwIfAborted();
    return this.#usable() ?? await this.#next(signal, timeoutMs);
  }

  /**
   * A credential for this caller alone, for a service that accepts each only once.
   *
   * @param options how long to wait.
   * @returns a new credential.
   * @throws {MungeError} as {@linkcode encode} does; `ERR_SOURCE_DISPOSED` once the source is disposed.
   * @throws the signal's reason once it is aborted.
   *
   * @example
   * ```ts
   * import { CredentialSource } from "mungebox";
   *
   * await using source = new CredentialSource();
   * const response = await fetch("data:,hello", {
   *   headers: { Authorization: `MUNGE ${await source.fresh()}` },
   * });
   * console.log(await response.text()); // "hello"
   * ```
   */
  async fresh(options: CallOptions = {}): Promise<string> {
    this.#requireOpen();
    const { signal, timeoutMs = this.#timeoutMs } = options;
    return await encode(this.#payload, { ...this.#options, signal, timeoutMs });
  }

  /** Stops renewals and forgets the credential; waiting callers get an error. */
  async [Symbol.asyncDispose](): Promise<void> {
    clearTimeout(this.#timer);
    this.#cached = undefined;
    this.#closed.abort(new LibraryError("ERR_SOURCE_DISPOSED"));
    await this.#renewing?.catch(() => {});
  }

  #requireOpen(): void {
    this.#closed.signal.throwIfAborted();
  }

  /** The cached credential, unless it is stale, or the clock was set back. */
  #usable(): string | undefined {
    const now = Date.now();
    const cached = this.#cached;
    return cached !== undefined && cached.madeAt <= now && now < cached.staleAt
      ? cached.credential
      : undefined;
  }

  /** Waits for the current renewal, starting one if necessary. */
  #next(signal: AbortSignal | undefined, timeoutMs: number): Promise<string> {
    return new Promise((resolve, reject) => {
      const delay = timerDelay(timeoutMs);
      const timer = delay === undefined ? undefined : setTimeout(() => {
        settle(() => reject(this.#failure ?? new MungeError("EMUNGE_TIMEOUT")));
      }, delay);
      const settle = (settled: () => void) => {
        clearTimeout(timer);
        stopListening();
        settled();
      };
      const stopListening = onAbort(signal, () => settle(() => reject(signal!.reason)));
      this.#renew().then(
        (credential) => settle(() => resolve(credential)),
        (error) => settle(() => reject(error)),
      );
    });
  }

  /** Renews the credential, once for all callers. */
  #renew(): Promise<string> {
    clearTimeout(this.#timer);
    this.#renewing ??= this.#tryUntilRenewed().finally(() => {
      this.#renewing = undefined;
      this.#failure = undefined;
    });
    return this.#renewing;
  }

  async #tryUntilRenewed(): Promise<string> {
    for (let pauseMs = FIRST_PAUSE_MS;; pauseMs = Math.min(2 * pauseMs, MAX_PAUSE_MS)) {
      this.#requireOpen();
      try {
        return await this.#makeOne();
      } catch (error) {
        this.#requireOpen();
        if (!isPassing(error)) throw error;
        this.#failure = error;
      }
      await this.#pause(pauseMs);
    }
  }

  async #makeOne(): Promise<string> {
    const madeAt = Date.now();
    const [credential, ttl] = await Promise.all([
      this.#ask(encodeTextTransaction(encodeRequest(this.#payload, this.#options)))
        .then((response) => credentialIn(response, this.#socketPath)),
      this.#grantedTtl(),
    ]);
    const lifetimeMs = ttl * 1000;
    this.#cached = { credential, madeAt, staleAt: madeAt + STALE_AT * lifetimeMs };
    const renewInMs = madeAt + RENEWED_AT * lifetimeMs - Date.now();
    this.#timer = setTimeout(() => {
      this.#renew().catch(() => {}); // the next caller starts over, and gets the error
    }, Math.max(renewInMs, FIRST_PAUSE_MS));
    this.#timer.unref();
    return credential;
  }

  /** The TTL, in seconds, that munged grants our credentials. */
  async #grantedTtl(): Promise<number> {
    const { ttl } = this.#options;
    const made = await this.#ask(encodeTextTransaction(encodeRequest("", { ttl })));
    const probe = decodeRequest(credentialIn(made, this.#socketPath));
    const response = await this.#ask(decodeTransaction(probe));
    return acceptedIn(response, this.#socketPath, { ignoreTimeAndReplay: true }).ttl;
  }

  /** Asks munged. Does not wait for a missing socket: it will be tried again, and the error tells callers why they wait. */
  #ask<Response>(transaction: Transaction<Response>): Promise<Response> {
    const { signal } = this.#closed;
    return transact(this.#socketPath, transaction, { signal, waitForSocket: false });
  }

  /** Pauses, unless the source is disposed. Does not keep the process from ending. */
  #pause(milliseconds: number): Promise<void> {
    const { signal } = this.#closed;
    return new Promise((resolve) => {
      const over = () => {
        clearTimeout(timer);
        stopListening();
        resolve();
      };
      const timer = setTimeout(over, milliseconds);
      timer.unref();
      const stopListening = onAbort(signal, over);
    });
  }
}

/** Whether munged may be available again at the next attempt. */
function isPassing(error: unknown): error is MungeError {
  return error instanceof MungeError &&
    (error.code === "EMUNGE_SOCKET" || error.code === "EMUNGE_TIMEOUT");
}
