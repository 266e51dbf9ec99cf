// Packed credentials and the files of `auks --send`: those of real daemons, every dialect, and invalid ones.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { AuksError } from "../../../lib/auks/errors.ts";
import {
  type Dialect,
  DIALECTS,
  packCredential,
  type PackedCredential,
  packedLength,
  unpackCredential,
} from "../../../lib/auks/packed_credential.ts";
import { formatSendFile, parseSendFile, sendFileLength } from "../../../lib/auks/send_file.ts";
import { packedCredential } from "./arbitraries.ts";
import { describedFiles, plainBytes, referenceFile, transcripts } from "./reference.ts";

const DIALECT_NAMES = Object.keys(DIALECTS) as Dialect[];

/** A packed credential as the reference describes it. */
interface Described {
  readonly principal: string;
  readonly uid: number;
  readonly starttime: number;
  readonly endtime: number;
  readonly renew_till: number;
  readonly addressless: number;
  readonly crossrealm?: number;
  readonly max_length: number;
  readonly length: number;
}

function describeUnpacked(credential: PackedCredential) {
  return {
    principal: credential.principal,
    uid: credential.uid,
    starttime: credential.starttime,
    endtime: credential.endtime,
    renew_till: credential.renewTill,
    addressless: Number(credential.addressless),
    crossrealm: Number(credential.crossrealm),
    length: credential.krbCred.length,
  };
}

function compare(found: PackedCredential, described: Described): void {
  const { principal, uid, starttime, endtime, renew_till, addressless, length } = described;
  const { crossrealm = 0 } = described;
  assert.deepEqual(
    describeUnpacked(found),
    { principal, uid, starttime, endtime, renew_till, addressless, crossrealm, length },
  );
}

const isCorrupted = (error: unknown) =>
  error instanceof AuksError && error.error === "API_REPLY_CORRUPTED";

const BOB: PackedCredential = {
  principal: "bob@REALM.A",
  uid: 2000,
  starttime: 10,
  endtime: 20,
  renewTill: 30,
  addressless: true,
  crossrealm: false,
  krbCred: Uint8Array.of(1, 2, 3, 4),
};

describe("a credential that a real daemon sent", () => {
  const replies = transcripts().flatMap(({ name, dialect, priv }) =>
    priv.flatMap(({ plain, meaning }) => {
      const { credential, credentials } = meaning as unknown as {
        credential?: Described;
        credentials?: readonly Described[];
      };
      if (meaning.type === 24) return [{ name, dialect, plain, described: [credential!] }];
      return meaning.type === 26 ? [{ name, dialect, plain, described: credentials! }] : [];
    })
  );
  assert(replies.length > 35, `${replies.length}`);

  replies.forEach(({ name, dialect, plain, described }, i) => {
    test(`in ${name} (${i}) is read as it was described, and packed the same`, () => {
      const bytes = plainBytes(plain);
      let at = described.length === 1 && bytes[3] === 24 ? 4 : 8;
      for (const each of described) {
        const unpacked = unpackCredential(bytes, at);
        assert.equal(unpacked.dialect, dialect === "HEAD" ? "head" : "0.5");
        compare(unpacked.credential, each);
        const again = packCredential(unpacked.credential, unpacked.dialect, false);
        assert.equal(again.length, unpacked.length);
        // The original's bytes after principal and KRB-CRED are leftover memory; ours are zeros.
        const { principal, krbCred } = unpacked.credential;
        const there = bytes.slice(at, at + unpacked.length);
        there.fill(0, 4 + principal.length, 4 + 129);
        there.fill(0, there.length - 4 - each.max_length + krbCred.length, there.length - 4);
        assert.deepEqual(again, there);
        at += unpacked.length;
      }
      assert.equal(at, bytes.length);
    });
  });
});

describe("a packed credential", () => {
  for (const dialect of DIALECT_NAMES) {
    for (const compact of [false, true]) {
      test(`of ${dialect}${compact ? ", compact," : ""} is unpacked as it was packed`, () => {
        fc.assert(fc.property(packedCredential, (credential) => {
          const bytes = packCredential(credential, dialect, compact);
          assert.equal(bytes.length, packedLength(credential.krbCred.length, dialect, compact));
          const unpacked = unpackCredential(bytes);
          const crossrealm = dialect === "head" && credential.crossrealm;
          assert.deepEqual(unpacked.credential, { ...credential, crossrealm });
          assert.equal(unpacked.length, bytes.length);
          // A compact 0.4 one is indistinguishable from 0.5.
          if (compact && dialect === "0.4") return;
          if (compact && dialect === "0.5" && credential.krbCred.length === 2048) return;
          assert.equal(unpacked.dialect, dialect);
        }));
      });

      test(`of ${dialect}${compact ? ", compact," : ""} is refused if truncated anywhere`, () => {
        const bytes = packCredential(BOB, dialect, compact);
        for (let length = 0; length < bytes.length; length++) {
          assert.throws(() => unpackCredential(bytes.subarray(0, length)), isCorrupted);
        }
      });
    }

    test(`of ${dialect} holds the largest KRB-CRED, and not one byte more`, () => {
      const { maxLength } = DIALECTS[dialect];
      const sized = (length: number) => ({ ...BOB, krbCred: new Uint8Array(length).fill(1) });
      const packed = packCredential(sized(maxLength), dialect, true);
      assert.equal(unpackCredential(packed).credential.krbCred.length, maxLength);
      for (const compact of [true, false]) {
        assert.throws(
          () => packCredential(sized(maxLength + 1), dialect, compact),
          (error) => error instanceof AuksError && error.error === "CRED_TOO_LARGE",
        );
      }
    });
  }

  test("with any byte changed is refused or unpacked", () => {
    fc.assert(
      fc.property(packedCredential, fc.integer({ min: 1, max: 255 }), (credential, change) => {
        const bytes = packCredential(credential, "head", true);
        for (let at = 0; at < bytes.length; at++) {
          const changed = bytes.slice();
          changed[at]! ^= change;
          try {
            const { length, credential: read } = unpackCredential(changed);
            assert(length <= bytes.length && read.krbCred.length <= bytes.length);
          } catch (error) {
            assert(isCorrupted(error), `${error}`);
          }
        }
      }),
      { numRuns: 20 },
    );
  });
});

