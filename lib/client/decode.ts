// decode(): has munged check and open a credential.
import { bytesOf } from "./arguments.ts";
import { transact } from "./client.ts";
import { credentialOf, dateOf, type DecodedCredential } from "./decoded_credential.ts";
import type { CallOptions } from "./encode.ts";
import { errorCode, MungeError, type MungeErrorCode } from "../errors.ts";
import type { DecodeRequest, DecodeResponse } from "../protocol/message.ts";
import { DEFAULT_SOCKET } from "../paths.ts";
import { decodeTransaction } from "../protocol/transaction.ts";

/** Who decodes, and what is accepted. */
export interface AcceptOptions {
  /**
   * Accepts credentials that are expired, rewound or replayed; `status` tells which. For tests and
   * forensics: a service that does so lets anyone in who once saw a credential.
   */
  readonly ignoreTtl?: boolean | undefined;
  /** Accepts replayed credentials, as a service does that retries its own requests; `status` tells. */
  readonly ignoreReplay?: boolean | undefined;
  /** Path of munged's socket; {@linkcode DEFAULT_SOCKET} unless given. */
  readonly socketPath?: string | undefined;
}

/** Options of {@linkcode decode}. */
export interface DecodeOptions extends AcceptOptions, CallOptions {}

/**
 * Has munged check a credential, and tells who made it. A credential can be decoded once on each host.
 *
 * @param credential the credential; white space in front of it and whatever is behind it are ignored.
 * @param options what is accepted, and how long to wait.
 * @returns UID and GID of the process that made it, the payload, and everything else it says.
 * @throws {MungeError} `EMUNGE_CRED_INVALID` for one that was not made with munged's key, or was changed;
 * `EMUNGE_BAD_CRED`, `EMUNGE_BAD_VERSION`, `EMUNGE_BAD_CIPHER`, `EMUNGE_BAD_MAC`, `EMUNGE_BAD_ZIP` or
 * `EMUNGE_BAD_ARG` for what is no credential; `EMUNGE_CRED_UNAUTHORIZED` for one that is restricted to
 * others; `EMUNGE_CRED_EXPIRED`, `EMUNGE_CRED_REWOUND` (from the future) or `EMUNGE_CRED_REPLAYED`, each
 * with the decoded `credential` attached; `EMUNGE_BAD_LENGTH` for one that is too long, `EMUNGE_SOCKET`
 * if munged can't be asked, `EMUNGE_TIMEOUT` when `timeoutMs` are over.
 * @throws the signal's reason once it is aborted.
 *
 * @example
 * ```ts
 * import { decode, encode, MungeError } from "mungebox";
 *
 * const credential = await encode("hello");
 * const { payload, uid } = await decode(credential);
 * console.log(new TextDecoder().decode(payload), uid === process.getuid?.()); // "hello" true
 *
 * try {
 *   await decode(credential);
 * } catch (error) {
 *   if (!(error instanceof MungeError)) throw error;
 *   console.log(error.code, error.credential?.uid === uid); // "EMUNGE_CRED_REPLAYED" true
 * }
 * ```
 */
export async function decode(
  credential: string | Uint8Array,
  options: DecodeOptions = {},
): Promise<DecodedCredential> {
  const { socketPath = DEFAULT_SOCKET } = options;
  const transaction = decodeTransaction(decodeRequest(credential));
  return acceptedIn(await transact(socketPath, transaction, options), socketPath, options);
}

/** The request to open a credential. */
export function decodeRequest(credential: string | Uint8Array): DecodeRequest {
  const bytes = bytesOf(credential, "Credential");
  if (bytes.length === 0) throw new MungeError("EMUNGE_BAD_ARG", "No credential specified");
  return { credential: bytes };
}

/** The states that a credential may be accepted in nevertheless, and the options that do so. */
const IGNORED_WITH: {
  readonly [code in MungeErrorCode]?: readonly ("ignoreTtl" | "ignoreReplay")[];
} = {
  EMUNGE_CRED_EXPIRED: ["ignoreTtl"],
  EMUNGE_CRED_REWOUND: ["ignoreTtl"],
  EMUNGE_CRED_REPLAYED: ["ignoreTtl", "ignoreReplay"],
};

/** The credential in munged's answer. Throws the error in it unless the options have it ignored. */
export function acceptedIn(
  response: DecodeResponse,
  socketPath: string,
  options: AcceptOptions,
): DecodedCredential {
  const status = errorCode(response.errno);
  const ignoredWith = IGNORED_WITH[status];
  const text = response.errorText || undefined;
  if (status !== "EMUNGE_SUCCESS" && ignoredWith === undefined) {
    throw new MungeError(status, text, { socketPath });
  }
  const credential: DecodedCredential = {
    ...credentialOf(response),
    status,
    decodeTime: dateOf(response.decodeTime),
  };
  if (ignoredWith === undefined || ignoredWith.some((option) => options[option])) {
    return credential;
  }
  throw new MungeError(status, text, { socketPath, credential });
}
