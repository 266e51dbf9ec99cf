// Credential cache files of version 4, as used by libkrb5 for FILE: and by AUKS in CacheDir, and the tickets that AUKS takes
// from them. ccache_writer.ts formats such files.
import { AuksError } from "./errors.ts";
import type { Credential, HostAddress } from "./credential.ts";
import { type Principal, samePrincipal, tgsRealm } from "./principal.ts";

/** A credential in a cache. */
export interface CachedCredential extends Credential {
  /** Whether the ticket is encrypted under another ticket's session key. */
  readonly isSkey: boolean;
  /** Authorization data, not interpreted here. */
  readonly authdata: readonly HostAddress[];
  /** DER of a second ticket; empty if there is none. */
  readonly secondTicket: Uint8Array;
}

/** The contents of a cache file. */
export interface Ccache {
  /** Whose cache it is. */
  readonly principal: Principal;
  /** In the file's order, without the entries for libkrb5's own settings. */
  readonly credentials: readonly CachedCredential[];
}

/** Maximum size of a cache file. */
export const MAX_CCACHE_LENGTH = 1_048_576;

/** The first two bytes of a file. */
export const CCACHE_VERSION = 0x0504;
/** Realm of the entries for libkrb5's own settings. */
const CONFIGURATION_REALM = "X-CACHECONF:";
const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Big-endian integers and counted bytes, one after another. */
class Reader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  }

  get atEnd(): boolean {
    return this.#at === this.#bytes.length;
  }

  bytes(length: number): Uint8Array {
    if (length > this.#bytes.length - this.#at) throw unreadable("it is cut off");
    return this.#bytes.subarray(this.#at, this.#at += length);
  }

  #next(length: number): number {
    this.bytes(length);
    return this.#at - length;
  }

  u8(): number {
    return this.#view.getUint8(this.#next(1));
  }

  u16(): number {
    return this.#view.getUint16(this.#next(2));
  }

  u32(): number {
    return this.#view.getUint32(this.#next(4));
  }

  counted(): Uint8Array {
    return this.bytes(this.u32());
  }

  text(): string {
    const bytes = this.counted();
    try {
      return utf8.decode(bytes);
    } catch {
      throw unreadable("a name in it is not UTF-8");
    }
  }

  principal(): Principal {
    const nameType = this.u32() | 0;
    const count = this.u32();
    const realm = this.text();
    const components: string[] = [];
    for (let i = 0; i < count; i++) components.push(this.text());
    return { realm, components, nameType };
  }

  typed(): HostAddress[] {
    const items: HostAddress[] = [];
    for (let left = this.u32(); left > 0; left--) {
      items.push({ type: this.u16(), bytes: this.counted() });
    }
    return items;
  }

  credential(): CachedCredential {
    const client = this.principal();
    const server = this.principal();
    const key = { enctype: this.u16() << 16 >> 16, bytes: this.counted() };
    const authtime = this.u32();
    const starttime = this.u32();
    const endtime = this.u32();
    const renewTill = this.u32();
    const isSkey = this.u8() !== 0;
    const flags = this.u32();
    const addresses = this.typed();
    const authdata = this.typed();
    const ticket = this.counted();
    const secondTicket = this.counted();
    return {
      client,
      server,
      key,
      authtime,
      starttime,
      endtime,
      renewTill,
      isSkey,
      flags,
      addresses,
      authdata,
      ticket,
      secondTicket,
    };
  }
}

function unreadable(why: string): AuksError {
  return new AuksError("KRB5_CCACHE_READ", `not a credential cache of version 4: ${why}`);
}

/**
 * Parses a cache file. Keys and tickets are views of the bytes.
 *
 * @param bytes the whole file.
 * @returns its contents.
 * @throws {AuksError} KRB5_CCACHE_READ if it is not a valid version 4 cache.
 *
 * @example
 * ```ts
 * import { readFileSync } from "node:fs";
 * import { parseCcache } from "./lib/auks/ccache.ts";
 * import { formatPrincipal } from "./lib/auks/principal.ts";
 *
 * const file = readFileSync("tests/auks/reference/files/ccache-bob");
 * console.log(formatPrincipal(parseCcache(file).principal)); // "bob@REALM.A"
 * ```
 */
export function parseCcache(bytes: Uint8Array): Ccache {
  if (bytes.length > MAX_CCACHE_LENGTH) throw unreadable(`it has ${bytes.length} bytes`);
  const reader = new Reader(bytes);
  if (bytes.length === 0) throw unreadable("it is empty");
  const version = reader.u16();
  if (version !== CCACHE_VERSION) throw unreadable(`it begins with 0x${version.toString(16)}`);
  // The header's tags (the offset to the KDC's clock) are not used here.
  reader.bytes(reader.u16());
  const principal = reader.principal();
  const credentials: CachedCredential[] = [];
  while (!reader.atEnd) {
    const credential = reader.credential();
    if (credential.server.realm !== CONFIGURATION_REALM) credentials.push(credential);
  }
  return { principal, credentials };
}

/**
 * The tickets that AUKS takes from a cache: the first one for its principal's own realm, and that realm's first one for
 * another realm.
 *
 * @param ccache from {@linkcode parseCcache}.
 * @returns one or two, the own realm's first; none if that is missing.
 */
export function tgtsOf(ccache: Ccache): readonly CachedCredential[] {
  const { principal, credentials } = ccache;
  // libkrb5 leaves a removed credential in place, with an end of 0.
  const tgts = credentials.filter(({ client, server, endtime }) =>
    endtime > 0 && samePrincipal(client, principal) && server.realm === principal.realm &&
    tgsRealm(server) !== undefined
  );
  const own = tgts.find(({ server }) => tgsRealm(server) === principal.realm);
  const other = tgts.find(({ server }) => tgsRealm(server) !== principal.realm);
  if (own === undefined) return [];
  return other === undefined ? [own] : [own, other];
}
