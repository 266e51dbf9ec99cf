// The errors of the library, as a union in which the code tells what else an error has. Underneath are the errors that
// all of the project throws (lib/errors.ts).
import { CodedError, MungeError as BaseError, type MungeErrorOptions } from "../errors.ts";
import type { MungeErrorCode } from "../errors.ts";
import type { DecodedCredential, RejectionCode } from "./decoded_credential.ts";

/**
 * The name of an error that the library alone has: `"ERR_SOURCE_DISPOSED"` of a {@linkcode CredentialSource} after its
 * end, `"ERR_SYNC_UNAVAILABLE"` of a synchronous call in a runtime other than Bun, `"ERR_PAYLOAD_NOT_TEXT"` of a payload
 * that is not UTF-8 where a text was asked for.
 */
export type LibraryErrorCode =
  | "ERR_SOURCE_DISPOSED"
  | "ERR_SYNC_UNAVAILABLE"
  | "ERR_PAYLOAD_NOT_TEXT";

/** The library's own errors: the number of the nearest error in munge.h, and the text. */
const LIBRARY_ERRORS: {
  readonly [code in LibraryErrorCode]: readonly [errno: number, text: string];
} = {
  ERR_SOURCE_DISPOSED: [2, "Credential source is disposed of"],
  ERR_SYNC_UNAVAILABLE: [1, "Synchronous calls need Bun: use encode() and decode()"],
  ERR_PAYLOAD_NOT_TEXT: [8, "Payload is not UTF-8 text"],
};

/** An error of the library itself; `errno` is that of the nearest error in `munge.h`. */
export class LibraryError extends CodedError<LibraryErrorCode> {
  /** Never there. */
  readonly credential?: undefined;

  /** @param code the symbolic name. @param options what else is known. */
  constructor(code: LibraryErrorCode, options: MungeErrorOptions = {}) {
    const [errno, text] = LIBRARY_ERRORS[code];
    super(code, errno, text, options);
  }
}

/** A credential that was made with munged's key, but must not be accepted: it comes with the error. */
export class RejectedCredentialError extends BaseError {
  declare readonly code: RejectionCode;
  /** All that the credential says. */
  readonly credential: DecodedCredential;

  /**
   * Makes an error, as {@linkcode decode} does.
   *
   * @param credential the credential, whose status is the code.
   * @param message the text for the user; the standard text of the code unless given.
   * @param options what else is known.
   */
  constructor(
    credential: DecodedCredential & { readonly status: RejectionCode },
    message?: string,
    options?: MungeErrorOptions,
  ) {
    super(credential.status, message, options);
    this.credential = credential;
  }
}

/** An error of munged, or of asking it. */
export interface RequestError extends BaseError {
  /** The symbolic name, `"EMUNGE_SOCKET"`. */
  readonly code: Exclude<MungeErrorCode, RejectionCode | "EMUNGE_SUCCESS">;
  /** Never there. */
  readonly credential?: undefined;
}

/**
 * Every error of the library. Its `code` tells which one it is, and with it the type: a rejected credential is in
 * `credential`.
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
/** What each error is an instance of. The library makes them, nobody else. */
export const MungeError: abstract new (...none: never) => MungeError =
  CodedError as unknown as abstract new (...none: never) => MungeError;
