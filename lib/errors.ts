// The nineteen MUNGE errors (protocol.md, "Errors") and the one error class everything here throws.

/** Every MUNGE error: the index is its number on the wire and the exit status of munge and unmunge. */
export const ERRORS = [
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
] as const;

/** The symbolic name of a MUNGE error, as in `munge.h`: `"EMUNGE_CRED_REPLAYED"`. */
export type MungeErrorCode = typeof ERRORS[number][0];

/** Number of each error by its name. */
export const ERRNO: { readonly [code in MungeErrorCode]: number } = Object.fromEntries(
  ERRORS.map(([code], number) => [code, number]),
) as { [code in MungeErrorCode]: number };

/** The standard text of an error number, as munge_strerror gives it. */
export function errorText(errno: number): string {
  return ERRORS[errno]?.[1] ?? "Unknown error";
}

/** The symbolic name of an error number; an unknown number is an internal error. */
export function errorCode(errno: number): MungeErrorCode {
  return ERRORS[errno]?.[0] ?? "EMUNGE_SNAFU";
}

/**
 * An error of MUNGE: what went wrong as a number, a name and a text for the user.
 *
 * @example
 * ```ts
 * import { MungeError } from "./mod.ts";
 * const error = new MungeError("EMUNGE_CRED_REPLAYED");
 * console.log(error.errno, error.message); // 17 "Replayed credential"
 * ```
 */
export class MungeError extends Error {
  override readonly name = "MungeError";
  /** The symbolic name, `"EMUNGE_CRED_EXPIRED"`. */
  readonly code: MungeErrorCode;
  /** The number on the wire and the exit status, 1..18. */
  readonly errno: number;

  constructor(
    code: MungeErrorCode,
    message: string = errorText(ERRNO[code]),
    options?: ErrorOptions,
  ) {
    super(message, options);
    this.code = code;
    this.errno = ERRNO[code];
  }
}
