// AUKS's errors: their numbers and texts, which scripts compare, and the error class that everything in this folder
// throws.

/** Every AUKS error by our name for it: the original's number and text. */
export const AUKS_ERRORS = {
  SUCCESS: [0, "success"],
  GENERIC: [-1, "generic error"],
  LIBRARY_INIT: [-100001, "auks library : unable to init library structure"],
  LIBRARY_NOT_FOUND: [-100002, "auks library : cred with matching uid not found"],
  LIBRARY_ADD: [-100003, "auks library : unable to add cred to library"],
  LIBRARY_UID: [-100004, "auks library : cred uid to uid_str failure"],
  LIBRARY_TTY: [-100005, "auks library : output is a tty"],
  BUFFER_MEMORY: [-100101, "auks buffer : unable to allocate memory"],
  BUFFER_GROWTH: [-100102, "auks buffer : unable to reallocate memory"],
  ACL_INIT: [-100201, "auks acl : unable to init acl structure"],
  ACL_PARSE: [-100202, "auks acl : unable to parse acl file"],
  ACL_FULL: [-100203, "auks acl : acl structure is full"],
  ACL_EMPTY: [-100205, "auks acl : acl file is empty"],
  ACL_INVALID: [-100206, "auks acl : acl file is invalid"],
  ACL_RULE: [-100207, "auks acl : acl rule is invalid"],
  CRED_TOO_LARGE: [-100301, "auks cred : input buffer is too large"],
  CRED_NULL: [-100302, "auks cred : input buffer is null"],
  CRED_CONTEXT: [-100303, "auks cred : unable to init krb5 context"],
  CRED_CONNECTION: [-100304, "auks cred : unable to init krb5 connection context"],
  CRED_READ: [-100305, "auks cred : unable to read krb5 cred from buffer"],
  CRED_PRINCIPAL: [-100306, "auks cred : unable to unparse principal"],
  CRED_PRINCIPAL_TOO_LONG: [-100307, "auks cred : principal is too long"],
  CRED_NO_LOCAL_NAME: [-100308, "auks cred : unable to convert principal to local name"],
  CRED_NO_ACCOUNT: [-100309, "auks cred : getpwnam failed"],
  CRED_NOT_RENEWABLE: [-100310, "auks cred : credential is not renewable"],
  CRED_TOO_SHORT: [-100311, "auks cred : credential lifetime is too short"],
  CRED_EXPIRED: [-100312, "auks cred : credential expired"],
  CRED_STILL_VALID: [-100313, "auks cred : credential is still valid"],
  REPO_MUTEX_INIT: [-100401, "auks cred repo : unable to init mutex"],
  REPO_MUTEX_LOCK: [-100402, "auks cred repo : unable to lock mutex"],
  REPO_MUTEX_UNLOCK: [-100403, "auks cred repo : unable to unlock mutex"],
  REPO_CONDITION: [-100404, "auks cred repo : unable to init condition"],
  REPO_NO_CACHE_DIR: [-100405, "auks cred repo : cachedir is null"],
  REPO_CACHE_DIR_COPY: [-100406, "auks cred repo : unable to duplicate cachedir"],
  REPO_CACHE_DIR_OPEN: [-100407, "auks cred repo : unable to open cachedir"],
  REPO_CCACHE_NAME: [-100408, "auks cred repo : unable to build ccache filename"],
  REPO_UNLINK: [-100409, "auks cred repo : unable to unlink ccache"],
  REPO_READ_ONLY: [-100410, "auks cred repo : repo in read-only mode"],
  REPO_INDEX: [-100411, "auks cred repo : unable to update index"],
  REPO_PACK: [-100412, "auks cred repo : unable to pack"],
  REPO_UNPACK: [-100413, "auks cred repo : unable to unpack"],
  REPO_GET: [-100414, "auks cred repo : unable to get cred"],
  MESSAGE_MEMORY: [-100501, "auks msg : malloc failed"],
  MESSAGE_NULL: [-100502, "auks msg : null buffer"],
  MESSAGE_PACK_TYPE: [-100503, "auks msg : type marshalling failed"],
  MESSAGE_UNPACK_TYPE: [-100504, "auks msg : type unmarshalling failed"],
  MESSAGE_PACK_SIZE: [-100505, "auks msg : size marshalling failed"],
  MESSAGE_UNPACK_SIZE: [-100506, "auks msg : size unmarshalling failed"],
  MESSAGE_PACK_DATA: [-100507, "auks msg : data marshalling failed"],
  MESSAGE_UNPACK_DATA: [-100508, "auks msg : data unmarshalling failed"],
  KRB5_MEMORY: [-100601, "krb5 cred : unable to allocate memory"],
  KRB5_CONTEXT: [-100602, "krb5 cred : unable to init context"],
  KRB5_CCACHE_OPEN: [-100603, "krb5 cred : unable to open credential cache"],
  KRB5_CCACHE_READ: [-100604, "krb5 cred : unable to read credential cache"],
  KRB5_CCACHE_INIT: [-100605, "krb5 cred : unable to init credential cache"],
  KRB5_NO_TGT: [-100606, "krb5 cred : no TGT found in credential cache"],
  KRB5_CONNECTION: [-100607, "krb5 cred : unable to init connection context"],
  KRB5_DUMP: [-100608, "krb5 cred : unable to dump credential to memory"],
  KRB5_LOAD: [-100609, "krb5 cred : unable to load credential from memory"],
  KRB5_STORE: [-100610, "krb5 cred : unable to store credential"],
  KRB5_PRINCIPAL: [-100611, "krb5 cred : unable to get principal"],
  KRB5_PRINCIPAL_COPY: [-100612, "krb5 cred : unable to copy principal"],
  KRB5_FORWARDED_CREDENTIAL: [-100613, "krb5 cred : unable to get forwarded credential"],
  KRB5_EXPIRED: [-100614, "krb5 cred : TGT has expired"],
  KRB5_RENEW: [-100615, "krb5 cred : unable to renew credential"],
  KRB5_NOT_RENEWABLE: [-100616, "krb5 cred : TGT not renewable"],
  KRB5_NO_HOST: [-100617, "krb5 cred : no host specified"],
  KRB5_FORWARD: [-100618, "krb5 cred : unable to get forwarded cred"],
  KRB5_CROSS_REALM: [-100619, "krb5 cred : unable to get cross-realm cred"],
  STREAM_LOCAL_ADDRESS: [-100701, "krb5 stream : unable to get socket local endpoint information"],
  STREAM_REMOTE_ADDRESS: [
    -100702,
    "krb5 stream : unable to get socket remote endpoint information",
  ],
  STREAM_CONTEXT: [-100703, "krb5 stream : unable to init context"],
  STREAM_CONNECTION: [-100704, "krb5 stream : unable to init connection context"],
  STREAM_CCACHE: [-100705, "krb5 stream : unable to open credential cache"],
  STREAM_KEYTAB: [-100706, "krb5 stream : unable to open keytab"],
  STREAM_SET_ADDRESSES: [-100707, "krb5 stream : unable to set connection ctx addresses"],
  STREAM_SET_FLAGS: [-100708, "krb5 stream : unable to set connection ctx flags"],
  STREAM_REPLAY_CACHE: [-100730, "krb5 stream : unable to set connection replay cache"],
  STREAM_GET_PRINCIPAL: [-100709, "krb5 stream : unable to get principal"],
  STREAM_SET_PRINCIPAL: [-100710, "krb5 stream : unable to set principal"],
  STREAM_SENDAUTH: [-100711, "krb5 sendauth stage failed (client side)"],
  STREAM_RECVAUTH: [-100712, "krb5 stream : recvauth stage failed (server side)"],
  STREAM_AUTHENTICATOR: [
    -100713,
    "krb5 stream : unable to get connection authenticator (server side)",
  ],
  STREAM_PRINCIPAL_COPY: [-100714, "krb5 stream : unable to copy principal"],
  STREAM_PRINCIPAL_TOO_LONG: [-100715, "krb5 stream : principal is too long"],
  STREAM_ENCRYPT: [-100716, "krb5 stream : unable to cyphered data"],
  STREAM_DECRYPT: [-100717, "krb5 stream : unable to decyphered data"],
  STREAM_WRITE: [-100718, "krb5 stream : unable to write data"],
  STREAM_READ: [-100719, "krb5 stream : unable to read data"],
  STREAM_TOO_LARGE: [-100720, "krb5 stream : transfered data too large"],
  STREAM_MEMORY: [-100721, "unable to allocate memory in krb5 stream"],
  STREAM_NOT_AUTHENTICATED: [-100722, "krb5 stream : not yet authenticated"],
  CONFIG_PARSE: [-100801, "unable to parse configuration file"],
  CONFIG_EMPTY: [-100802, "no configuration blocks found in configuration file"],
  CONFIG_INCOMPLETE: [-100803, "configuration file is incomplete"],
  API_INIT: [-200101, "auks api : unable to init request"],
  API_REQUEST: [-200102, "auks api : request processing failed"],
  API_PACK_UID: [-200103, "auks api : unable to pack uid"],
  API_PACK_CREDENTIAL: [-200104, "auks api : unable to pack credential"],
  API_REPLY: [-200105, "auks api : reply processing failed"],
  API_CONNECTION: [-200201, "auks api : connection failed"],
  API_EMPTY: [-200202, "auks api : request payload is empty"],
  API_REPLY_TYPE: [-200301, "auks api : reply type is invalid"],
  API_REPLY_CORRUPTED: [-200302, "auks api : reply seems corrupted"],
  AUKSD_UNKNOWN: [-300001, "unknown error"],
  AUKSD_NOT_A_SERVER: [-300002, "auksd : current host is not an auks server"],
  AUKSD_SOCKET: [-300003, "auksd : unable to create stream socket"],
  AUKSD_THREAD_ATTRIBUTES: [-300004, "auksd : unable to configure threads attr"],
  AUKSD_THREADS: [-300005, "auksd : unable to create threads data"],
  AUKSD_UNPACK_UID: [-300101, "auksd : unable to unpack uid"],
  AUKSD_UNPACK_CREDENTIAL: [-300102, "auksd : unable to unpack cred"],
  AUKSD_DONE: [-300103, "auksd : request is done"],
  AUKSD_UNKNOWN_REQUEST: [-300201, "auksd : unknown request type"],
  AUKSD_CORRUPTED_REQUEST: [-300202, "auksd : request is corrupted"],
  AUKSD_PROCESSING: [-300203, "auksd : error while processing request"],
  AUKSD_PRINCIPAL_MISMATCH: [-300204, "auksd : requester principals mismatches cred 's one"],
  AUKSD_NOT_AUTHORIZED: [-300205, "auksd : requester is not authorized to do that"],
  AUKSD_NOT_ADDRESSLESS: [-300206, "auksd : received credential is not addressless"],
  AUKSD_REPLY_INIT: [-300301, "auksd : reply init failed"],
  AUKSD_REPLY_SEND: [-300302, "auksd : reply transmission failed"],
  RENEW_IN_PROGRESS: [-300401, "renew in progress"],
} as const satisfies Readonly<Record<string, readonly [code: number, text: string]>>;

