// Properties of the library, with generated input: whatever goes in comes out, whatever was altered is refused, and
// nothing but a MungeError is ever thrown.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { ciphers, decode, encode, macs, MungeError, zips } from "../../mod.ts";
import { openCredential, sealCredential, type SealOptions } from "../../lib/offline/offline.ts";
import { suiteWithEach } from "./daemons.ts";

const KEY = new Uint8Array(32).fill(0x6b);
const RUNS_WITH_DAEMON = 150;
const RUNS_OFFLINE = 400;

const u32 = fc.integer({ min: 0, max: 0xffff_ffff });
const restriction = fc.option(fc.integer({ min: 0, max: 0xffff_fffe }), { nil: undefined });
/** Arbitrary bytes, and compressible bytes. */
const payload = fc.oneof(
  fc.uint8Array({ maxLength: 2000 }),
  fc.tuple(fc.uint8Array({ minLength: 1, maxLength: 20 }), fc.integer({ min: 1, max: 300 })).map(
    ([piece, count]) =>
      new Uint8Array(piece.length * count).map((_, i) => piece[i % piece.length]!),
  ),
);
/** Valid combinations of types: aes256 needs a MAC of 32 bytes. */
const types = fc.record({
  cipher: fc.constantFrom(...ciphers.names),
  mac: fc.constantFrom(...macs.names),
  zip: fc.constantFrom(...zips.names),
}).filter(({ cipher, mac }) =>
  cipher !== "aes256" || ["default", "sha256", "sha512"].includes(mac)
);
const realm = fc.string({
  unit: fc.integer({ min: 1, max: 255 }).map((code) => String.fromCharCode(code)),
  maxLength: 254,
});
const sealed: fc.Arbitrary<SealOptions> = fc.record({
  uid: u32,
  gid: u32,
  payload,
  realm,
  ttl: u32,
  originAddress: fc.ipV4(),
  encodeTime: u32.map((seconds) => new Date(seconds * 1000)),
  uidRestriction: restriction,
  gidRestriction: restriction,
}).chain((fields) => types.map((some) => ({ ...fields, ...some })));

/** A change to a credential's bytes: one replaced, some removed, or some inserted. */
const mutation = fc.record({
  at: fc.nat(),
  removed: fc.integer({ min: 0, max: 3 }),
  inserted: fc.uint8Array({ maxLength: 3 }),
});

/** The credential with a change inside its armor, or undefined if it has no effect. */
function mutate(
  credential: string,
  { at, removed, inserted }: { at: number; removed: number; inserted: Uint8Array },
): string | undefined {
  const bytes = Buffer.from(credential.slice("MUNGE:".length, -1), "base64");
  const start = at % (bytes.length + 1);
  const changed = Buffer.concat([
    bytes.subarray(0, start),
    inserted,
    bytes.subarray(start + removed),
  ]);
  return changed.equals(bytes) ? undefined : `MUNGE:${changed.toString("base64")}:`;
}

async function assertOnlyMungeError(call: Promise<unknown>): Promise<void> {
  try {
    await call;
  } catch (error) {
    assert.ok(error instanceof MungeError, `${error}`);
  }
}

/** Texts that are not credentials, and texts that almost are. */
const anything = fc.oneof(
  fc.string({ unit: "binary", maxLength: 200 }),
  fc.uint8Array({ maxLength: 200 }),
  fc.uint8Array({ maxLength: 200 }).map((bytes) =>
    `MUNGE:${Buffer.from(bytes).toString("base64")}:`
  ),
  fc.tuple(fc.constantFrom(0, 1, 2, 3, 4, 5), fc.constantFrom(2, 5, 6), fc.uint8Array()).map(
    ([cipher, mac, rest]) =>
      `MUNGE:${Buffer.from([3, cipher, mac, 3, 0, ...rest]).toString("base64")}:`,
  ),
);

describe("properties offline", () => {
  test("any fields survive sealCredential() and openCredential()", async () => {
    await fc.assert(
      fc.asyncProperty(sealed, async (fields) => {
        const opened = await openCredential(await sealCredential(fields, KEY), KEY);
        const { payload, cipher, mac, zip, ...rest } = fields;
        assert.ok(Buffer.from(opened.payload).equals(payload as Uint8Array));
        assert.equal(opened.cipher, cipher === "default" ? "aes128" : cipher);
        assert.equal(opened.mac, mac === "default" ? "sha256" : mac);
        assert.ok([zip, "none"].includes(opened.zip));
        for (const [name, value] of Object.entries(rest)) {
          assert.deepEqual(opened[name as keyof typeof opened], value, name);
        }
      }),
      { numRuns: RUNS_OFFLINE },
    );
  });

  test("any mutation of a credential is refused by openCredential()", async () => {
    await fc.assert(
      fc.asyncProperty(sealed, mutation, async (fields, change) => {
        const credential = mutate(await sealCredential(fields, KEY), change);
        if (credential !== undefined) {
          await assert.rejects(openCredential(credential, KEY), MungeError);
        }
      }),
      { numRuns: RUNS_OFFLINE },
    );
  });

  test("openCredential() throws nothing but MungeError", async () => {
    await fc.assert(
      fc.asyncProperty(anything, (text) => assertOnlyMungeError(openCredential(text, KEY))),
      { numRuns: RUNS_OFFLINE },
    );
  });
});

suiteWithEach("properties", [], (munged) => {
  const { socketPath } = munged;

  test("any payload and options survive encode() and decode()", async () => {
    const lifetime = fc.integer({ min: 1, max: 0xffff_ffff });
    await fc.assert(
      fc.asyncProperty(payload, types, lifetime, async (payload, options, ttl) => {
        const credential = await encode(payload, { ...options, ttl, socketPath });
        const decoded = await decode(credential, { socketPath, ignoreTimeAndReplay: true });
        assert.ok(Buffer.from(decoded.payload).equals(payload));
        assert.equal(decoded.ttl, Math.min(ttl, 3600));
        assert.equal(decoded.uid, process.getuid!());
        assert.equal(decoded.gid, process.getgid!());
        assert.equal(decoded.cipher, options.cipher === "default" ? "aes128" : options.cipher);
        assert.equal(decoded.mac, options.mac === "default" ? "sha256" : options.mac);
        assert.ok([options.zip, "none"].includes(decoded.zip));
      }),
      { numRuns: RUNS_WITH_DAEMON },
    );
  });

  test("any mutation of a credential is refused by decode()", async () => {
    await fc.assert(
      fc.asyncProperty(payload, types, mutation, async (payload, options, change) => {
        const credential = mutate(await encode(payload, { ...options, socketPath }), change);
        if (credential === undefined) return;
        await assert.rejects(decode(credential, { socketPath }), (error) => {
          assert.ok(error instanceof MungeError, `${error}`);
          assert.notEqual(error.code, "EMUNGE_SOCKET");
          assert.equal(error.credential, undefined);
          return true;
        });
      }),
      { numRuns: RUNS_WITH_DAEMON },
    );
  });

  test("decode() throws nothing but MungeError", async () => {
    await fc.assert(
      fc.asyncProperty(anything, (text) => assertOnlyMungeError(decode(text, { socketPath }))),
      { numRuns: RUNS_WITH_DAEMON },
    );
  });
});
