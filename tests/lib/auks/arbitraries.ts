// Generated principals, credentials and KRB-CREDs, and what they are compared by.
import fc from "fast-check";
import type { Credential } from "../../../lib/auks/credential.ts";
import type { KrbCred } from "../../../lib/auks/krb_cred.ts";
import type { PackedCredential } from "../../../lib/auks/packed_credential.ts";
import type { Principal } from "../../../lib/auks/principal.ts";

/** Records that are equal to object literals. */
export function record<T>(shape: { readonly [K in keyof T]: fc.Arbitrary<T[K]> }): fc.Arbitrary<T> {
  return fc.record<T>(shape, { noNullPrototype: true }) as fc.Arbitrary<T>;
}

/** Seconds since the epoch that fit 32 bits. */
export const seconds = fc.integer({ min: 0, max: 0xffff_ffff });
const i32 = fc.integer({ min: -0x8000_0000, max: 0x7fff_ffff });
const unit = fc.oneof(
  fc.constantFrom(..."\ufeffabzAZ019._-/@\\ \n\t\b$\u00e9\u20ac\u{1f600}"),
  fc.string({ minLength: 1, maxLength: 1, unit: "grapheme" }).filter((text) =>
    !text.includes("\0")
  ),
);
const name = fc.string({ minLength: 1, maxLength: 12, unit });

/** Principals of any name. */
export const principal: fc.Arbitrary<Principal> = record({
  realm: name,
  components: fc.array(name, { minLength: 1, maxLength: 4 }),
  nameType: i32,
});

/** Tickets of a shape that KDCs give, with anything in them. */
const ticket = record({
  kvno: fc.integer({ min: 1, max: 127 }),
  cipher: fc.uint8Array({ maxLength: 300 }),
}).map(({ kvno, cipher }) => {
  const wrap = (tag: number, ...parts: Uint8Array[]) => {
    const content = Buffer.concat(parts);
    const { length } = content;
    const prefix = length < 128
      ? [tag, length]
      : length < 256
      ? [tag, 0x81, length]
      : [tag, 0x82, length >> 8, length & 255];
    return Buffer.concat([Uint8Array.from(prefix), content]);
  };
  const integer = (value: number) => wrap(2, Uint8Array.of(value));
  const text = (value: string) => wrap(0x1b, Buffer.from(value));
  const service = wrap(
    0x30,
    wrap(0xa0, integer(2)),
    wrap(0xa1, wrap(0x30, text("krbtgt"), text("REALM.A"))),
  );
  const encrypted = wrap(
    0x30,
    wrap(0xa0, integer(18)),
    wrap(0xa1, integer(kvno)),
    wrap(0xa2, wrap(4, cipher)),
  );
  const fields = [integer(5), text("REALM.A"), service, encrypted];
  return new Uint8Array(
    wrap(0x61, wrap(0x30, ...fields.map((field, i) => wrap(0xa0 | i, field)))),
  );
});

/** Credentials of any kind. */
export const credential: fc.Arbitrary<Credential> = record({
  client: principal,
  server: principal,
  key: record({
    enctype: fc.integer({ min: -0x8000, max: 0x7fff }),
    bytes: fc.uint8Array({ maxLength: 64 }),
  }),
  flags: seconds,
  authtime: seconds,
  starttime: seconds,
  endtime: seconds,
  renewTill: seconds,
  addresses: fc.array(
    record({
      type: fc.integer({ min: 0, max: 0x7fff }),
      bytes: fc.uint8Array({ maxLength: 16 }),
    }),
    { maxLength: 3 },
  ),
  ticket,
});

/** KRB-CREDs that say when they were made. */
export const krbCred: fc.Arbitrary<KrbCred> = record({
  credentials: fc.array(credential, { minLength: 1, maxLength: 3 }),
  timestamp: fc.integer({ min: 1, max: 0xffff_ffff }),
  usec: fc.integer({ min: 0, max: 999_999 }),
});

/** Credentials as the daemon keeps them, with anything as KRB-CRED. */
export const packedCredential: fc.Arbitrary<PackedCredential> = record({
  principal: fc.string({ minLength: 1, maxLength: 30, unit }),
  uid: seconds,
  starttime: seconds,
  endtime: seconds,
  renewTill: seconds,
  addressless: fc.boolean(),
  crossrealm: fc.boolean(),
  krbCred: fc.uint8Array({ minLength: 2, maxLength: 2048 }),
});
