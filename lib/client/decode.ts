// decode(): asks munged to check and open a credential.
import { errorCode, MungeError } from "../errors.ts";
import { DEFAULT_SOCKET } from "../paths.ts";
import type { DecodeRequest, DecodeResponse } from "../protocol/message.ts";
import { decodeTransaction } from "../protocol/transaction.ts";
import { bytesOf } from "./arguments.ts";
import { transact } from "./transact.ts";
import {
  credentialOf,
  dateOf,
  type DecodedCredential,
  isRejection,
  type RejectionCode,
} from "./decoded_credential.ts";
import type { CallOptions } from "./encode.ts";
import { LibraryError, RejectedCredentialError } from "./errors.ts";

/** What to accept, and in which form to return it. */
export interface AcceptOptions {
  /** Accepts replayed credentials, for a service that retries its own requests; `status` reports them. */
  readonly ignoreReplay?: boolean | undefined;
  /**
   * Accepts expired, rewound and replayed credentials; `status` reports which. For tests and forensics: a service that does
   * so admits anyone who has ever seen a credential. The C library calls this `MUNGE_OPT_IGNORE_TTL`.
   */
  readonly ignoreTimeAndReplay?: boolean | undefined;
  /** The form of the payload: `"bytes"` (the default), or `"text"` for a string, which must be UTF-8. */
  readonly as?: "bytes" | "text" | undefined;
  /** Path of munged's socket; {@linkcode DEFAULT_SOCKET} unless given. */
  readonly socketPath?: string | undefined;
}

/** Options of {@linkcode decode}. */
export interface DecodeOptions extends AcceptOptions, CallOptions {}

/** The type of a payload in a form: a string for `"text"`, otherwise bytes. */
export type PayloadAs<Form> = Form extends "text" ? string : Uint8Array;

/** As {@linkcode DecodedCredential}, with the payload in the requested form. */
export type DecodedAs<Options extends AcceptOptions> = DecodedCredential<
  PayloadAs<Options extends { readonly as?: infer Form } ? Form : undefined>
>;

/** Options without a form. */
export type FormlessOptions = { readonly as?: undefined };

/**
 * Asks munged to check a credential, and returns who made it. A credential can be decoded once on each host.
 *
 * @param credential the credential; white space before it and anything after it are ignored.
 * @param options what to accept, and how long to wait.
 * @returns the UID and GID of the process that made it, the payload, and everything else in it.
 * @throws {MungeError} `EMUNGE_CRED_INVALID` if it was altered or not made with munged's key; `EMUNGE_BAD_CRED`,
 * `EMUNGE_BAD_VERSION`, `EMUNGE_BAD_CIPHER`, `EMUNGE_BAD_MAC`, `EMUNGE_BAD_ZIP` or `EMUNGE_BAD_ARG` if it is malformed;
 * `EMUNGE_CRED_UNAUTHORIZED` if it is restricted to others; `EMUNGE_CRED_EXPIRED`, `EMUNGE_CRED_REWOUND` (from the future)
 * or `EMUNGE_CRED_REPLAYED`, each with the decoded `credential`; `EMUNGE_BAD_LENGTH` if it is too long; `EMUNGE_SOCKET` if
 * munged can't be reached; `EMUNGE_TIMEOUT` after `timeoutMs`; `ERR_PAYLOAD_NOT_TEXT` if a payload requested as text is not
 * UTF-8.
 * @throws the signal's reason once it is aborted.
 *
 * @example
 * ```ts
 * import { decode, encode, MungeError } from "mungebox";
 *
 * const credential = await encode("hello");
 * const { payload, uid } = await decode(credential, { as: "text" });
 * console.log(payload, uid === process.getuid?.()); // "hello" true
 *
 * try {
 *   await decode(credential);
 * } catch (error) {
 *   if (!(error instanceof MungeError)) throw error;
 *   if (error.code === "EMUNGE_CRED_REPLAYED") console.log(error.credential.uid === uid); // true
 * }
 * ```
 */
export async function decode<const Options extends DecodeOptions = FormlessOptions>(
  credential: string | Uint8Array,
  options?: Options,
): Promise<DecodedAs<Options>> {
  const { socketPath = DEFAULT_SOCKET } = options ?? {};
  const transaction = decodeTransaction(decodeRequest(credential));
  return acceptedIn(await transact(socketPath, transaction, options), socketPath, options);
}

/** The request to open a credential. */
export function decodeRequest(credential: string | Uint8Array): DecodeRequest {
  const bytes = bytesOf(credential, "Credential");
  if (bytes.length === 0) throw new MungeError("EMUNGE_BAD_ARG", "No credential specified");
  return { credential: bytes };
}

/** Reasons for refusing a credential, with the options that accept it nevertheless. */
const IGNORED_WITH: {
  readonly [code in RejectionCode]: readonly ("ignoreReplay" | "ignoreTimeAndReplay")[];
} = {
  EMUNGE_CRED_EXPIRED: ["ignoreTimeAndReplay"],
  EMUNGE_CRED_REWOUND: ["ignoreTimeAndReplay"],
  EMUNGE_CRED_REPLAYED: ["ignoreReplay", "ignoreTimeAndReplay"],
};

/** The credential in munged's answer. Throws the error in it, unless the options ignore it. */
export function acceptedIn<Options extends AcceptOptions>(
  response: DecodeResponse,
  socketPath: string,
  options: Options | undefined,
): DecodedAs<Options> {
  const code = errorCode(response.errno);
  const text = response.errorText || undefined;
  if (code !== "EMUNGE_SUCCESS" && !isRejection(code)) {
    throw new MungeError(code, text, { socketPath });
  }
  const decodeTime = dateOf(response.decodeTime);
  if (code !== "EMUNGE_SUCCESS" && !IGNORED_WITH[code].some((option) => options?.[option])) {
    const credential = { ...credentialOf(response), status: code, decodeTime };
    throw new RejectedCredentialError(credential, text, { socketPath });
  }
  const credential: DecodedCredential = { ...credentialOf(response), status: code, decodeTime };
  const accepted = options?.as === "text"
    ? { ...credential, payload: textOf(credential.payload, socketPath) }
    : credential;
  return accepted as DecodedAs<Options>;
}

function textOf(payload: Uint8Array, socketPath: string): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(payload);
  } catch (cause) {
    throw new LibraryError("ERR_PAYLOAD_NOT_TEXT", { cause, socketPath });
  }
}
