// The library without a munged, in Bun, Deno and Node.js: against a server that gives prepared answers or none, and what needs
// no daemon at all.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import {
  formatDecodeResponse,
  formatEncodeResponse,
  HEADER_LENGTH,
  parseHeader,
  RESET_DECODE_RESPONSE,
} from "../../lib/protocol/message.ts";
import { openCredential, sealCredential, type SealOptions } from "../../lib/offline/offline.ts";
import {
  ciphers,
  decode,
  DEFAULT_SOCKET,
  encode,
  errorCode,
  errorText,
  macs,
  Munge,
  MungeError,
  RejectedCredentialError,
  zips,
} from "../../mod.ts";
import { assertRefused, errorOf, text, times } from "./calls.ts";

const REJECTIONS: readonly string[] = [
  "EMUNGE_CRED_EXPIRED",
  "EMUNGE_CRED_REWOUND",
  "EMUNGE_CRED_REPLAYED",
];

describe("the library without a daemon", () => {
  let folder: string;
  let server: Server;
  let socketPath: string;
  /** The server's answer to a request of this type; undefined keeps the client waiting. */
  let answer: (type: number) => Uint8Array | undefined;
  before(async () => {
    folder = mkdtempSync("/tmp/munge-mod-");
    socketPath = join(folder, "socket");
    server = createServer((socket) => {
      socket.on("error", () => {});
      socket.on("data", (piece) => {
        if (piece.length < HEADER_LENGTH) return;
        const bytes = answer(parseHeader(piece).type);
        if (bytes !== undefined) socket.end(bytes);
      });
    });
    await new Promise<void>((resolve) => server.listen(socketPath, resolve));
  });
  after(async () => {
    await new Promise((resolve) => server.close(resolve));
    rmSync(folder, { recursive: true });
  });

  test("every error number on the wire is a MungeError", async () => {
    for (let errno = 1; errno <= 18; errno++) {
      for (const text of ["", "The daemon's words"]) {
        answer = (type) =>
          type === 2
            ? formatEncodeResponse({ errno, errorText: text, credential: new Uint8Array(0) }, 0)
            : formatDecodeResponse({ ...RESET_DECODE_RESPONSE, errno, errorText: text }, 0);
        const encoding = () => encode("", { socketPath });
        for (const call of [encoding, () => decode("MUNGE:x:", { socketPath })]) {
          const error = await errorOf(call);
          assert.equal(error.socketPath, socketPath);
          if (call === encoding && REJECTIONS.includes(errorCode(errno))) {
            // Errors that carry a decoded credential, which an encode never has.
            assert.equal(error.code, "EMUNGE_SNAFU");
            assert.match(error.message, /^munged answered an encode with "/);
            continue;
          }
          assert.equal(error.errno, errno);
          assert.equal(error.code, errorCode(errno));
          assert.equal(error.message, text || errorText(errno));
        }
      }
    }
  });

  test("timeoutMs ends a call that gets no answer, or no turn", async () => {
    answer = () => undefined;
    const calls = times(100, () => errorOf(encode("", { socketPath, timeoutMs: 100 })));
    for (const error of await Promise.all(calls)) {
      assert.equal(error.code, "EMUNGE_TIMEOUT");
      assert.equal(error.message, "Socket timeout");
      assert.equal(error.socketPath, socketPath);
    }
    await assertRefused(
      "EMUNGE_TIMEOUT",
      "Socket timeout",
      decode("x", { socketPath, timeoutMs: 1 }),
    );
  });

  test("a signal ends a call that gets no answer, or no turn", async () => {
    answer = () => undefined;
    const controller = new AbortController();
    const { signal } = controller;
    const calls = times(100, () => encode("", { socketPath, signal, timeoutMs: 60_000 }));
    const outcomes = Promise.allSettled(calls);
    setTimeout(() => controller.abort("stop"), 50);
    for (const outcome of await outcomes) {
      assert.equal(outcome.status === "rejected" && outcome.reason, "stop");
    }
  });

  test("without a daemon the error names the socket", async () => {
    const missing = join(folder, "missing");
    const error = await assertRefused(
      "EMUNGE_SOCKET",
      `Failed to access "${missing}": No such file or directory (Did you start munged?)`,
      encode("", { socketPath: missing }),
    );
    assert.equal(error.socketPath, missing);
    writeFileSync(join(folder, "file"), "");
    const file = join(folder, "file");
    const words = `Invalid file type for socket "${file}"`;
    await assertRefused("EMUNGE_SOCKET", words, decode("x", { socketPath: file }));
    const undefinedName = "MUNGE socket name is undefined";
    await assertRefused("EMUNGE_SOCKET", undefinedName, encode("", { socketPath: "" }));
  });

  test("values that the wire can't carry are refused before sending", async () => {
    const making = (options: object) => encode("", { ...options, socketPath });
    for (const cipher of ["rot13", -1, 256, 1.5, NaN]) {
      await assertRefused("EMUNGE_BAD_CIPHER", /^Invalid cipher type /, making({ cipher }));
    }
    await assertRefused("EMUNGE_BAD_MAC", 'Invalid MAC type "crc"', making({ mac: "crc" }));
    await assertRefused("EMUNGE_BAD_ZIP", 'Invalid compression type "rar"', making({ zip: "rar" }));
    for (const ttl of [-2, 2 ** 32, 0.5, NaN]) {
      await assertRefused("EMUNGE_BAD_ARG", `Invalid time-to-live ${ttl}`, making({ ttl }));
    }
    for (const id of [-1, 2 ** 32, 0.5]) {
      const [uidText, gidText] = [`Invalid UID restriction ${id}`, `Invalid GID restriction ${id}`];
      await assertRefused("EMUNGE_BAD_ARG", uidText, making({ uidRestriction: id }));
      await assertRefused("EMUNGE_BAD_ARG", gidText, making({ gidRestriction: id }));
    }
    for (const realm of ["x".repeat(255), "a\0b", "realm ✓"]) {
      await assertRefused("EMUNGE_BAD_ARG", "Invalid security realm string", making({ realm }));
    }
    const number = 1 as unknown as string;
    await assertRefused("EMUNGE_BAD_ARG", /^Payload is neither/, encode(number, { socketPath }));
    await assertRefused("EMUNGE_BAD_ARG", /^Credential is neither/, decode(number, { socketPath }));
  });

  test("sealCredential() and openCredential() carry every field, and check the key", async () => {
    const key = new Uint8Array(32).fill(0x6b);
    const encodeTime = new Date(1_700_000_000_000);
    const fields: SealOptions = {
      uid: 1,
      gid: 2,
      payload: "p".repeat(500),
      cipher: "aes256",
      mac: "sha512",
      zip: "bzlib",
      realm: "gpu",
      ttl: 0,
      originAddress: "192.0.2.1",
      encodeTime,
      uidRestriction: 3,
      gidRestriction: 4,
    };
    const random = { salt: new Uint8Array(8), iv: new Uint8Array(16) };
    const credential = await sealCredential({ ...fields, ...random }, key);
    assert.equal(await sealCredential({ ...fields, ...random }, key), credential);
    assert.notEqual(await sealCredential(fields, key), await sealCredential(fields, key));
    for (const form of [credential, new TextEncoder().encode(credential)]) {
      const { payload, ...rest } = await openCredential(form, key);
      assert.equal(text(payload), fields.payload);
      const { payload: _, ...expected } = fields;
      assert.deepEqual(rest, expected);
    }
    const short = key.subarray(1);
    await assertRefused("EMUNGE_BAD_ARG", /at least 32/, openCredential(credential, short));
    await assertRefused("EMUNGE_BAD_ARG", /at least 32/, sealCredential(fields, short));
    for (
      const wrong of [
        { uid: -1 },
        { gid: 0.5 },
        { originAddress: "::1" },
        { encodeTime: new Date(NaN) },
        { salt: new Uint8Array(7) },
        { iv: new Uint8Array(8) },
      ]
    ) {
      await assertRefused(
        "EMUNGE_BAD_ARG",
        /^Invalid /,
        sealCredential({ ...fields, ...wrong }, key),
      );
    }
  });

  test("enumerations turn names into numbers and back, and know which are valid", () => {
    assert.deepEqual(ciphers.names, ["none", "default", "blowfish", "cast5", "aes128", "aes256"]);
    assert.deepEqual(macs.names, ["default", "md5", "sha1", "ripemd160", "sha256", "sha512"]);
    assert.deepEqual(zips.names, ["none", "default", "bzlib", "zlib"]);
    for (const types of [ciphers, macs, zips]) {
      for (const name of types.names) {
        const number = types.toNumber(name)!;
        assert.equal(types.toName(number), name);
        assert.ok(types.isValid(name) && types.isValid(number));
      }
      for (const wrong of ["", "AES128", "toString", -1, 7, 0.5, NaN]) {
        assert.equal(types.isValid(wrong), false);
        if (typeof wrong === "string") assert.equal(types.toNumber(wrong), undefined);
        else assert.equal(types.toName(wrong), undefined);
      }
    }
    assert.equal(macs.toName(0), "none");
    assert.equal(macs.isValid(0), false);
  });

  test("a payload is bytes, or a text if it is one", async () => {
    const response = (payload: Uint8Array) =>
      formatDecodeResponse({ ...RESET_DECODE_RESPONSE, errno: 0, errorText: "", payload }, 0);
    answer = () => response(new TextEncoder().encode("\ufeffÄrger\0✓"));
    assert.equal((await decode("x", { socketPath, as: "text" })).payload, "\ufeffÄrger\0✓");
    assert.equal(text((await decode("x", { socketPath, as: "bytes" })).payload), "Ärger\0✓");
    answer = () => response(new Uint8Array([0x61, 0xff]));
    assert.deepEqual([...(await decode("x", { socketPath })).payload], [0x61, 0xff]);
    const asText = decode("x", { socketPath, as: "text" });
    await assertRefused("ERR_PAYLOAD_NOT_TEXT", "Payload is not UTF-8 text", asText);
  });

  test("a Munge asks its own munged, within its own time limit", async () => {
    const credential = new TextEncoder().encode("MUNGE:x:");
    answer = () => formatEncodeResponse({ errno: 0, errorText: "", credential }, 0);
    const munge = new Munge({ socketPath, timeoutMs: 500 });
    assert.equal(await munge.encode("hello", { ttl: 60 }), "MUNGE:x:");
    answer = () => undefined;
    await assertRefused("EMUNGE_TIMEOUT", "Socket timeout", munge.encode());
    await assertRefused("EMUNGE_TIMEOUT", "Socket timeout", munge.decode("x"));
    const longer = munge.encode("", { timeoutMs: 60_000, signal: AbortSignal.timeout(800) });
    await assert.rejects(longer, { name: "TimeoutError" });
    await using source = munge.source();
    await assertRefused("EMUNGE_TIMEOUT", "Socket timeout", source.get({ timeoutMs: 50 }));
    await assertRefused("EMUNGE_TIMEOUT", "Socket timeout", source.fresh());
    await assertRefused("EMUNGE_TIMEOUT", "Socket timeout", source.get());
    assert.equal(new Munge().socketPath, DEFAULT_SOCKET);
  });

  test("a rejected credential is an error with its code, number, text and credential", async () => {
    const key = new Uint8Array(32).fill(0x6b);
    const sealed = await openCredential(await sealCredential({ uid: 1, gid: 2 }, key), key);
    const status = "EMUNGE_CRED_REPLAYED";
    const error = new RejectedCredentialError({ ...sealed, status, decodeTime: new Date() });
    assert.ok(error instanceof MungeError);
    assert.equal(error.name, "MungeError");
    assert.equal(error.code, status);
    assert.equal(error.errno, 17);
    assert.equal(error.message, "Replayed credential");
    assert.equal(error.credential.uid, 1);
    assert.equal(error.socketPath, undefined);
    assert.equal("cause" in error, false);
  });

  test("an error number without a name is reported as unknown", () => {
    assert.equal(errorText(99), "Unknown error");
    assert.equal(errorCode(99), "EMUNGE_SNAFU");
  });
});
