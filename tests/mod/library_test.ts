// The library against our munged and the C one, in Bun, Deno and Node.js: options, errors, load, aborts, restarts and
// descriptors.
import assert from "node:assert/strict";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { setImmediate as nextTurn, setTimeout as pause } from "node:timers/promises";
import {
  formatDecodeResponse,
  formatEncodeResponse,
  HEADER_LENGTH,
  parseHeader,
  RESET_DECODE_RESPONSE,
} from "../../lib/protocol/message.ts";
import { ANY_ID, MungeClient } from "../../lib/client/protocol.ts";
import { openCredential, sealCredential, type SealOptions } from "../../lib/offline/offline.ts";
import {
  ciphers,
  CredentialSource,
  decode,
  decodeSync,
  DEFAULT_SOCKET,
  encode,
  encodeMany,
  encodeSync,
  ERRNO,
  errorCode,
  errorText,
  LibraryError,
  macs,
  MAX_PAYLOAD_LENGTH,
  Munge,
  MungeError,
  RejectedCredentialError,
  TTL_DEFAULT,
  TTL_MAXIMUM,
  zips,
} from "../../mod.ts";
import { Munged, openSockets, PROGRAMS } from "./daemons.ts";
import { suite } from "../suite.ts";
import { withShortOutages } from "../harness/outage.ts";

const uid = process.getuid!();
const gid = process.getgid!();
const text = (payload: Uint8Array) => new TextDecoder().decode(payload);
const times = <T>(count: number, make: (i: number) => T) =>
  Array.from({ length: count }, (_, i) => make(i));
const REJECTIONS: readonly string[] = [
  "EMUNGE_CRED_EXPIRED",
  "EMUNGE_CRED_REWOUND",
  "EMUNGE_CRED_REPLAYED",
];
const secondsFromNow = (seconds: number) => new Date(Date.now() + seconds * 1000);

/** The MungeError with which a call ends. */
async function errorOf(call: Promise<unknown> | (() => unknown)): Promise<MungeError> {
  try {
    await (typeof call === "function" ? call() : call);
  } catch (error) {
    assert.ok(error instanceof MungeError, String(error));
    if (!(error instanceof LibraryError)) assert.equal(error.errno, ERRNO[error.code]);
    return error;
  }
  assert.fail("no error");
}

async function assertRefused(
  code: MungeError["code"],
  message: string | RegExp,
  call: Promise<unknown> | (() => unknown),
): Promise<MungeError> {
  const error = await errorOf(call);
  assert.equal(error.code, code, error.message);
  if (typeof message === "string") assert.equal(error.message, message);
  else assert.match(error.message, message);
  return error;
}

