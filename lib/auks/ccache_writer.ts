// Formats credential cache files of version 4, the inverse of ccache.ts.
import { type CachedCredential, CCACHE_VERSION } from "./ccache.ts";
import type { Credential, HostAddress } from "./credential.ts";
import type { Principal } from "./principal.ts";

const toUtf8 = new TextEncoder();

/** Big-endian integers and counted bytes, into a buffer that is long enough. */
class Writer {
  readonly bytes: Uint8Array;
  readonly #view: DataView;
  #at = 0;

  constructor(length: number) {
    this.bytes = new Uint8Array(length);
    this.#view = new DataView(this.bytes.buffer);
  }

  put(bytes: Uint8Array): void {
    this.bytes.set(bytes, this.#at);
    this.#at += bytes.length;
  }

  u8(value: number): void {
    this.#view.setUint8(this.#at++, value);
  }

  u16(value: number): void {
    this.#view.setUint16(this.#at, value);
    this.#at += 2;
  }

  u32(value: number): void {
    this.#view.setUint32(this.#at, value);
    this.#at += 4;
  }

  counted(bytes: Uint8Array): void {
    this.u32(bytes.length);
    this.put(bytes);
  }

  principal({ nameType, realm, components }: Principal): void {
    this.u32(nameType);
    this.u32(components.length);
    for (const part of [realm, ...components]) this.counted(toUtf8.encode(part));
  }

  typed(items: readonly HostAddress[]): void {
    this.u32(items.length);
    for (const { type, bytes } of items) {
      this.u16(type);
      this.counted(bytes);
    }
  }

  credential(credential: Credential & Partial<CachedCredential>): void {
    this.principal(credential.client);
    this.principal(credential.server);
    this.u16(credential.key.enctype);
    this.counted(credential.key.bytes);
    this.u32(credential.authtime);
    this.u32(credential.starttime);
    this.u32(credential.endtime);
    this.u32(credential.renewTill);
    this.u8(credential.isSkey ? 1 : 0);
    this.u32(credential.flags);
    this.typed(credential.addresses);
    this.typed(credential.authdata ?? []);
    this.counted(credential.ticket);
    this.counted(credential.secondTicket ?? new Uint8Array(0));
  }
}

function principalLength({ realm, components }: Principal): number {
  let length = 8;
  for (const part of [realm, ...components]) length += 4 + toUtf8.encode(part).length;
  return length;
}

function typedLength(items: readonly HostAddress[]): number {
  let length = 4;
  for (const { bytes } of items) length += 6 + bytes.length;
  return length;
}

function credentialLength(credential: Credential & Partial<CachedCredential>): number {
  return principalLength(credential.client) + principalLength(credential.server) +
    2 + 4 + credential.key.bytes.length + 16 + 1 + 4 +
    typedLength(credential.addresses) + typedLength(credential.authdata ?? []) +
    4 + credential.ticket.length + 4 + (credential.secondTicket?.length ?? 0);
}

/**
 * Formats a cache file with an empty header, as in auksd's CacheDir.
 *
 * @param principal of the cache.
 * @param credentials its contents, in order; from a cache or a KRB-CRED.
 * @returns the file's bytes; the caller wipes them.
 *
 * @example
 * ```ts
 * import { parseCcache } from "./lib/auks/ccache.ts";
 * import { formatCcache } from "./lib/auks/ccache_writer.ts";
 *
 * const bob = { realm: "REALM.A", components: ["bob"], nameType: 1 };
 * console.log(parseCcache(formatCcache(bob, [])).principal.realm); // "REALM.A"
 * ```
 */
export function formatCcache(
  principal: Principal,
  credentials: readonly (Credential & Partial<CachedCredential>)[],
): Uint8Array {
  let length = 4 + principalLength(principal);
  for (const credential of credentials) length += credentialLength(credential);
  const writer = new Writer(length);
  writer.u16(CCACHE_VERSION);
  writer.u16(0);
  writer.principal(principal);
  for (const credential of credentials) writer.credential(credential);
  return writer.bytes;
}
