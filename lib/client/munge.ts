// Munge: the calls of the library with one munged and one time limit, set once.
import { DEFAULT_SOCKET } from "../paths.ts";
import { CredentialSource, type CredentialSourceOptions } from "./credential_source.ts";
import { decode, type DecodedAs, type DecodeOptions, type FormlessOptions } from "./decode.ts";
import { encode, type EncodeOptions } from "./encode.ts";

/** What the calls of a {@linkcode Munge} have in common. */
export interface MungeOptions {
  /** Path of munged's socket; {@linkcode DEFAULT_SOCKET} unless given. */
  readonly socketPath?: string | undefined;
  /** Milliseconds for each whole call that has no `timeoutMs` of its own; no limit unless given. */
  readonly timeoutMs?: number | undefined;
}

/**
 * One munged to ask. Its calls do what the functions of the same names do, whose options they take.
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
  /** Milliseconds for each whole call; undefined for no limit. */
  readonly timeoutMs: number | undefined;

  /**
   * Asks munged for nothing yet.
   *
   * @param options what all calls have in common.
   */
  constructor(options: MungeOptions = {}) {
    this.socketPath = options.socketPath ?? DEFAULT_SOCKET;
    this.timeoutMs = options.timeoutMs;
  }

  /**
   * Asks munged for a credential, as {@linkcode encode} does.
   *
   * @param payload what to carry: bytes, or a text, which goes as UTF-8.
   * @param options what the credential is to be like, and how long to wait for it.
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
   * Has munged check a credential, as {@linkcode decode} does.
   *
   * @param credential the credential.
   * @param options what is accepted, in which form, and how long to wait.
   * @returns who made it, the payload, and everything else it says.
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
   * A source of credentials of this munged.
   *
   * @param options what the credentials are to be like.
   * @returns the source, for its user to dispose of.
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
    return new CredentialSource({ ...options, socketPath: this.socketPath });
  }

  #with<Options extends { readonly timeoutMs?: number | undefined } | undefined>(options: Options) {
    return {
      ...options,
      timeoutMs: options?.timeoutMs ?? this.timeoutMs,
      socketPath: this.socketPath,
    };
  }
}
