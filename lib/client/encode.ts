// encode(): asks munged for a credential.
import {
  bytesOf,
  cipherNumber,
  macNumber,
  restrictionNumber,
  ttlNumber,
  zipNumber,
} from "./arguments.ts";
import type { CipherName } from "../credential/cipher.ts";
import { transact } from "./transact.ts";
import { isRejection } from "./decoded_credential.ts";
import { errorCode, MungeError } from "../errors.ts";
import type { MacName } from "../credential/mac.ts";
import { type EncodeRequest, TTL_DEFAULT } from "../protocol/message.ts";
import { checkedRealm } from "../credential/realm.ts";
import { DEFAULT_SOCKET } from "../paths.ts";
import { type EncodeTextResponse, encodeTextTransaction } from "../protocol/transaction.ts";
import type { ZipName } from "../credential/zip.ts";

/** Properties of a credential, and which munged makes it. */
export interface CredentialOptions {
  /** Cipher by name or number; `"default"` unless given. */
  readonly cipher?: CipherName | number | undefined;
  /** Message authentication code by name or number; `"default"` unless given. */
  readonly mac?: MacName | number | undefined;
  /** Compression by name or number; `"default"`, which is none, unless given. */
  readonly zip?: ZipName | number | undefined;
  /** Security realm: at most 254 characters up to U+00FF; the default realm unless given. */
  readonly realm?: string | undefined;
  /**
   * Time-to-live in seconds: {@linkcode TTL_DEFAULT} (0) for munged's default of 300 s, {@linkcode TTL_MAXIMUM} or -1 for its
   * maximum, to which larger values are lowered.
   */
  readonly ttl?: number | undefined;
  /** The only UID that may decode it; any UID unless given. */
  readonly uidRestriction?: number | undefined;
  /** The only GID whose members may decode it; any GID unless given. */
  readonly gidRestriction?: number | undefined;
  /** Path of munged's socket; {@linkcode DEFAULT_SOCKET} unless given. */
  readonly socketPath?: string | undefined;
}

/** How a call can be ended early. */
export interface CallOptions {
  /** Ends the call: it rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
  /**
   * Milliseconds for the whole call, after which it rejects with `"EMUNGE_TIMEOUT"`. Without it, the protocol's own limits
   * apply: 2 s per message, five tries, and ten tries to connect in each.
   */
  readonly timeoutMs?: number | undefined;
}

/** Options of {@linkcode encode}. */
export interface EncodeOptions extends CredentialOptions, CallOptions {}

/**
 * Asks munged for a credential, which proves the UID and GID of this process to the process that decodes it.
 *
 * @param payload bytes, or a string, which is encoded as UTF-8; empty unless given. munged is asked whether it accepts more
 * than {@linkcode MAX_PAYLOAD_LENGTH} bytes.
 * @param options properties of the credential, and how long to wait for it.
 * @returns the credential: one line of printable ASCII.
 * @throws {MungeError} `EMUNGE_BAD_ARG`, `EMUNGE_BAD_CIPHER`, `EMUNGE_BAD_MAC` or `EMUNGE_BAD_ZIP` for an invalid option,
 * `EMUNGE_BAD_LENGTH` for a payload that is too long, `EMUNGE_SOCKET` if munged can't be reached, `EMUNGE_TIMEOUT` after
 * `timeoutMs`.
 * @throws the signal's reason once it is aborted.
 *
 * @example
 * ```ts
 * import { encode } from "mungebox";
 *
 * const credential = await encode("hello", { cipher: "aes256", ttl: 60 });
 * console.log(credential.startsWith("MUNGE:")); // true
 * ```
 */
export async function encode(
  payload: string | Uint8Array = "",
  options: EncodeOptions = {},
): Promise<string> {
  const { socketPath = DEFAULT_SOCKET } = options;
  const transaction = encodeTextTransaction(encodeRequest(payload, options));
  return credentialIn(await transact(socketPath, transaction, options), socketPath);
}

/** The request for a credential with these properties. */
export function encodeRequest(
  payload: string | Uint8Array,
  options: CredentialOptions,
): EncodeRequest {
  return {
    cipher: cipherNumber(options.cipher ?? "default"),
    mac: macNumber(options.mac ?? "default"),
    zip: zipNumber(options.zip ?? "default"),
    realm: checkedRealm(options.realm ?? ""),
    ttl: ttlNumber(options.ttl ?? TTL_DEFAULT),
    uidRestriction: restrictionNumber(options.uidRestriction, "UID"),
    gidRestriction: restrictionNumber(options.gidRestriction, "GID"),
    payload: bytesOf(payload, "Payload"),
  };
}

/** The credential in munged's answer. Throws the error if there is one instead. */
export function credentialIn(response: EncodeTextResponse, socketPath: string): string {
  const { errno, errorText, credential } = response;
  if (errno === 0) return credential;
  const code = errorCode(errno);
  // These errors carry a decoded credential, so an encode can't have them.
  if (!isRejection(code)) throw new MungeError(code, errorText || undefined, { socketPath });
  throw new MungeError("EMUNGE_SNAFU", `munged answered an encode with "${errorText || code}"`, {
    socketPath,
  });
}
