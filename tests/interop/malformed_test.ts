// Messages and credentials truncated at every field and with every byte flipped: our munged gives the same code and text as
// the reference, survives, and serves the next client.
import assert from "node:assert/strict";
import { createHmac, randomBytes } from "node:crypto";
import { closeSync, openSync, readdirSync, readlinkSync } from "node:fs";
import { join } from "node:path";
import { after, before, it } from "node:test";
import { armor } from "../../lib/credential/armor.ts";
import type { CredentialFields } from "../../lib/credential/fields.ts";
import { sealBytes } from "../../lib/credential/seal.ts";
import { primitives } from "../../lib/primitives/library.ts";
import { deriveSubkeys, type Subkeys } from "../../lib/credential/subkeys.ts";
import { MAX_PAYLOAD_LENGTH } from "../../lib/credential/fields.ts";
import {
  ANY_ID,
  type DecodeResponse,
  formatDecodeRequest,
  formatEncodeRequest,
  formatKeepRequest,
  HEADER_LENGTH,
} from "../../lib/protocol/message.ts";
import { fixedMemory } from "../../lib/os/libc.ts";
import { close } from "../../lib/os/socket.ts";
import { receiveInto } from "../../lib/os/unix_stream.ts";
import { connect, HangUps, sendWithDescriptors } from "../engine/connection.ts";
import { exchange, exchangeRaw } from "./raw.ts";
import { type Munged, Realm } from "../harness/realm.ts";
import { hasReference } from "../harness/programs.ts";
import { encodeRequest } from "../requests.ts";
import { suite } from "../suite.ts";

const ENCODE = encodeRequest({
  cipher: 4,
  mac: 5,
  ttl: 300,
  payload: new TextEncoder().encode("payload"),
});
/** Masks that flip one byte: all its bits, its lowest and its highest. */
const FLIPS = [0xff, 0x01, 0x80];
/** The longest INNER that a credential can have. */
const MAX_INNER_LENGTH = 45 + MAX_PAYLOAD_LENGTH;
/** Offset of the length in a header. */
const LENGTH_AT = 7;

/** Bytes with one of them changed. */
function flipped(bytes: Uint8Array, at: number, mask: number): Uint8Array {
  const copy = bytes.slice();
  copy[at]! ^= mask;
  return copy;
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}

/** Every way to flip one byte. */
function* allFlips(bytes: Uint8Array): Generator<Uint8Array> {
  for (let at = 0; at < bytes.length; at++) {
    for (const mask of FLIPS) yield flipped(bytes, at, mask);
  }
}

/** A message with a truncated body and a correct header. */
function withBody(message: Uint8Array, bodyLength: number): Uint8Array {
  const cut = message.slice(0, HEADER_LENGTH + bodyLength);
  new DataView(cut.buffer).setUint32(LENGTH_AT, bodyLength);
  return cut;
}

function* allTruncations(bytes: Uint8Array): Generator<Uint8Array> {
  for (let length = 0; length < bytes.length; length++) yield bytes.slice(0, length);
}