for (const program of PROGRAMS) {
  suite(`the library with ${program.name}`, program.skip, () => {
    let munged: Munged;
    let socketPath: string;
    before(async () => {
      munged = await Munged.start(program);
      socketPath = munged.socketPath;
    });
    after(() => munged.stop());
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
      const munged = await Munged.start(program, "--max-payload=3M");
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

    test("1,000 concurrent encodes and decodes, each with its own payload", async () => {
      const credentials = await Promise.all(
        times(1000, (i) => encode(`payload ${i}`, { socketPath })),
      );
      assert.equal(new Set(credentials).size, 1000);
      const more = times(1000, (i) => encode(`more ${i}`, { socketPath }));
      const decoded = await Promise.all(credentials.map((one) => decode(one, { socketPath })));
      decoded.forEach(({ payload }, i) => assert.equal(text(payload), `payload ${i}`));
      assert.equal(new Set(await Promise.all(more)).size, 1000);
    });

    test("encodeMany() makes as many as asked for, or one for each payload, in order", async () => {
      const made = await encodeMany(2_000, { socketPath, ttl: 60 });
      assert.equal(new Set(made).size, 2_000);
      assert.equal((await decode(made[1_999]!, { socketPath })).ttl, 60);
      const payloads = times(300, (i) => i % 2 === 0 ? `number ${i}` : new Uint8Array([i % 256]));
      payloads.push("x".repeat(100_000)); // too long for a kept connection
      const each = await new Munge({ socketPath }).encodeMany(payloads, { timeoutMs: 20_000 });
      assert.equal(each.length, payloads.length);
      for (const [i, credential] of each.entries()) {
        const { payload } = await decode(credential, { socketPath });
        const wanted = payloads[i]!;
        assert.deepEqual(text(payload), typeof wanted === "string" ? wanted : text(wanted));
      }
      assert.deepEqual(await encodeMany(0, { socketPath }), []);
      for (const count of [-1, 1.5, NaN]) {
        await assertRefused(
          "EMUNGE_BAD_ARG",
          `Invalid number of credentials ${count}`,
          encodeMany(count, { socketPath }),
        );
      }
      if (program.name === "our munged") {
        const refused = encodeMany(100, { socketPath, realm: "unknown" });
        await assertRefused("EMUNGE_BAD_REALM", /realm/i, refused);
      }
      const signal = AbortSignal.timeout(1);
      await assert.rejects(encodeMany(100_000, { socketPath, signal }), { name: "TimeoutError" });
      await assertRefused(
        "EMUNGE_TIMEOUT",
        /./,
        encodeMany(100_000, { socketPath, timeoutMs: 1 }),
      );
    });

    test("an abort mid-flight ends only the call it belongs to", async () => {
      const reason = new Error("enough");
      const controller = new AbortController();
      const aborted = times(200, () => encode("", { socketPath, signal: controller.signal }));
      const others = times(50, () => encode("", { socketPath }));
      const outcomes = Promise.allSettled(aborted);
      await Promise.any(aborted);
      controller.abort(reason);
      for (const outcome of await outcomes) {
        if (outcome.status === "rejected") assert.equal(outcome.reason, reason);
      }
      assert.ok((await outcomes).some(({ status }) => status === "rejected"));
      await Promise.all(others);
      const late = encode("", { socketPath, signal: controller.signal });
      await assert.rejects(late, (error) => error === reason);
    });

    test("no call fails when the daemon is killed and restarted again and again", async () => {
      await withShortOutages(async (outage) => {
        let running = true;
        let finished = 0;
        let failed = 0;
        const callers = times(20, async (i) => {
          for (let call = 0; running; call++) {
            const payload = `${i} ${call}`;
            const credential = await encode(payload, { socketPath });
            const decoded = await decode(credential, { socketPath });
            assert.equal(text(decoded.payload), payload);
            finished++;
          }
        });
        const load = Promise.allSettled(callers);
        callers.forEach((caller) => caller.catch(() => failed++));
        try {
          await pause(200);
          for (let kill = 1; kill <= 3; kill++) {
            const before = await outage(async () => {
              await munged.end("SIGKILL");
              const before = finished;
              await munged.restart();
              return before;
            });
            while (finished < before + 1_000 && failed === 0) await pause(10);
          }
        } finally {
          running = false;
        }
        for (const outcome of await load) {
          if (outcome.status === "rejected") throw outcome.reason;
        }
      });
    });

    test("no call fails while the daemon is stopped and started, with no socket in between", async () => {
      for (const gapMs of [0, 100, 300]) {
        await withShortOutages(async (outage) => {
          const calls: Promise<string>[] = [];
          const timer = setInterval(() => {
            const call = encode("", { socketPath });
            call.catch(() => {}); // it is looked at below
            calls.push(call);
          }, 2);
          await pause(20);
          const within = await outage(async () => {
            await munged.end("SIGTERM");
            assert.equal(existsSync(socketPath), false, "the daemon has removed its socket");
            const before = calls.length;
            await pause(gapMs);
            const within = calls.length - before;
            await munged.restart();
            return within;
          });
          await pause(20);
          clearInterval(timer);
          for (const credential of await Promise.all(calls)) {
            assert.match(credential, /^MUNGE:.+:$/);
          }
          assert.ok(gapMs === 0 || within > 0, "there were calls while there was no socket");
        });
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

    test("no descriptor is left open", async (context) => {
      if (openSockets() === undefined) return context.skip("there is no /proc/self/fd");
      // Until a connection is kept, which can take a second after the munged of an earlier test could not be reached.
      for (const end = performance.now() + 1_500; performance.now() < end;) {
        await encode("", { socketPath });
        await pause(50);
      }
      const before = openSockets();
      await Promise.all(times(100, () => encode("", { socketPath })));
      await Promise.allSettled(times(100, () => decode("MUNGE:x:", { socketPath })));
      const controller = new AbortController();
      const { signal } = controller;
      const aborted = Promise.allSettled(times(100, () => encode("", { socketPath, signal })));
      controller.abort();
      await aborted;
      await Promise.allSettled(times(20, () => encode("", { socketPath, timeoutMs: 1 })));
      // A connection kept to the munged of an earlier test may have ended meanwhile.
      for (let i = 0; i < 100 && openSockets()! > before!; i++) await pause(20);
      const now = openSockets()!;
      assert.ok(now <= before!, `${now} sockets, ${before} before`);
    });
  });

  suite(`CredentialSource with ${program.name}`, program.skip, () => {
    let munged: Munged;
    let socketPath: string;
    before(async () => {
      munged = await Munged.start(program, "--max-ttl=2");
      socketPath = munged.socketPath;
    });
    after(() => munged.stop());

    test("get() gives all callers the same credential, and fresh() gives each a new one", async () => {
      await using source = new CredentialSource({ payload: "p", socketPath });
      const all = await Promise.all(times(100, () => source.get()));
      assert.equal(new Set(all).size, 1);
      const fresh = await Promise.all(times(10, () => source.fresh()));
      assert.equal(new Set([...fresh, ...all]).size, 11);
      for (const credential of [all[0]!, ...fresh]) {
        const decoded = await decode(credential, { socketPath });
        assert.equal(text(decoded.payload), "p");
      }
    });

    test("get() renews in the background by the granted TTL, and is never stale", async () => {
      await using source = new CredentialSource({ ttl: 3600, socketPath });
      /** Whether the credential is renewed in time: after one second, of which a busy machine may make more. */
      const isRenewed = async () => {
        const first = await source.get();
        await pause(1500);
        // The cached credential is returned without waiting for munged, so the other one comes first.
        const order: string[] = [];
        const fresh = source.fresh().then(() => order.push("asked for"));
        const second = await source.get();
        order.push("renewed before");
        await fresh;
        return order[0] === "renewed before" && second !== first;
      };
      for (let tries = 1; !await isRenewed(); tries++) {
        assert.ok(tries < 5, "a busy machine renews some too late, but not all");
      }
      for (let i = 0; i < 10; i++) {
        await pause(250);
        const credential = await source.get();
        const begun = performance.now();
        const { status } = await decode(credential, { socketPath, ignoreTimeAndReplay: true });
        if (performance.now() - begun > 100) continue; // it may have expired on the way
        assert.notEqual(status, "EMUNGE_CRED_EXPIRED");
      }
    });

    test("get() survives an outage of the daemon: the cached credential, then a wait, then a new one", async () => {
      await using source = new CredentialSource({ socketPath });
      const cached = await source.get();
      await munged.end("SIGTERM");
      assert.equal(await source.get(), cached);
      await pause(1900);
      const error = await assertRefused("EMUNGE_SOCKET", /access/, source.get({ timeoutMs: 300 }));
      assert.equal(error.socketPath, socketPath);
      const reason = new Error("enough");
      const impatient = source.get({ signal: AbortSignal.abort(reason) });
      await assert.rejects(impatient, (error) => error === reason);
      const patient = Promise.all(times(20, () => source.get()));
      await munged.restart();
      assert.equal(new Set(await patient).size, 1);
      await decode((await patient)[0]!, { socketPath });
    });

    test("get() fails at once on what munged will always refuse", async () => {
      await using source = new CredentialSource({ cipher: 9, socketPath });
      await assertRefused("EMUNGE_BAD_CIPHER", "Invalid cipher type 9", source.get());
    });

    test("a disposed source refuses waiting and later callers", async () => {
      const source = new CredentialSource({ socketPath: `${socketPath}.missing` });
      const waiting = assertRefused(
        "ERR_SOURCE_DISPOSED",
        "Credential source has been disposed",
        source.get(),
      );
      await pause(20);
      await source[Symbol.asyncDispose]();
      await waiting;
      await assertRefused(
        "ERR_SOURCE_DISPOSED",
        "Credential source has been disposed",
        source.get(),
      );
      await assertRefused(
        "ERR_SOURCE_DISPOSED",
        "Credential source has been disposed",
        source.fresh(),
      );
      await source[Symbol.asyncDispose]();
    });

    test("a source disposed at any moment of its renewal leaves no caller waiting", async () => {
      const outcomes = new Set<string>();
      for (let turns = 0; turns < 400 && outcomes.size < 2 || turns < 40; turns++) {
        const source = new CredentialSource({ socketPath });
        const outcome = source.get().then(
          () => "credential",
          (error) => (error as MungeError).code,
        );
        for (let turn = 0; turn < turns; turn++) await nextTurn();
        await source[Symbol.asyncDispose]();
        outcomes.add(await outcome);
        const disposed = "Credential source has been disposed";
        await assertRefused("ERR_SOURCE_DISPOSED", disposed, source.get());
      }
      assert.deepEqual([...outcomes].sort(), ["ERR_SOURCE_DISPOSED", "credential"]);
    });
  });
}

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
    const munge = new Munge({ socketPath, timeoutMs: 100 });
    assert.equal(await munge.encode("hello", { ttl: 60 }), "MUNGE:x:");
    answer = () => undefined;
    await assertRefused("EMUNGE_TIMEOUT", "Socket timeout", munge.encode());
    await assertRefused("EMUNGE_TIMEOUT", "Socket timeout", munge.decode("x"));
    const longer = munge.encode("", { timeoutMs: 60_000, signal: AbortSignal.timeout(300) });
    await assert.rejects(longer, { name: "TimeoutError" });
    await using source = munge.source();
    await assertRefused("EMUNGE_TIMEOUT", "Socket timeout", source.get({ timeoutMs: 50 }));
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
