// Keys that change while munged runs, and realms that stay apart.
import assert from "node:assert/strict";
import { chmodSync, mkdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { ERRNO } from "../../lib/errors.ts";
import { sealCredential, type SealOptions } from "../../lib/offline/offline.ts";
import { rawDecode, rawEncode } from "./raw.ts";
import { type Munged, Realm } from "../harness/realm.ts";
import { isRoot, type Outcome } from "../harness/programs.ts";
import { encodeRequest } from "../requests.ts";

const NOTICED_MS = 120_000;

const newKey = () => crypto.getRandomValues(new Uint8Array(64));

function seal(key: Uint8Array, options: Partial<SealOptions> = {}): Promise<string> {
  return sealCredential({ uid: 1, gid: 1, ...options }, key);
}

/** The error number munged returns for a credential. */
async function decoded({ socket }: Munged, credential: string | Promise<string>): Promise<number> {
  const bytes = new TextEncoder().encode(await credential);
  return (await rawDecode(socket, { credential: bytes })).errno;
}

/** A new credential from the daemon, and the error number if it refused. */
async function made({ socket }: Munged, realm = ""): Promise<{ errno: number; text: string }> {
  const { errno, credential } = await rawEncode(socket, encodeRequest({ realm }));
  return { errno, text: new TextDecoder().decode(credential) };
}

/** Waits until munged logs it, which it does once all its workers know. */
function logged(munged: Munged, text: RegExp): Promise<void> {
  return noticed(() => Promise.resolve(text.test(munged.log())));
}

/** Waits until `holds`, for as long as munged may take to notice a file; other workers may notice it later. */
async function noticed(holds: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + NOTICED_MS;
  while (!await holds()) {
    assert(performance.now() < deadline, "munged has not noticed");
    await pause(100);
  }
}

/** A realm with its own key files, and mungekey for them. */
class Keys extends Realm {
  readonly keyFile: string = join(this.directory, "key");

  write(suffix: string, key: Uint8Array): void {
    writeFileSync(this.keyFile + suffix, key, { mode: 0o600 });
  }

  mungekey(...args: string[]): Outcome {
    return this.run("ours", "mungekey", ["-k", this.keyFile, ...args]);
  }
}

describe("a ring of keys", () => {
  const [active, next, old, foreign] = [newKey(), newKey(), newKey(), newKey()];
  let keys: Keys;
  let munged: Munged;

  before(async () => {
    keys = new Keys(active);
    keys.write(".next", next);
    keys.write(".old", old);
    munged = await keys.start("ours");
  });
  after(() => keys.close());

  for (const cipher of ["none", "aes128", "blowfish"] as const) {
    for (const zip of ["none", "zlib"] as const) {
      it(`decodes with each of its keys and no other: ${cipher}, ${zip}`, async () => {
        const options = { cipher, zip, payload: "x".repeat(1000) };
        for (const key of [active, next, old]) {
          const credential = await seal(key, options);
          assert.equal(await decoded(munged, credential), 0);
          assert.equal(await decoded(munged, credential), ERRNO.EMUNGE_CRED_REPLAYED);
        }
        const stranger = await seal(foreign, options);
        assert.equal(await decoded(munged, stranger), ERRNO.EMUNGE_CRED_INVALID);
      });
    }
  }

  it("encodes with the active key", async () => {
    const alone = new Keys(active);
    try {
      const other = await alone.start("ours");
      assert.equal(await decoded(other, (await made(munged)).text), 0);
      for (const key of [next, old]) {
        assert.equal(await decoded(other, seal(key)), ERRNO.EMUNGE_CRED_INVALID);
      }
    } finally {
      await alone.close();
    }
  });
});

describe("rotation", () => {
  it("adopts a staged key, promotes it and drops the old one without refusing a request", async () => {
    const keys = new Keys();
    try {
      const munged = await keys.start("ours", ["--num-threads=4", "--key-rotation-time=12"]);
      let stopped = false;
      let served = 0;
      const load = async () => {
        while (!stopped) {
          const { errno, text } = await made(munged);
          assert.equal(errno, 0);
          assert.equal(await decoded(munged, text), 0);
          served++;
        }
      };
      const clients = [load(), load(), load()];
      const staged = newKey();
      const stagedFile = join(keys.directory, "staged");
      writeFileSync(stagedFile, staged, { mode: 0o600 });

      assert.equal(keys.mungekey("--stage", `--from=${stagedFile}`).status, 0);
      await noticed(async () => await decoded(munged, seal(staged)) === 0);
      assert.equal(keys.mungekey("--promote").status, 0);
      munged.process.kill("SIGHUP");
      await logged(munged, /Keys of the default realm: active \w+, old/);
      assert.equal(await decoded(munged, seal(keys.key)), 0, "the old key decodes for a while");
      const early = keys.mungekey("--retire", "--key-rotation-time=12");
      assert.match(early.err, /still decodes until/);
      // The retired key is dropped on time, whether or not its file still exists.
      await noticed(async () =>
        await decoded(munged, seal(keys.key)) === ERRNO.EMUNGE_CRED_INVALID
      );
      assert.equal(keys.mungekey("--retire", "--key-rotation-time=0").status, 0);
      await pause(500);
      stopped = true;
      await Promise.all(clients);
      assert(served > 100);
      assert.equal(await decoded(munged, seal(staged)), 0);
      assert.doesNotMatch(munged.log(), /Error/);
    } finally {
      await keys.close();
    }
  });

  it("keeps its keys if a new one is bad, and logs it", async () => {
    const keys = new Keys();
    try {
      const munged = await keys.start("ours");
      const problems = [
        ["short", () => keys.write("", new Uint8Array(31)), /at least 32 bytes/],
        ["insecure", () => (keys.write("", newKey()), chmodSync(keys.keyFile, 0o644)), /insecure/],
        ["missing", () => rmSync(keys.keyFile), /Failed to find keyfile/],
      ] as const;
      for (const [, spoil, complaint] of problems) {
        spoil();
        munged.process.kill("SIGHUP");
        await logged(munged, complaint);
        assert.match(
          munged.log(),
          /Error: Failed to read keys of the default realm \(its keys stay/,
        );
        assert.equal(await decoded(munged, seal(keys.key)), 0);
        assert.equal(await decoded(munged, (await made(munged)).text), 0);
      }
      const good = newKey();
      keys.write("", good);
      chmodSync(keys.keyFile, 0o600);
      await logged(munged, /Error: [^]*Keys of the default realm: active/);
      assert.equal(await decoded(munged, seal(good)), 0);
      assert.equal(await decoded(munged, seal(keys.key)), ERRNO.EMUNGE_CRED_INVALID);
    } finally {
      await keys.close();
    }
  });
});

describe("realms", () => {
  const [own, shared, other] = [newKey(), newKey(), newKey()];
  let keys: Keys;
  let munged: Munged;

  before(async () => {
    keys = new Keys(own);
    const realmDir = join(keys.directory, "realms");
    mkdirSync(realmDir, { mode: 0o755 });
    for (const [name, key] of [["a", shared], ["b", shared], ["same", own]] as const) {
      keys.write(`.${name}`, key);
    }
    writeFileSync(join(realmDir, "passing.key"), other, { mode: 0o600 });
    munged = await keys.start("ours", [
      ...["a", "b", "same"].map((name) => `--realm=${name}=${keys.keyFile}.${name}`),
      `--realm-dir=${realmDir}`,
      "--realm-allow=b=user:1,group:2",
    ]);
  });
  after(() => keys.close());

  const munge = (args: readonly string[], as: { uid?: number; gid?: number } = {}) =>
    keys.run("ours", "munge", ["-n", "-S", munged.socket, ...args], as);
  const asUser = (uid: number, gid: number, arg: string) => munge([arg], { uid, gid });

  it("a credential names its realm, and is opened with that realm's key", async () => {
    const { text } = await made(munged, "a");
    const { out, status } = keys.run("ours", "unmunge", ["-S", munged.socket], { input: text });
    assert.equal(status, 0);
    assert.match(out, /^REALM: +a$/m);
    assert.equal(await decoded(munged, seal(shared, { realm: "a" })), 0);
    assert.equal(await decoded(munged, seal(own, { realm: "a" })), ERRNO.EMUNGE_CRED_INVALID);
    assert.equal(await decoded(munged, seal(shared)), ERRNO.EMUNGE_CRED_INVALID);
    const plain = keys.run("ours", "unmunge", ["-S", munged.socket], {
      input: (await made(munged)).text,
    });
    assert.doesNotMatch(plain.out, /REALM/);
  });

  it("a credential is never accepted in another realm, not even with the same key", async () => {
    const ways = [["b", "a"], ...(isRoot ? [["a", "b"]] : [])] as const;
    for (const [from, to] of ways as readonly (readonly [string, string])[]) {
      const input = rewritten(await seal(shared, { realm: from }), from, to);
      const as = isRoot ? { uid: 1, gid: 1 } : {}; // who may use realm b, too
      const { status } = keys.run("ours", "unmunge", ["-S", munged.socket], { input, ...as });
      assert.equal(status, ERRNO.EMUNGE_CRED_INVALID);
    }
    const credential = await seal(own, { realm: "same" });
    assert.equal(
      await decoded(munged, rewritten(credential, "same", "")),
      ERRNO.EMUNGE_CRED_INVALID,
    );
    const unnamed = await seal(own);
    assert.equal(await decoded(munged, rewritten(unnamed, "", "same")), ERRNO.EMUNGE_CRED_INVALID);
    assert.match(munged.log(), /Warning: Key \w+ is in realm "a" and in realm "b"/);
  });

  it("an unknown realm is error 13, for both sides", async () => {
    const { status, err } = munge(["--realm=nosuch"]);
    assert.equal(status, ERRNO.EMUNGE_BAD_REALM);
    assert.equal(err, "munge: Error: Unrecognized security realm\n");
    assert.equal(await decoded(munged, seal(own, { realm: "nosuch" })), ERRNO.EMUNGE_BAD_REALM);
    assert.equal(munge(["--realm=no such"]).status, 1);
    assert.equal(munge([`--realm=${"x".repeat(64)}`]).status, 1);
  });

  it("a restricted realm serves only its users and groups", { skip: !isRoot }, async () => {
    const allowed = ERRNO.EMUNGE_SUCCESS;
    const refused = ERRNO.EMUNGE_CRED_UNAUTHORIZED;
    for (const [uid, gid, status] of [[1, 9, allowed], [9, 2, allowed], [9, 9, refused]] as const) {
      assert.equal(asUser(uid, gid, "--realm=b").status, status);
      const input = await seal(shared, { realm: "b" });
      const opened = keys.run("ours", "unmunge", ["-S", munged.socket], { input, uid, gid });
      assert.equal(opened.status, status);
      if (status === refused) {
        assert.match(opened.err, /Unauthorized client UID=9 GID=9 for realm "b"/);
        assert.equal(opened.out, "");
      }
    }
    assert.equal(asUser(9, 9, "--realm=a").status, 0);
  });

  it("removing a realm invalidates its credentials, and adding one serves it", async () => {
    const { errno, text } = await made(munged, "passing");
    assert.equal(errno, 0);
    const directory = join(keys.directory, "realms");
    renameSync(join(directory, "passing.key"), join(directory, "coming.key"));
    await logged(munged, /Removed realm "passing"/);
    assert.equal((await made(munged, "coming")).errno, 0);
    assert.equal(await decoded(munged, text), ERRNO.EMUNGE_BAD_REALM);
    assert.equal((await made(munged, "passing")).errno, ERRNO.EMUNGE_BAD_REALM);
  });
});

/** A credential whose bytes claim another realm. */
function rewritten(credential: string, from: string, to: string): string {
  const bytes = Buffer.from(credential.slice("MUNGE:".length, -1), "base64");
  const field = (realm: string) =>
    realm === ""
      ? Buffer.from([0])
      : Buffer.from(`${String.fromCharCode(realm.length + 1)}${realm}\0`);
  const head = field(from);
  assert(bytes.subarray(4, 4 + head.length).equals(head));
  const changed = Buffer.concat([bytes.subarray(0, 4), field(to), bytes.subarray(4 + head.length)]);
  return `MUNGE:${changed.toString("base64")}:`;
}

describe("clocks that differ", () => {
  it("are allowed for by --timestamp-drift-max, and no further", async () => {
    const keys = new Keys();
    try {
      const strict = await keys.start("ours");
      const lenient = await keys.start("ours", ["--timestamp-drift-max=180"]);
      const at = (offset: number, ttl: number) =>
        seal(keys.key, { encodeTime: new Date(Date.now() + offset * 1000), ttl });
      const { EMUNGE_CRED_REWOUND, EMUNGE_CRED_EXPIRED, EMUNGE_CRED_REPLAYED } = ERRNO;
      for (
        const [offset, ttl, byStrict, byLenient] of [
          [0, 60, 0, 0],
          [120, 60, EMUNGE_CRED_REWOUND, 0],
          [-120, 60, EMUNGE_CRED_EXPIRED, 0],
          [170, 0, EMUNGE_CRED_REWOUND, 0],
          [190, 60, EMUNGE_CRED_REWOUND, EMUNGE_CRED_REWOUND],
          [190, 300, 0, EMUNGE_CRED_REWOUND],
          [-250, 60, EMUNGE_CRED_EXPIRED, EMUNGE_CRED_EXPIRED],
        ] as const
      ) {
        const credential = await at(offset, ttl);
        assert.equal(await decoded(strict, credential), byStrict, `${offset} ${ttl}`);
        assert.equal(await decoded(lenient, credential), byLenient, `${offset} ${ttl}`);
        if (byLenient !== 0) continue;
        assert.equal(await decoded(lenient, credential), EMUNGE_CRED_REPLAYED);
      }
    } finally {
      await keys.close();
    }
  });
});