suite("malformed input", { "the reference": hasReference }, () => {
  let realm: Realm;
  let subkeys: Subkeys;
  let ours: Munged;
  let reference: Munged;

  before(async () => {
    realm = new Realm();
    subkeys = deriveSubkeys(realm.key, primitives);
    // The reference opens credentials of any realm with its one key.
    const sameKey = `--realm=gpu=${join(realm.directory, "key")}`;
    [ours, reference] = await Promise.all([
      realm.start("ours", [sameKey]),
      realm.start("reference"),
    ]);
  });
  after(() => realm?.close());

  function seal(fields: Partial<CredentialFields> = {}): Uint8Array {
    const plain: CredentialFields = {
      cipher: 4,
      mac: 5,
      zip: 0,
      realm: "",
      originAddress: new Uint8Array([192, 0, 2, 1]),
      encodeTime: Math.floor(Date.now() / 1000),
      ttl: 300,
      uid: 1000,
      gid: 100,
      uidRestriction: ANY_ID,
      gidRestriction: ANY_ID,
      payload: new TextEncoder().encode("payload"),
      ...fields,
    };
    const random = { salt: randomBytes(8), iv: randomBytes(16) };
    return new TextEncoder().encode(armor(sealBytes(plain, subkeys, random, primitives)));
  }

  /** The bytes inside the armor. */
  function inside(credential: Uint8Array): Uint8Array {
    return Uint8Array.from(Buffer.from(Buffer.from(credential).toString().slice(6, -1), "base64"));
  }

  function armored(bytes: Uint8Array): Uint8Array {
    return new TextEncoder().encode(`MUNGE:${Buffer.from(bytes).toString("base64")}:`);
  }

  /** A credential without a cipher whose MAC is right, with an arbitrary INNER. */
  function authentic(inner: Uint8Array, zip = 0): Uint8Array {
    const outer = Uint8Array.of(3, 0, 5, zip, 0);
    const mac = createHmac("sha256", subkeys.mac).update(outer).update(inner).digest();
    return armored(Buffer.concat([outer, mac, inner]));
  }

  /** A daemon's answer to a message, if any, without the parts that necessarily differ. */
  async function outcome(daemon: Munged, message: Uint8Array): Promise<unknown> {
    const answer = await exchangeRaw(daemon.socket, message);
    if (answer === null) return "closed";
    if ("credential" in answer) {
      const { retry, errno, errorText, credential } = answer;
      return { retry, errno, errorText, made: credential.length > 0 };
    }
    const { decodeTime, realm: _, payload, originAddress, ...rest } = answer;
    const fromNow = Math.abs(decodeTime - Date.now() / 1000) < 60 ? "now" : decodeTime;
    return { ...rest, fromNow, payload: hex(payload), originAddress: hex(originAddress) };
  }

  /** Whether our munged does not have this realm; the reference ignores realms. */
  function isUnknownRealm(answer: unknown): boolean {
    return (answer as DecodeResponse).errno === 13;
  }

  /** Sends each message to both. Returns the number of outcomes of each kind. */
  async function compare(messages: Iterable<Uint8Array>): Promise<Map<string, number>> {
    const kinds = new Map<string, number>();
    for (const message of messages) {
      const [mine, theirs] = await Promise.all([
        outcome(ours, message),
        outcome(reference, message),
      ]);
      if (isUnknownRealm(mine)) assert.equal((theirs as DecodeResponse).errno, 14);
      else assert.deepEqual(mine, theirs, hex(message));
      const kind = typeof mine === "string" ? mine : (mine as { errorText: string }).errorText;
      kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
    }
    await served();
    return kinds;
  }

  /** Checks that the original process serves the next client and has logged nothing bad. */
  async function served(): Promise<void> {
    const credential = seal();
    assert.deepEqual(
      await outcome(ours, formatEncodeRequest(ENCODE, 0)),
      { retry: 0, errno: 0, errorText: "", made: true },
    );
    const opened = await outcome(ours, formatDecodeRequest({ credential }, 0)) as { errno: number };
    assert.equal(opened.errno, 0);
    assert.equal(ours.process.exitCode, null);
    assert.doesNotMatch(ours.log(), /Internal error|munged: (Error|Warning): (?!Set origin|Key )/);
  }

  /** The texts returned, in alphabetical order. */
  function texts(kinds: Map<string, number>): string[] {
    return [...kinds.keys()].sort();
  }

  it("an encode request truncated anywhere is not answered", async () => {
    const message = formatEncodeRequest(ENCODE, 0);
    assert.deepEqual(texts(await compare(allTruncations(message))), ["closed"]);
    const bodies = Array.from(
      { length: message.length - HEADER_LENGTH },
      (_, length) => withBody(message, length),
    );
    assert.deepEqual(texts(await compare(bodies)), ["closed"]);
  });

  it("an encode request with any byte flipped is answered as by the reference", async () => {
    const kinds = await compare(allFlips(formatEncodeRequest(ENCODE, 0)));
    assert.deepEqual(texts(kinds), [
      "",
      "Exceeded maximum number of encode attempts",
      "Invalid MAC type 133",
      "Invalid MAC type 250",
      "Invalid cipher type 132",
      "Invalid cipher type 251",
      "Invalid compression type 128",
      "Invalid compression type 255",
      "closed",
    ]);
  });

  it("an encode request with invalid or unsuitable types is refused", async () => {
    const numbers = [0, 1, 2, 3, 4, 5, 6, 7, 8, 127, 128, 255];
    function* requests() {
      for (const number of numbers) {
        yield formatEncodeRequest({ ...ENCODE, cipher: number }, 0);
        yield formatEncodeRequest({ ...ENCODE, mac: number }, 0);
        yield formatEncodeRequest({ ...ENCODE, zip: number }, 0);
        yield formatEncodeRequest({ ...ENCODE, cipher: 5, mac: number }, 0);
      }
    }
    const kinds = await compare(requests());
    assert.equal(kinds.get("Invalid MAC type 4 with cipher type 5"), 1);
    assert.equal(kinds.get("Invalid cipher type 6"), 1);
    assert.equal(kinds.get("Invalid compression type 4"), 1);
  });

  it("a decode request truncated anywhere is not answered", async () => {
    const message = formatDecodeRequest({ credential: seal() }, 0);
    assert.deepEqual(texts(await compare(allTruncations(message))), ["closed"]);
    const bodies = Array.from(
      { length: message.length - HEADER_LENGTH },
      (_, length) => withBody(message, length),
    );
    const kinds = await compare(bodies);
    // A body without the credential's NUL claims one byte too many.
    assert.deepEqual(texts(kinds), ["closed"]);
  });

  it("a decode request with any byte flipped is answered as by the reference", async () => {
    const kinds = await compare(allFlips(formatDecodeRequest({ credential: seal() }, 0)));
    for (
      const text of [
        "closed",
        "Invalid credential",
        "Failed to match armor prefix",
        "Failed to match armor suffix",
        "Failed to base64-decode credential",
        "Exceeded maximum number of decode attempts",
      ]
    ) assert(kinds.has(text), text);
  });

  it("a credential of any kind with any byte flipped inside the armor is answered as by the reference", async () => {
    const kinds: Partial<CredentialFields>[] = [
      {},
      { cipher: 0 },
      { cipher: 3, mac: 2 },
      { cipher: 5, mac: 6 },
      { realm: "gpu" },
      { zip: 3, payload: new Uint8Array(300) },
      { zip: 2, payload: new Uint8Array(300) },
    ];
    for (const fields of kinds) {
      const whole = inside(seal(fields));
      const messages = [...allFlips(whole)].map((bytes) =>
        formatDecodeRequest({ credential: armored(bytes) }, 0)
      );
      const found = await compare(messages);
      assert.equal(found.get(""), undefined, "none may be accepted");
      for (
        const text of [
          "Invalid credential",
          "Invalid credential version 252",
          "Truncated security realm string",
        ]
      ) assert(found.has(text), text);
    }
  });

  it("a credential truncated anywhere names the missing field", async () => {
    const whole = inside(seal({ realm: "gpu" }));
    const messages = [...allTruncations(whole)].map((bytes) =>
      formatDecodeRequest({ credential: armored(bytes) }, 0)
    );
    assert.deepEqual(texts(await compare(messages)), [
      "Invalid credential",
      "Truncated MAC",
      "Truncated MAC type",
      "Truncated cipher IV",
      "Truncated cipher type",
      "Truncated compression type",
      "Truncated credential version",
      "Truncated security realm length",
      "Truncated security realm string",
    ]);
    const text = seal();
    const cut = [...allTruncations(text)].map((credential) =>
      formatDecodeRequest({ credential }, 0)
    );
    assert.deepEqual(texts(await compare(cut)), [
      "Failed to match armor prefix",
      "Failed to match armor suffix",
      "No credential specified",
    ]);
  });

  it("an INNER with the right MAC, truncated anywhere, names the missing field", async () => {
    const inner = inside(seal({ cipher: 0 })).slice(5 + 32);
    const messages = [...allTruncations(inner)].map((bytes) =>
      formatDecodeRequest({ credential: authentic(bytes) }, 0)
    );
    assert.deepEqual(texts(await compare(messages)), [
      "Truncated GID",
      "Truncated GID restriction",
      "Truncated UID",
      "Truncated UID restriction",
      "Truncated data",
      "Truncated data length",
      "Truncated encode time",
      "Truncated origin IP addr",
      "Truncated origin IP addr length",
      "Truncated salt",
      "Truncated time-to-live",
    ]);
  });

  it("an INNER with the right MAC and any byte flipped is read as by the reference", async () => {
    const inner = inside(seal({ cipher: 0 })).slice(5 + 32);
    const messages = [...allFlips(inner)].map((bytes) =>
      formatDecodeRequest({ credential: authentic(bytes) }, 0)
    );
    const kinds = await compare(messages);
    for (
      const text of [
        "",
        "Expired credential",
        "Rewound credential",
        `Unauthorized credential for client UID=${process.geteuid!()} GID=${process.getegid!()}`,
        "Truncated data",
      ]
    ) assert(kinds.has(text), text);
  });

  for (const [name, zip] of [["bzlib", 2], ["zlib", 3]] as const) {
    it(`${name} with the right MAC, any byte flipped or cut off, does no harm`, async () => {
      const payload = new TextEncoder().encode("to be or not to be, ".repeat(20));
      const compressed = inside(seal({ cipher: 0, zip, payload })).slice(5 + 32);
      const changed = [...allFlips(compressed), ...allTruncations(compressed)];
      // The reference allocates gigabytes if a credential says so; we don't.
      const isGreedy = (bytes: Uint8Array) =>
        bytes.length >= 8 && Buffer.from(bytes).readUInt32BE(4) > MAX_INNER_LENGTH;
      const request = (bytes: Uint8Array) =>
        formatDecodeRequest({ credential: authentic(bytes, zip) }, 0);
      const kinds = await compare(changed.filter((bytes) => !isGreedy(bytes)).map(request));
      assert(kinds.has("Invalid credential"));
      assert(kinds.has("Failed to decompress credential"));
      for (const bytes of changed.filter(isGreedy)) {
        const { errno, errorText } = await outcome(ours, request(bytes)) as DecodeResponse;
        assert.deepEqual([errno, errorText], [1, "Failed to decompress credential"]);
      }
    });
  }

  it("garbage is not answered, and clients that hang up early cost nothing", async () => {
    for (let i = 0; i < 50; i++) {
      assert.equal((await exchange(ours.socket, randomBytes(1 + i * 40))).length, 0);
      assert.equal((await exchange(ours.socket, new Uint8Array(0))).length, 0);
    }
    await served();
  });

  it("descriptors that come with requests are not kept", {
    skip: process.platform !== "linux" && "needs /proc",
  }, async () => {
    await served();
    const { pid } = ours.process;
    const file = openSync("/dev/null", "r");
    /** Its descriptors of that file. Others come and go, such as those of the replay cache's files. */
    const open = () =>
      readdirSync(`/proc/${pid}/fd`).filter((fd) => {
        try {
          return readlinkSync(`/proc/${pid}/fd/${fd}`) === "/dev/null";
        } catch {
          return false; // closed since it was listed
        }
      }).length;
    const before = open();
    const passed = Array<number>(200).fill(file);
    const events = new HangUps();
    const buffer = new Uint8Array(fixedMemory(4096));
    /** Whether a request with descriptors is answered. */
    const isAnswered = (connection: number, request: Uint8Array) => {
      sendWithDescriptors(connection, request, passed);
      assert.deepEqual(events.wait(60_000), [connection]);
      return receiveInto(connection, buffer, 0) as number > 0;
    };
    for (let i = 0; i < 50; i++) {
      const connection = connect(ours.socket, 0);
      events.add(connection, true);
      if (i % 5 !== 0) {
        assert(isAnswered(connection, formatEncodeRequest(ENCODE, 0)));
      } else {
        assert(isAnswered(connection, formatKeepRequest(0)));
        // They leave no room for the sender's identity, without which a kept connection ends.
        assert(!isAnswered(connection, formatEncodeRequest(ENCODE, 0)));
      }
      close(connection);
    }
    await served();
    assert(open() <= before, `${open()} descriptors instead of ${before}`);
    closeSync(file);
  });

  it("the daemon survives all this and stops cleanly", async () => {
    await served();
    assert.equal(await ours.stop(), 0);
  });
});
