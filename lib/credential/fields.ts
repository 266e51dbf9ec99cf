// The contents of a credential as plain values, and their limits. outer.ts and inner.ts have their layout in bytes.

/** Maximum length, in bytes, of a payload that every munged accepts: the default of munged's `--max-payload`. */
export const MAX_PAYLOAD_LENGTH = 1_048_576;
/** The longest payload that `--max-payload` can allow. */
export const LARGEST_PAYLOAD_LENGTH = 64 * MAX_PAYLOAD_LENGTH;
/** Bytes of salt in every credential. */
export const SALT_LENGTH = 8;
/** Bytes of the MAC that identify a credential in the replay cache. */
export const REPLAY_KEY_LENGTH = 16;

/** The contents of a credential. Types are numbers in the tables, times are seconds since the epoch. */
export interface CredentialFields {
  /** Number of a cipher in {@linkcode CIPHERS}, `default` excluded. */
  readonly cipher: number;
  /** Number of a MAC in {@linkcode MACS}, `none` and `default` excluded. */
  readonly mac: number;
  /** Number of a compression in {@linkcode ZIPS}, `default` excluded. */
  readonly zip: number;
  /** Security realm, at most 254 characters below U+0100; empty for the default one. */
  readonly realm: string;
  /** IPv4 address of the encoding host: 4 bytes, or none if unknown. */
  readonly originAddress: Uint8Array;
  readonly encodeTime: number;
  /** Seconds for which the credential is valid before and after its encode time. */
  readonly ttl: number;
  readonly uid: number;
  readonly gid: number;
  /** The only UID that may decode, or ANY_ID. */
  readonly uidRestriction: number;
  /** The only GID that may decode, or ANY_ID. */
  readonly gidRestriction: number;
  readonly payload: Uint8Array;
}

/** The random bytes of one credential; never reused. */
export interface Randomness {
  /** {@linkcode SALT_LENGTH} bytes. */
  readonly salt: Uint8Array;
  /** At least as many bytes as the cipher's block length; only that many are used. */
  readonly iv: Uint8Array;
}

/** A credential that has been verified to be made with one of the keys. */
export interface OpenedCredential extends CredentialFields {
  /** The first {@linkcode REPLAY_KEY_LENGTH} bytes of the MAC, which identify it in the replay cache. */
  readonly replayKey: Uint8Array;
  /** Which of the keys made it: its index in the ring. */
  readonly ringIndex: number;
}