describe("a packed credential is refused for", () => {
  const packed = (change: (view: DataView, bytes: Uint8Array) => void) => {
    const bytes = packCredential(BOB, "0.5", true);
    change(new DataView(bytes.buffer), bytes);
    return bytes;
  };
  /** Offsets of the fields; the principal's field begins at 4. */
  const UID = 4 + 129;
  const ADDRESSLESS = UID + 4 * 4;
  const MAX_LENGTH = ADDRESSLESS + 4;
  const LENGTH = MAX_LENGTH + 4;

  for (
    const [what, change] of [
      ["a field of another length", (view: DataView) => view.setUint32(0, 130)],
      ["no principal", (_: DataView, bytes: Uint8Array) => bytes.fill(0, 4, UID)],
      ["a principal without NUL", (_: DataView, bytes: Uint8Array) => bytes.fill(65, 4, UID)],
      ["a principal that is not UTF-8", (_: DataView, bytes: Uint8Array) => bytes.fill(255, 4, 5)],
      ["an addressless flag of 2", (view: DataView) => view.setUint32(ADDRESSLESS, 2)],
      ["a KRB-CRED longer than its field", (view: DataView) => view.setUint32(LENGTH, 5)],
      [
        "a field longer than the message",
        (view: DataView) => view.setUint32(MAX_LENGTH, 0xffff_ffff),
      ],
    ] as const
  ) {
    test(what, () => assert.throws(() => unpackCredential(packed(change)), isCorrupted));
  }

  test("a KRB-CRED larger than any AUKS accepts", () => {
    const bytes = new Uint8Array(packedLength(32_769, "0.5", true));
    bytes.set(packCredential(BOB, "0.5", true));
    const view = new DataView(bytes.buffer);
    view.setUint32(MAX_LENGTH, 32_769);
    view.setUint32(LENGTH, 32_769);
    assert.throws(() => unpackCredential(bytes), isCorrupted);
    view.setUint32(LENGTH, 32_768);
    assert.equal(unpackCredential(bytes).credential.krbCred.length, 32_768);
  });

  test("a principal that is too long to be packed", () => {
    const principal = `${"x".repeat(120)}@REALM.A`;
    assert.throws(
      () => packCredential({ ...BOB, principal }, "head", true),
      (error) => error instanceof AuksError && error.error === "CRED_PRINCIPAL_TOO_LONG",
    );
  });
});

describe("a file of auks --send", () => {
  for (const name of ["send-bob", "send-carol-two-tgts"]) {
    test(`${name} is read as it was described, and written the same`, () => {
      const bytes = referenceFile(name);
      const { packed } = describedFiles<{ packed: Described }>()[name]!;
      const credential = parseSendFile(bytes);
      compare(credential, packed);
      const again = formatSendFile(credential);
      // The reference has 0xEE where the original has leftover memory.
      const there = bytes.slice();
      const krbCredEnds = there.length - 4 - packed.max_length + packed.length;
      there.fill(0, 16 + packed.principal.length, 16 + 129);
      there.fill(0, krbCredEnds, there.length - 4);
      assert.deepEqual(again, there);
      assert.deepEqual(parseSendFile(again), credential);
    });
  }

  test("may have its length in the other byte order", () => {
    const bytes = referenceFile("send-bob").slice();
    bytes.subarray(0, 8).reverse();
    assert.equal(parseSendFile(bytes).principal, "bob@REALM.A");
  });

  test("may be compact", () => {
    const packed = packCredential(BOB, "head", true);
    const bytes = new Uint8Array(12 + packed.length);
    const view = new DataView(bytes.buffer);
    view.setUint32(0, 4 + packed.length, true);
    view.setUint32(8, 7);
    bytes.set(packed, 12);
    assert.deepEqual(parseSendFile(bytes), BOB);
  });

  test("is refused if truncated, too long, of another type or with an impossible length", () => {
    const bytes = referenceFile("send-bob");
    for (const length of [0, 7, 8, 11, 12, 200, bytes.length - 1]) {
      assert.throws(() => parseSendFile(bytes.subarray(0, length)), isCorrupted, `${length}`);
    }
    assert.throws(() => parseSendFile(Uint8Array.from([...bytes, 0])), isCorrupted);
    const other = bytes.slice();
    other[11] = 24;
    assert.throws(() => parseSendFile(other), isCorrupted);
    assert.equal(sendFileLength(bytes.subarray(0, 8)), bytes.length - 8);
    for (const length of [0n, 3n, 32_942n, 2n ** 32n]) {
      const header = new Uint8Array(8);
      new DataView(header.buffer).setBigUint64(0, length, true);
      assert.throws(() => sendFileLength(header), isCorrupted, `${length}`);
    }
  });
});
