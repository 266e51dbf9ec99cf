// Every possible kind of credential, made by either daemon and opened by the other, requested by a C program through
// libmunge; about 30 s.
//
// The reference neither accepts nor sends a message body over 1,048,576 bytes, including headers, so the largest payload
// it can carry is a little less than the 1,048,576 bytes of our own daemons.
import assert from "node:assert/strict";
import { after, before, it } from "node:test";
import { CIPHERS } from "../../lib/credential/cipher.ts";
import { MACS } from "../../lib/credential/mac.ts";
import { MAX_PAYLOAD_LENGTH } from "../../lib/credential/fields.ts";
import { ANY_ID } from "../../lib/protocol/message.ts";
import { ZIPS } from "../../lib/credential/zip.ts";
import { encodeRequest } from "../requests.ts";
import { rawDecode, rawEncode } from "./raw.ts";
import { type Munged, Realm } from "../harness/realm.ts";
import { hasReference } from "../harness/programs.ts";
import { compileProbe, probeDecode, type ProbeEncode, probeEncode } from "./libmunge_probe.ts";
import { suite } from "../suite.ts";

const LENGTHS = [0, 1, 15, 16, 17, 4096];
/** Maximum length of a message body in MUNGE 0.5.15. */
const REFERENCE_MAX_BODY = 1_048_576;
/** Fills the decode response, whose other fields take 43 bytes. */
const LARGEST_COMPRESSED = REFERENCE_MAX_BODY - 43;
/** Fills the decode request: base64 of the longest OUTER, MAC and INNER, plus length, armor and NUL. */
const LARGEST_PLAIN = Math.floor((REFERENCE_MAX_BODY - 4 - 8) / 4) * 3 - (5 + 16) - 64 - 45 - 16;
const ZLIB_OR_BZLIB_HELPS = 4096;

const combinations = CIPHERS.flatMap((cipher) =>
  MACS.flatMap((mac) => ZIPS.map((zip) => ({ cipher, mac, zip })))
).filter(({ cipher, mac, zip }) =>
  cipher.name !== "default" && zip.name !== "default" && mac.name !== "default" &&
  mac.name !== "none" && mac.length >= cipher.keyLength
);

const requests: readonly ProbeEncode[] = combinations.flatMap(({ cipher, mac, zip }) =>
  [...LENGTHS, zip.number === 0 ? LARGEST_PLAIN : LARGEST_COMPRESSED].map((length) => ({
    cipher: cipher.number,
    mac: mac.number,
    zip: zip.number,
    ttl: 0,
    uid: ANY_ID,
    gid: ANY_ID,
    length,
  }))
);

suite("every valid cipher, MAC and compression", { "the reference": hasReference }, () => {
  let realm: Realm;
  let probe: string;
  let ours: Munged;
  let reference: Munged;

  before(async () => {
    realm = new Realm();
    probe = compileProbe(realm);
    ({ ours, reference } = await realm.startBoth());
  });
  after(() => realm?.close());

  /** Makes all credentials with one daemon and opens them with the other. */
  function cross(maker: Munged, opener: Munged): void {
    assert.equal(combinations.length, 66);
    const made = probeEncode(probe, maker.socket, requests);
    const credentials = made.map(({ errno, text }, index) => {
      assert.equal(errno, 0, `${text}: ${JSON.stringify(requests[index])}`);
      return text;
    });
    const opened = probeDecode(probe, opener.socket, credentials);
    for (const [index, answer] of opened.entries()) {
      const { cipher, mac, zip, length } = requests[index]!;
      const compressed = length >= ZLIB_OR_BZLIB_HELPS;
      assert.deepEqual(answer, {
        errno: 0,
        cipher,
        mac,
        zip: compressed ? zip : answer.zip, // may have been dropped
        ttl: 300,
        uid: process.geteuid!(),
        gid: process.getegid!(),
        uidRestriction: ANY_ID,
        gidRestriction: ANY_ID,
        address: "127.0.0.1",
        length,
        matches: true,
        text: "",
      });
      if (!compressed) assert.equal(answer.zip, 0);
    }
  }

  it("made by ours, is opened by the reference", () => cross(ours, reference));
  it("made by the reference, is opened by ours", () => cross(reference, ours));

  it("carries 1,048,576 bytes between two of ours", async () => {
    const payload = new Uint8Array(MAX_PAYLOAD_LENGTH).map((_, i) => (i * i) >> 7);
    for (const { cipher, mac, zip } of combinations) {
      const { credential } = await rawEncode(
        ours.socket,
        encodeRequest({ cipher: cipher.number, mac: mac.number, zip: zip.number, payload }),
      );
      const opened = await rawDecode(ours.socket, { credential });
      assert.equal(opened.errno, 0);
      assert.equal(opened.zip, zip.number);
      assert(Buffer.from(payload.buffer).equals(opened.payload));
    }
  });
});
