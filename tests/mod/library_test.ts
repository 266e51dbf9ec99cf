// The library against our munged and the C one, in Bun, Deno and Node.js: options, metadata and errors.
import assert from "node:assert/strict";
import { test } from "node:test";
import { ANY_ID, MungeClient } from "../../lib/client/protocol.ts";
import { openCredential, sealCredential, type SealOptions } from "../../lib/offline/offline.ts";
import {
  ciphers,
  decode,
  decodeSync,
  encode,
  encodeSync,
  ERRNO,
  macs,
  MAX_PAYLOAD_LENGTH,
  TTL_DEFAULT,
  TTL_MAXIMUM,
  zips,
} from "../../mod.ts";
import { assertRefused, errorOf, text } from "./calls.ts";
import { Munged, suiteWithEach } from "./daemons.ts";

const uid = process.getuid!();
const gid = process.getgid!();
const secondsFromNow = (seconds: number) => new Date(Date.now() + seconds * 1000);

suiteWithEach("the library", [], (munged) => {
  const { program, socketPath } = munged;
  const seal = (fields: Partial<SealOptions> = {}) =>
    sealCredential({ uid, gid, payload: "sealed", ...fields }, munged.key);

  test("every cipher, MAC and compression survives, by name and by number", async () => {
    const payload = "a payload that compresses ".repeat(20);
    for (const cipher of ciphers.names) {
      for (const mac of macs.names) {
        for (const zip of zips.names) {
          const named = { cipher, mac, zip, socketPath };
          const numbered = {
            cipher: ciphers.toNumber(cipher)!,
            mac: macs.toNumber(mac)!,
            zip: zips.toNumber(zip)!,
            socketPath,
          };
          if (cipher === "aes256" && ["md5", "sha1", "ripemd160"].includes(mac)) {
            await assertRefused("EMUNGE_BAD_MAC", /^Invalid MAC type /, encode(payload, named));
            continue;
          }
          const options = zip === "zlib" ? numbered : named;
          const decoded = await decode(await encode(payload, options), { socketPath });
          assert.equal(text(decoded.payload), payload);
          assert.equal(decoded.cipher, cipher === "default" ? "aes128" : cipher);
          assert.equal(decoded.mac, mac === "default" ? "sha256" : mac);
          assert.equal(decoded.zip, zip === "default" ? "none" : zip);
        }
      }
    }
  });

  test("every other option and all metadata survive", async () => {
    const earliest = Math.floor(Date.now() / 1000) * 1000;
    const options = { ttl: 77, uidRestriction: uid, gidRestriction: gid, socketPath };
    const { payload, encodeTime, decodeTime, originAddress, ...rest } = await decode(
      await encode(new Uint8Array([0, 255, 10]), options),
      { socketPath },
    );
    assert.deepEqual([...payload], [0, 255, 10]);
    assert.equal(payload.byteLength, payload.buffer.byteLength);
    assert.match(originAddress, /^\d+\.\d+\.\d+\.\d+$/);
    assert.ok(encodeTime.getTime() >= earliest && encodeTime.getTime() <= Date.now());
    assert.ok(decodeTime >= encodeTime && decodeTime.getTime() <= Date.now());
    assert.deepEqual(rest, {
      uid,
      gid,
      cipher: "aes128",
      mac: "sha256",
      zip: "none",
      realm: "",
      ttl: 77,
      uidRestriction: uid,
      gidRestriction: gid,
      status: "EMUNGE_SUCCESS",
    });
  });

  test("payloads of every kind survive: empty, text, bytes, the longest", async () => {
    // MUNGE 0.5.15 accepts no message above 1 MiB, not even with its own credentials.
    const most = program.name === "our munged" ? MAX_PAYLOAD_LENGTH : 700_000;
    const long = new Uint8Array(most).map((_, i) => i * 7 + (i >> 9));
    for (const payload of [undefined, "", "Ärger\0✓", new Uint8Array(0), long]) {
      const decoded = await decode(await encode(payload, { socketPath }), { socketPath });
      const expected = typeof payload === "string" ? new TextEncoder().encode(payload) : payload;
      assert.ok(Buffer.from(decoded.payload).equals(expected ?? new Uint8Array(0)));
      assert.equal(decoded.uidRestriction, undefined);
      assert.equal(decoded.gidRestriction, undefined);
    }
  });

  test("the TTL is seconds, the daemon's default, or its maximum", async () => {
    for (
      const [ttl, granted] of [[1, 1], [TTL_DEFAULT, 300], [undefined, 300], [-1, 3600], [
        TTL_MAXIMUM,
        3600,
      ], [3601, 3600]] as const
    ) {
      const credential = await encode("", { ttl, socketPath });
      assert.equal(
        (await decode(credential, { socketPath, ignoreTimeAndReplay: true })).ttl,
        granted,
      );
    }
  });

  test("a realm survives, and a realm that munged does not serve is refused", async () => {
    const credential = await encode("x", { realm: "gpu", socketPath });
    assert.equal((await decode(credential, { socketPath })).realm, "gpu");
    if (program.name !== "our munged") return; // the reference accepts any
    const strange = encode("x", { realm: "strange", socketPath });
    await assertRefused("EMUNGE_BAD_REALM", "Unrecognized security realm", strange);
  });

  test("a credential may be bytes, and be surrounded by white space", async () => {
    const bytes = new TextEncoder().encode(` \n${await encode("x", { socketPath })}\n`);
    assert.equal(text((await decode(bytes, { socketPath })).payload), "x");
  });

  test("the daemon opens credentials made offline, and vice versa", async () => {
    const fields = {
      uid: 12345,
      gid: 54321,
      payload: "forged ".repeat(50),
      ttl: 60,
      encodeTime: secondsFromNow(-10),
      originAddress: "192.0.2.7",
    };
    for (const zip of zips.names) {
      for (const cipher of ciphers.names) {
        const decoded = await decode(await seal({ ...fields, zip, cipher }), { socketPath });
        assert.equal(text(decoded.payload), fields.payload);
        assert.equal(decoded.uid, 12345);
        assert.equal(decoded.gid, 54321);
        assert.equal(decoded.originAddress, "192.0.2.7");
        assert.equal(
          decoded.encodeTime.getTime(),
          Math.floor(fields.encodeTime.getTime() / 1000) * 1000,
        );
        const made = await encode(fields.payload, { zip, cipher, socketPath });
        const opened = await openCredential(made, munged.key);
        assert.equal(text(opened.payload), fields.payload);
        assert.equal(opened.uid, uid);
      }
    }
  });

  test("errors for expired, rewound and replayed carry the credential, and can be ignored", async () => {
    const used = await encode("sealed", { socketPath });
    await decode(used, { socketPath });
    const cases = [
      [await seal({ encodeTime: secondsFromNow(-400) }), "EMUNGE_CRED_EXPIRED", "Expired"],
      [await seal({ encodeTime: secondsFromNow(400) }), "EMUNGE_CRED_REWOUND", "Rewound"],
      [used, "EMUNGE_CRED_REPLAYED", "Replayed"],
    ] as const;
    for (const [credential, code, word] of cases) {
      const error = await assertRefused(
        code,
        `${word} credential`,
        decode(credential, { socketPath }),
      );
      assert.equal(error.socketPath, socketPath);
      assert.equal(error.credential?.status, code);
      assert.equal(text(error.credential.payload), "sealed");
      assert.equal(error.credential.uid, uid);
      const ignored = await decode(credential, { socketPath, ignoreTimeAndReplay: true });
      assert.equal(ignored.status, code);
      assert.equal(text(ignored.payload), "sealed");
      const replay = decode(credential, { socketPath, ignoreReplay: true });
      if (code === "EMUNGE_CRED_REPLAYED") assert.equal((await replay).status, code);
      else await assertRefused(code, `${word} credential`, replay);
    }
  });

  test("every error that munged can return is reported", async () => {
    const good = await seal();
    const spoilt = (at: number, value: number, text = good) => {
      const bytes = Buffer.from(text.slice(6, -1), "base64");
      bytes[at] = value;
      return `MUNGE:${bytes.toString("base64")}:`;
    };
    const opening = (credential: string) => decode(credential, { socketPath });
    await assertRefused("EMUNGE_BAD_ARG", "No credential specified", opening(""));
    await assertRefused("EMUNGE_BAD_ARG", "No credential specified", opening(" \n"));
    await assertRefused("EMUNGE_BAD_CRED", "Failed to match armor prefix", opening("hello"));
    await assertRefused("EMUNGE_BAD_CRED", "Failed to match armor suffix", opening("MUNGE:AA"));
    await assertRefused("EMUNGE_BAD_CRED", /^Truncated /, opening("MUNGE:AwQF:"));
    await assertRefused("EMUNGE_BAD_VERSION", /version 4$/, opening(spoilt(0, 4)));
    await assertRefused("EMUNGE_BAD_CIPHER", /cipher type 9$/, opening(spoilt(1, 9)));
    await assertRefused("EMUNGE_BAD_MAC", /MAC type 9$/, opening(spoilt(2, 9)));
    await assertRefused("EMUNGE_BAD_ZIP", /compression type 9$/, opening(spoilt(3, 9)));
    const invalid = await assertRefused(
      "EMUNGE_CRED_INVALID",
      "Invalid credential",
      opening(spoilt(30, 1, spoilt(31, 2))),
    );
    assert.equal(invalid.credential, undefined);
    assert.equal(invalid.socketPath, socketPath);
    const other = new Uint8Array(64).fill(9);
    const foreign = await sealCredential({ uid, gid }, other);
    await assertRefused("EMUNGE_CRED_INVALID", "Invalid credential", opening(foreign));
    const unauthorized = new RegExp(`^Unauthorized credential for client UID=${uid} GID=${gid}$`);
    for (const restriction of [{ uidRestriction: uid + 1 }, { gidRestriction: gid + 54_321 }]) {
      const restricted = await encode("secret", { ...restriction, socketPath });
      await assertRefused("EMUNGE_CRED_UNAUTHORIZED", unauthorized, opening(restricted));
    }
    const making = (options: object) => encode("", { ...options, socketPath });
    await assertRefused("EMUNGE_BAD_CIPHER", "Invalid cipher type 9", making({ cipher: 9 }));
    await assertRefused("EMUNGE_BAD_MAC", "Invalid MAC type 9", making({ mac: 9 }));
    await assertRefused("EMUNGE_BAD_MAC", "Invalid MAC type 0", making({ mac: "none" }));
    await assertRefused("EMUNGE_BAD_ZIP", "Invalid compression type 9", making({ zip: 9 }));
    const tooLong = new Uint8Array(2 * MAX_PAYLOAD_LENGTH + 1);
    await assertRefused("EMUNGE_BAD_LENGTH", /exceed/i, encode(tooLong, { socketPath }));
  });

  test("payloads are as long as munged's --max-payload allows", {
    skip: program.name !== "our munged" && "the C munged has no such option",
  }, async () => {
    const munged = new Munged(program, "--max-payload=3M");
    await munged.start();
    const { socketPath } = munged;
    try {
      const payload = new Uint8Array(3 * MAX_PAYLOAD_LENGTH).map((_, i) => i * 7 + (i >> 9));
      for (const zip of ["none", "zlib"] as const) {
        const credential = await encode(payload, { zip, socketPath });
        const offline = await openCredential(credential, munged.key);
        assert.ok(Buffer.from(offline.payload).equals(payload));
        const decoded = await decode(credential, { socketPath });
        assert.ok(Buffer.from(decoded.payload).equals(payload));
      }
      const sealed = await sealCredential({ uid, gid, payload }, munged.key);
      assert.equal((await decode(sealed, { socketPath })).payload.length, payload.length);
      const longer = new Uint8Array(payload.length + 1);
      const text = "Payload size 3145729 exceeded maximum of 3145728";
      await assertRefused("EMUNGE_BAD_LENGTH", text, encode(longer, { socketPath }));
      if ("Bun" in globalThis) {
        const made = encodeSync(payload, { socketPath });
        assert.equal(decodeSync(made, { socketPath }).payload.length, payload.length);
        assert.throws(() => encodeSync(longer, { socketPath }), { message: text });
      }
    } finally {
      await munged.stop();
    }
  });

  test("MungeClient speaks the protocol: errors are in the response", async () => {
    const client = new MungeClient(socketPath);
    const request = {
      cipher: 1,
      mac: 1,
      zip: 1,
      realm: "",
      ttl: 0,
      uidRestriction: ANY_ID,
      gidRestriction: ANY_ID,
      payload: new Uint8Array(3),
    };
    const { errno, credential } = await client.encode(request);
    assert.equal(errno, 0);
    assert.equal((await client.decode({ credential })).uid, uid);
    assert.equal((await client.decode({ credential })).errno, ERRNO.EMUNGE_CRED_REPLAYED);
    assert.equal((await client.encode({ ...request, cipher: 7 })).errno, ERRNO.EMUNGE_BAD_CIPHER);
  });

  test("the synchronous calls do the same in Bun, and say what they need elsewhere", async () => {
    if (!("Bun" in globalThis)) {
      const words = "Synchronous calls need Bun: use encode() and decode()";
      await assertRefused("ERR_SYNC_UNAVAILABLE", words, () => encodeSync("x", { socketPath }));
      await assertRefused(
        "ERR_SYNC_UNAVAILABLE",
        words,
        () => decodeSync("MUNGE:x:", { socketPath }),
      );
      return;
    }
    const credential = encodeSync("x", { socketPath, ttl: 5, cipher: "aes256" });
    const decoded = decodeSync(credential, { socketPath });
    const other = decodeSync(encodeSync("another", { socketPath }), { socketPath });
    assert.equal(text(decoded.payload), "x");
    assert.equal(text(other.payload), "another");
    assert.equal(decoded.ttl, 5);
    const replayed = await errorOf(() => decodeSync(credential, { socketPath }));
    assert.equal(replayed.code, "EMUNGE_CRED_REPLAYED");
    assert.equal(replayed.credential?.cipher, "aes256");
    assert.equal(decodeSync(credential, { socketPath, ignoreReplay: true }).uid, uid);
    const missing = `${socketPath}.missing`;
    const error = await errorOf(() => encodeSync("", { socketPath: missing }));
    assert.equal(error.code, "EMUNGE_SOCKET");
    assert.equal(error.socketPath, missing);
  });
});
