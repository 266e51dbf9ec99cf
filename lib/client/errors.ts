// The library's errors, as a union discriminated by the code. They are based on the errors that the whole project throws
// (lib/errors.ts).
import {
  CodedError,
  ERRNO,
  errorText,
  type MungeErrorCode,
  type MungeErrorOptions,
} from "../errors.ts";
import type { DecodedCredential, RejectionCode } from "./decoded_credential.ts";

/**
 * The name of one of the library's own errors: `"ERR_SOURCE_DISPOSED"` for a disposed {@linkcode CredentialSource},
 * `"ERR_SYNC_UNAVAILABLE"` for a synchronous call in a runtime other than Bun, `"ERR_PAYLOAD_NOT_TEXT"` for a payload that is
 * requested as text but is not UTF-8.
 */
export type LibraryErrorCode =
  | "ERR_SOURCE_DISPOSED"
  | "ERR_SYNC_UNAVAILABLE"
  | "ERR_PAYLOAD_NOT_TEXT";

/** The library's own errors: the number of the closest error in munge.h, and the text. */
const LIBRARY_ERRORS: {
  readonly [code in LibraryErrorCode]: readonly [errno: number, text: string];
} = {
  ERR_SOURCE_DISPOSED: [2, "Credential source has been disposed"],
  ERR_SYNC_UNAVAILABLE: [1, "Synchronous calls need Bun: use encode() and decode()"],
  ERR_PAYLOAD_NOT_TEXT: [8, "Payload is not UTF-8 text"],
};

/**
 * One of the library's own errors; `errno` is that of the closest error in `munge.h`.
 *
 * @example
 * ```ts
 * import { CredentialSource, MungeError } from "mungebox";
 *
 * const source = new CredentialSource();
 * await source[Symbol.asyncDispose]();
 * try {
 *   await source.get();
 * } catch (error) {
 *   if (error instanceof MungeError) console.log(error.code); // "ERR_SOURCE_DISPOSED"
 * }
 * ```
 */
export class LibraryError extends CodedError<LibraryErrorCode> {
  /** Never present. */
  readonly credential?: undefined;

  /**
   * Makes an error.
   *
   * @param code the symbolic name.
   * @param options optional details.
   */
  constructor(code: LibraryErrorCode, options: MungeErrorOptions = {}) {
    const [errno, text] = LIBRARY_ERRORS[code];
    super(code, errno, text, options);
  }
}

/**
 * The error for a credential that was made with munged's key but must not be accepted; it contains the credential.
 *
 * @example
 * ```ts
 * import { decode, encode, RejectedCredentialError } from "mungebox";
 *
 * const credential = await encode();
 * await decode(credential);
 * try {
 *   await decode(credential);
 * } catch (error) {
 *   if (!(error instanceof RejectedCredentialError)) throw error;
 *   console.log(error.code, error.credential.uid === process.getuid?.()); // "EMUNGE_CRED_REPLAYED" true
 * }
 * ```
 */
export class RejectedCredentialError extends CodedError<RejectionCode> {
  /** The contents of the credential. */
  readonly credential: DecodedCredential;

  /**
   * Makes an error, as {@linkcode decode} does.
   *
   * @param credential the credential, whose status is the code.
   * @param message the text for the user; the standard text of the code unless given.
   * @param options optional details.
   */
  constructor(
    credential: DecodedCredential & { readonly status: RejectionCode },
    message?: string,
    options?: MungeErrorOptions,
  ) {
    const errno = ERRNO[credential.status];
    super(credential.status, errno, message ?? errorText(errno), options);
    this.credential = credential;
  }
}

/** An error from munged, or in communicating with it. */
export interface RequestError
  extends CodedError<Exclude<MungeErrorCode, RejectionCode | "EMUNGE_SUCCESS">> {
  /** Never present. */
  readonly credential?: undefined;
}

/**
 * Any error of the library. Its `code` identifies the error and narrows the type: a refused credential is in `credential`.
 *
 * @example
 * ```ts
 * import { decode, encode, MungeError } from "mungebox";
 *
 * const credential = await encode();
 * await decode(credential);
 * try {
 *   await decode(credential);
 * } catch (error) {
 *   if (!(error instanceof MungeError)) throw error;
 *   if (error.code === "EMUNGE_CRED_REPLAYED") {
 *     console.log(error.errno, error.message); // 17 "Replayed credential"
 *     console.log(error.credential.uid === process.getuid?.()); // true
 *   }
 * }
 * ```
 */
export type MungeError = RejectedCredentialError | RequestError | LibraryError;
/** The class of all the library's errors. Only the library creates them. */
export const MungeError: abstract new (...none: never) => MungeError =
  CodedError as unknown as abstract new (...none: never) => MungeError;
