// Munge: the library's calls, with the socket and the time limit set once.
import { DEFAULT_SOCKET } from "../paths.ts";
import { CredentialSource, type CredentialSourceOptions } from "./credential_source.ts";
import { decode, type DecodedAs, type DecodeOptions, type FormlessOptions } from "./decode.ts";
import { encode, type EncodeOptions } from "./encode.ts";
import { encodeMany } from "./encode_many.ts";

/** Settings common to all calls of a {@linkcode Munge}. */
export interface MungeOptions {
  /** Path of munged's socket; {@linkcode DEFAULT_SOCKET} unless given. */
  readonly socketPath?: string | undefined;
  /** Milliseconds for each call without its own `timeoutMs`; no limit unless given. */
  readonly timeoutMs?: number | undefined;
}

/**
 * One munged, with common settings. Its methods do the same as the functions with the same names, and take their options.
 *
 * @example
 * ```ts
 * import { Munge } from "mungebox";
 *
 * const munge = new Munge({ timeoutMs: 5_000 });
 * const { payload } = await munge.decode(await munge.encode("hello"), { as: "text" });
 * console.log(payload); // "hello"
 * ```
 */
export class Munge {
  /** Path of munged's socket. */
  readonly socketPath: string;
  /** Milliseconds for each call; undefined for no limit. */
  readonly timeoutMs: number | undefined;

  /**
   * Does not contact munged yet.
   *
   * @param options settings common to all calls.
   */
  constructor(options: MungeOptions = {}) {
    this.socketPath = options.socketPath ?? DEFAULT_SOCKET;
    this.timeoutMs = options.timeoutMs;
  }

  /**
   * Asks munged for a credential, as {@linkcode encode} does.
   *
   * @param payload bytes, or a string, which is encoded as UTF-8.
   * @param options properties of the credential, and how long to wait for it.
   * @returns the credential: one line of printable ASCII.
   * @throws {MungeError} as {@linkcode encode} does.
   * @throws the signal's reason once it is aborted.
   *
   * @example
   * ```ts
   * import { Munge } from "mungebox";
   *
   * const credential = await new Munge().encode("hello", { ttl: 60 });
   * console.log(credential.startsWith("MUNGE:")); // true
   * ```
   */
  encode(
    payload: string | Uint8Array = "",
    options: Omit<EncodeOptions, "socketPath"> = {},
  ): Promise<string> {
    return encode(payload, this.#with(options));
  }

  /**
   * Asks munged for many credentials in one pass, as {@linkcode encodeMany} does.
   *
   * @param payloads the payload of each credential, or how many credentials to make without a payload.
   * @param options properties of all credentials, and how long to wait for all of them.
   * @returns the credentials, in the order of their payloads.
   * @throws {MungeError} as {@linkcode encodeMany} does.
   * @throws the signal's reason once it is aborted.
   *
   * @example
   * ```ts
   * import { Munge } from "mungebox";
   *
   * console.log((await new Munge().encodeMany(["a", "b"])).length); // 2
   * ```
   */
  encodeMany(
    payloads: number | readonly (string | Uint8Array)[],
    options: Omit<EncodeOptions, "socketPath"> = {},
  ): Promise<string[]> {
    return encodeMany(payloads, this.#with(options));
  }

  /**
   * Asks munged to check a credential, as {@linkcode decode} does.
   *
   * @param credential the credential.
   * @param options what to accept, in which form, and how long to wait.
   * @returns who made it, the payload, and everything else in it.
   * @throws {MungeError} as {@linkcode decode} does.
   * @throws the signal's reason once it is aborted.
   *
   * @example
   * ```ts
   * import { Munge } from "mungebox";
   *
   * const munge = new Munge();
   * console.log((await munge.decode(await munge.encode())).uid === process.getuid?.()); // true
   * ```
   */
  decode<const Options extends Omit<DecodeOptions, "socketPath"> = FormlessOptions>(
    credential: string | Uint8Array,
    options?: Options,
  ): Promise<DecodedAs<Options>> {
    return decode(credential, this.#with<Options | undefined>(options)) as Promise<
      DecodedAs<Options>
    >;
  }

  /**
   * A source of credentials from this munged.
   *
   * @param options properties of the credentials, and how long its calls wait.
   * @returns the source, which the caller disposes.
   *
   * @example
   * ```ts
   * import { Munge } from "mungebox";
   *
   * await using source = new Munge().source({ ttl: 60 });
   * console.log(await source.get() === await source.get()); // true
   * ```
   */
  source(options: Omit<CredentialSourceOptions, "socketPath"> = {}): CredentialSource {
    return new CredentialSource(this.#with(options));
  }

  #with<Options extends { readonly timeoutMs?: number | undefined } | undefined>(options: Options) {
    return {
      ...options,
      timeoutMs: options?.timeoutMs ?? this.timeoutMs,
      socketPath: this.socketPath,
    };
  }
}
