// The nineteen MUNGE errors (docs/protocol.md, "Numbers") and the error classes that everything here throws.

/** The symbolic name of a MUNGE error, as in `munge.h`: `"EMUNGE_CRED_REPLAYED"`. */
export type MungeErrorCode =
  | "EMUNGE_SUCCESS"
  | "EMUNGE_SNAFU"
  | "EMUNGE_BAD_ARG"
  | "EMUNGE_BAD_LENGTH"
  | "EMUNGE_OVERFLOW"
  | "EMUNGE_NO_MEMORY"
  | "EMUNGE_SOCKET"
  | "EMUNGE_TIMEOUT"
  | "EMUNGE_BAD_CRED"
  | "EMUNGE_BAD_VERSION"
  | "EMUNGE_BAD_CIPHER"
  | "EMUNGE_BAD_MAC"
  | "EMUNGE_BAD_ZIP"
  | "EMUNGE_BAD_REALM"
  | "EMUNGE_CRED_INVALID"
  | "EMUNGE_CRED_EXPIRED"
  | "EMUNGE_CRED_REWOUND"
  | "EMUNGE_CRED_REPLAYED"
  | "EMUNGE_CRED_UNAUTHORIZED";

/** Every MUNGE error: the index is its number on the wire and the exit status of munge and unmunge. */
export const ERRORS: readonly (readonly [code: MungeErrorCode, text: string])[] = [
  ["EMUNGE_SUCCESS", "Success"],
  ["EMUNGE_SNAFU", "Internal error"],
  ["EMUNGE_BAD_ARG", "Invalid argument"],
  ["EMUNGE_BAD_LENGTH", "Exceeded maximum message length"],
  ["EMUNGE_OVERFLOW", "Buffer overflow"],
  ["EMUNGE_NO_MEMORY", "Out of memory"],
  ["EMUNGE_SOCKET", "Socket communication error"],
  ["EMUNGE_TIMEOUT", "Socket timeout"],
  ["EMUNGE_BAD_CRED", "Invalid credential format"],
  ["EMUNGE_BAD_VERSION", "Invalid credential version"],
  ["EMUNGE_BAD_CIPHER", "Invalid cipher type"],
  ["EMUNGE_BAD_MAC", "Invalid MAC type"],
  ["EMUNGE_BAD_ZIP", "Invalid compression type"],
  ["EMUNGE_BAD_REALM", "Unrecognized security realm"],
  ["EMUNGE_CRED_INVALID", "Invalid credential"],
  ["EMUNGE_CRED_EXPIRED", "Expired credential"],
  ["EMUNGE_CRED_REWOUND", "Rewound credential"],
  ["EMUNGE_CRED_REPLAYED", "Replayed credential"],
  ["EMUNGE_CRED_UNAUTHORIZED", "Unauthorized credential"],
];

/**
 * Number of each error by its name.
 *
 * @example
 * ```ts
 * import { ERRNO } from "mungebox";
 *
 * console.log(ERRNO.EMUNGE_CRED_EXPIRED); // 15
 * ```
 */
export const ERRNO: { readonly [code in MungeErrorCode]: number } = /* @__PURE__ */ numberErrors();

// @__PURE__ lets the bundler leave the table out of munge, because creating it takes time.
function numberErrors(): { [code in MungeErrorCode]: number } {
  const numbers: { [code in MungeErrorCode]?: number } = {};
  for (let i = 0; i < ERRORS.length; i++) numbers[ERRORS[i]![0]] = i;
  return numbers as { [code in MungeErrorCode]: number };
}

/** As in {@linkcode ERRNO}, but without creating that table, because errors are rare in `munge -n`. */
function errnoOf(code: MungeErrorCode): number {
  return ERRORS.findIndex(([name]) => name === code);
}

/**
 * The standard text of an error number, as from munge_strerror().
 *
 * @param errno the number, 0..18.
 * @returns the text, `"Unknown error"` for any other number.
 *
 * @example
 * ```ts
 * import { errorText } from "mungebox";
 *
 * console.log(errorText(15)); // "Expired credential"
 * ```
 */
export function errorText(errno: number): string {
  return ERRORS[errno]?.[1] ?? "Unknown error";
}

/**
 * The symbolic name of an error number.
 *
 * @param errno the number, 0..18.
 * @returns the name, `"EMUNGE_SNAFU"` (internal error) for any other number.
 *
 * @example
 * ```ts
 * import { errorCode } from "mungebox";
 *
 * console.log(errorCode(15)); // "EMUNGE_CRED_EXPIRED"
 * ```
 */
export function errorCode(errno: number): MungeErrorCode {
  return ERRORS[errno]?.[0] ?? "EMUNGE_SNAFU";
}

/** Optional details of a {@linkcode MungeError}. */
export interface MungeErrorOptions {
  /** The underlying error. */
  readonly cause?: unknown;
  /** Path of munged's socket. */
  readonly socketPath?: string | undefined;
}

/**
 * An error with a name and a number, and a text for the user.
 *
 * @typeParam Code the symbolic names that it may have.
 *
 * @example
 * ```ts
 * import { encode, MungeError } from "mungebox";
 *
 * try {
 *   await encode("", { cipher: 99 });
 * } catch (error) {
 *   if (!(error instanceof MungeError)) throw error;
 *   console.log(error.name, error.code, error.errno); // "MungeError" "EMUNGE_BAD_CIPHER" 10
 * }
 * ```
 */
export class CodedError<Code extends string> extends Error {
  /** Always `"MungeError"`. */
  override readonly name = "MungeError";
  /** The symbolic name, `"EMUNGE_CRED_EXPIRED"`. */
  readonly code: Code;
  /** The number on the wire and the exit status of `munge` and `unmunge`, 1..18. */
  readonly errno: number;
  /** Path of the socket of the munged that was asked; undefined if none was. */
  readonly socketPath: string | undefined;

  /**
   * Makes an error, for the caller to throw.
   *
   * @param code the symbolic name.
   * @param errno the number.
   * @param message the text for the user.
   * @param options optional details.
   */
  constructor(code: Code, errno: number, message: string, options: MungeErrorOptions = {}) {
    super(message, "cause" in options ? { cause: options.cause } : undefined);
    this.code = code;
    this.errno = errno;
    this.socketPath = options.socketPath;
  }
}

/** One of the nineteen errors. Everything except the library's public functions throws it. */
export class MungeError extends CodedError<MungeErrorCode> {
  /**
   * Makes an error, for the caller to throw.
   *
   * @param code the symbolic name.
   * @param message the text for the user; the standard text of the code unless given.
   * @param options optional details.
   */
  constructor(
    code: MungeErrorCode,
    message: string = errorText(errnoOf(code)),
    options: MungeErrorOptions = {},
  ) {
    super(code, errnoOf(code), message, options);
  }
}

/** The mark on the errors of every copy of the class. */
const BRAND = Symbol.for("mungebox.MungeError");
Object.defineProperty(MungeError.prototype, BRAND, { value: true });

/**
 * Whether this is a {@linkcode MungeError} from any copy of this module; in the executable, some commands have their own
 * copy.
 */
export function isMungeError(error: unknown): error is MungeError {
  return error instanceof Error && BRAND in error;
}

/** Adds the socket's path to a MungeError; returns any other value as it is. */
export function atSocket(error: unknown, socketPath: string): unknown {
  if (!(error instanceof MungeError) || error.socketPath !== undefined) return error;
  const { code, message, cause } = error;
  return new MungeError(code, message, { socketPath, ...(cause === undefined ? {} : { cause }) });
}