/** Name of an AUKS error in {@linkcode AUKS_ERRORS}. */
export type AuksErrorName = keyof typeof AUKS_ERRORS;

/**
 * The exit status for an error number: its low 8 bits, as in the original, but 1 for a failure where those are 0
 * (-100608).
 *
 * @param code the number, 0 or negative.
 * @returns 0 only for success.
 *
 * @example
 * ```ts
 * import { auksExitStatus } from "./lib/auks/errors.ts";
 *
 * console.log(auksExitStatus(-200102), auksExitStatus(-100608), auksExitStatus(0)); // 90 1 0
 * ```
 */
export function auksExitStatus(code: number): number {
  return (code & 255) === 0 && code !== 0 ? 1 : code & 255;
}

/**
 * An AUKS failure: the original's number and text and, if known, the actual reason.
 *
 * @example
 * ```ts
 * import { AuksError } from "./lib/auks/errors.ts";
 *
 * const error = new AuksError("CRED_EXPIRED", "it ended 3 hours ago");
 * console.log(error.message); // "auks cred : credential expired (it ended 3 hours ago)"
 * console.log(error.code, error.status); // -100312 40
 * ```
 */
export class AuksError extends Error {
  /** Name in {@linkcode AUKS_ERRORS}. */
  readonly error: AuksErrorName;
  /** The reason in the user's terms, which the original does not give. */
  readonly reason: string | undefined;

  /**
   * Makes an error, for the caller to throw.
   *
   * @param error name of the error.
   * @param reason the reason, for people; must not contain keys or tickets.
   */
  constructor(error: AuksErrorName, reason?: string) {
    const text = AUKS_ERRORS[error][1];
    super(reason === undefined ? text : `${text} (${reason})`);
    this.name = "AuksError";
    this.error = error;
    this.reason = reason;
  }

  /** The original's number. */
  get code(): number {
    return AUKS_ERRORS[this.error][0];
  }

  /** The original's text, without the reason. */
  get text(): string {
    return AUKS_ERRORS[this.error][1];
  }

  /** The exit status. */
  get status(): number {
    return auksExitStatus(this.code);
  }
}
