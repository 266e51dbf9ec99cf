// CredentialSource: credentials for a client that makes request after request, without asking munged for
// each of them.
import { clearTimeout, setTimeout } from "node:timers";
import { onAbort } from "./abort.ts";
import { decode } from "./decode.ts";
import { type CallOptions, type CredentialOptions, encode } from "./encode.ts";
import { MungeError } from "../errors.ts";
import { LibraryError } from "./errors.ts";

/** Parts of its TTL after which a credential is renewed, and after which it is handed out no more. */
const RENEWED_AT = 0.5;
const STALE_AT = 0.9;
const FIRST_PAUSE_MS = 100;
const MAX_PAUSE_MS = 2_000;
const DEFAULT_TIMEOUT_MS = 10_000;

/** What the credentials of a {@linkcode CredentialSource} are to be like. */
export interface CredentialSourceOptions extends CredentialOptions {
  /** What to carry: bytes, or a text, which goes as UTF-8; nothing unless given. */
  readonly payload?: string | Uint8Array | undefined;
}

/** A credential with the times, in milliseconds since the epoch, between which it is handed out. */
interface Cached {
  readonly credential: string;
  readonly madeAt: number;
  readonly staleAt: number;
}

/**
 * Hands out a credential that is never stale: cached, renewed in the background at half its TTL, with one
 * request in flight however many callers there are. While munged is away it goes on trying, with pauses
 * that double from 0.1 s to 2 s, and hands out the credential it has until a tenth of its TTL is left.
 *
 * The TTL is what munged really grants: each renewal has it decode an empty second credential to see it.
 * For a service that refuses replays call {@linkcode CredentialSource.fresh}.
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
  readonly #closed = new AbortController();
  #cached: Cached | undefined;
  #renewing: Promise<string> | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** The error of the last try, while munged is away. */
  #failure: MungeError | undefined;

  /**
   * Asks munged for nothing yet: the first {@linkcode CredentialSource.get} does.
   *
   * @param options what the credentials are to be like.
   */
  constructor(options: CredentialSourceOptions = {}) {
    const { payload = "", ...rest } = options;
    this.#payload = payload;
    this.#options = rest;
  }

  /**
   * The cached credential, or a new one if there is none that is fresh enough. Waits while munged is away.
   *
   * @param options how long to wait: `timeoutMs` is 10,000 unless given.
   * @returns a credential with at least a tenth of its TTL left.
   * @throws {MungeError} as {@linkcode encode} does, at once unless it is `EMUNGE_SOCKET` or
   * `EMUNGE_TIMEOUT`, else the last such error when `timeoutMs` are over; `ERR_SOURCE_DISPOSED` once the
   * source is disposed of.
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
    const { signal, timeoutMs = DEFAULT_TIMEOUT_MS } = options;
    this.#requireOpen();
    signal?.throwIfAborted();
    return this.#usable() ?? await this.#next(signal, timeoutMs);
  }

  /**
   * A credential that nobody else gets, for a service that lets each be decoded once.
   *
   * @param options how long to wait.
   * @returns a new credential.
   * @throws {MungeError} as {@linkcode encode} does; `ERR_SOURCE_DISPOSED` once the source is disposed of.
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
    const { signal, timeoutMs } = options;
    return await encode(this.#payload, { ...this.#options, signal, timeoutMs });
  }

  /** Ends renewals and forgets the credential; callers that wait are refused. */
  async [Symbol.asyncDispose](): Promise<void> {
    clearTimeout(this.#timer);
    this.#cached = undefined;
    this.#closed.abort(new LibraryError("ERR_SOURCE_DISPOSED"));
    await this.#renewing?.catch(() => {});
  }

  #requireOpen(): void {
    this.#closed.signal.throwIfAborted();
  }

  /** The cached credential unless it is stale, by a clock that may have been set back, too. */
  #usable(): string | undefined {
    const now = Date.now();
    const cached = this.#cached;
    return cached !== undefined && cached.madeAt <= now && now < cached.staleAt
      ? cached.credential
      : undefined;
  }

  /** Waits for the renewal under way, which is begun if there is none. */
  #next(signal: AbortSignal | undefined, timeoutMs: number): Promise<string> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        settle(() => reject(this.#failure ?? new MungeError("EMUNGE_TIMEOUT")));
      }, timeoutMs);
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

  /** Renews the credential; one renewal for all who ask. */
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
    const { signal } = this.#closed;
    const madeAt = Date.now();
    const [credential, ttl] = await Promise.all([
      encode(this.#payload, { ...this.#options, signal }),
      this.#grantedTtl(signal),
    ]);
    const lifetimeMs = ttl * 1000;
    this.#cached = { credential, madeAt, staleAt: madeAt + STALE_AT * lifetimeMs };
    const renewInMs = madeAt + RENEWED_AT * lifetimeMs - Date.now();
    this.#timer = setTimeout(() => {
      this.#renew().catch(() => {}); // whoever needs a credential next begins anew, and gets the error
    }, Math.max(renewInMs, FIRST_PAUSE_MS));
    this.#timer.unref();
    return credential;
  }

  /** Seconds that munged lets a credential of ours live. */
  async #grantedTtl(signal: AbortSignal): Promise<number> {
    const { ttl, socketPath } = this.#options;
    const probe = await encode("", { ttl, socketPath, signal });
    return (await decode(probe, { ignoreTimeAndReplay: true, socketPath, signal })).ttl;
  }

  /** Pauses, unless the source is disposed of. Keeps no process from ending. */
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

/** Whether munged may be back for the next try. */
function isPassing(error: unknown): error is MungeError {
  return error instanceof MungeError &&
    (error.code === "EMUNGE_SOCKET" || error.code === "EMUNGE_TIMEOUT");
}
