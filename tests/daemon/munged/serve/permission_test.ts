// Which requests the policy refuses, and what the client and the log are told.
import assert from "node:assert/strict";
import { test } from "node:test";
import { ERRNO } from "../../../../lib/errors.ts";
import { CLIENT, munged, rules } from "./request_munged.ts";

const BLOWFISH = 2;
const MD5 = 2;
const SHA1 = 3;
const SHA512 = 6;
const ZLIB = 3;
const ROOT = { pid: 1, uid: 0, gid: 0 };
const FORBIDDEN = { ...CLIENT, uid: 1001 };

test("types that the policy refuses are refused in the reference's words, with one audit line", () => {
  const settings = rules({
    security: [{ realm: null, level: "modern" }],
    algorithms: [{ realm: null, kind: "zip", directions: ["encode"], numbers: [0] }],
  });
  const open = munged();
  const { encode, decode, log, audits, refused, refusals, used } = munged({}, settings);
  for (
    const [request, errno, text, cause, named] of [
      [{ cipher: BLOWFISH }, 10, "Invalid cipher type 2", "policy_cipher", { cipher: "blowfish" }],
      [{ cipher: 0 }, 10, "Invalid cipher type 0", "policy_cipher", { cipher: "none" }],
      [{ mac: MD5 }, 11, "Invalid MAC type 2", "policy_mac", { mac: "md5" }],
      [{ zip: ZLIB }, 12, "Invalid compression type 3", "policy_zip", { zip: "zlib" }],
    ] as const
  ) {
    const answer = encode(request);
    assert.deepEqual([answer.errno, answer.errorText], [errno, text]);
    const audit = { cause, client_uid: 1000, client_gid: 100, ...named };
    assert.deepEqual(audits.at(-1), ["Refused encode", { ...audit, realm: "-" }]);
    if (cause === "policy_zip") continue; // it may be decoded
    const opened = decode(open.encode(request).credential);
    assert.deepEqual([opened.errno, opened.errorText], [errno, text]);
    assert.deepEqual([opened.uid, opened.payload.length], [0xffff_ffff, 0]);
    assert.deepEqual(audits.at(-1), ["Refused decode", { ...audit, claimed_realm: "-" }]);
  }
  assert.deepEqual([audits.length, log.lines, refused, used], [7, [], [], []]);
  assert.deepEqual(refusals.slice(0, 2), ["encode cipher", "decode cipher"]);
  const zipped = open.encode({ zip: ZLIB, payload: new Uint8Array(999) }).credential;
  assert.equal(decode(zipped).errno, 0);
  assert.deepEqual(used, ["decode 4 5 3"]);
});

test("types that do not exist are not a matter of policy", () => {
  const settings = rules({ security: [{ realm: null, level: "modern" }] });
  const { encode, audits, refusals } = munged({}, settings);
  for (const number of [6, 34, 255]) { // 34 has the same low bits as blowfish
    assert.equal(encode({ cipher: number }).errno, ERRNO.EMUNGE_BAD_CIPHER);
    assert.equal(encode({ mac: number + 1 }).errno, ERRNO.EMUNGE_BAD_MAC);
    assert.equal(encode({ zip: number }).errno, ERRNO.EMUNGE_BAD_ZIP);
  }
  assert.deepEqual([audits, refusals], [[], []]);
});

test("a client that asks for the default gets what the policy allows", () => {
  const settings = rules({
    algorithms: [
      { realm: null, kind: "cipher", directions: ["encode", "decode"], numbers: [5] },
      { realm: null, kind: "mac", directions: ["encode", "decode"], numbers: [SHA1, SHA512] },
    ],
  });
  const { encode, decode, used } = munged({}, settings);
  const { cipher, mac, errno } = decode(encode().credential);
  assert.deepEqual([errno, cipher, mac], [0, 5, SHA512]);
  assert.deepEqual(used, ["encode 5 6 0", "decode 5 6 0"]);
  assert.equal(encode({ mac: SHA1 }).errno, ERRNO.EMUNGE_BAD_MAC); // too short for aes256's key
});

test("a refused credential is refused the same, whether or not it is authentic", () => {
  const settings = rules({ security: [{ realm: null, level: "modern" }] });
  const { encode } = munged();
  const { decode } = munged({}, settings);
  const authentic = encode({ mac: MD5 }).credential;
  const forged = authentic.slice();
  forged[60] = forged[60] === 0x41 ? 0x42 : 0x41;
  assert.deepEqual(decode(forged), decode(authentic));
  const unlisted = munged(
    {},
    rules({
      clients: [{ realm: null, direction: "decode", who: { uids: [0], gids: [] } }],
    }),
  );
  const good = encode().credential;
  const bad = good.slice();
  bad[60] = bad[60] === 0x41 ? 0x42 : 0x41;
  assert.equal(unlisted.decode(good).errno, ERRNO.EMUNGE_CRED_UNAUTHORIZED);
  assert.deepEqual(unlisted.decode(bad), unlisted.decode(good));
  assert.equal(unlisted.decode(bad, ROOT).errno, ERRNO.EMUNGE_CRED_INVALID);
});

test("who may encode and who may decode is limited separately, in the default realm too", () => {
  const settings = rules({
    clients: [
      { realm: null, direction: "encode", who: { uids: [1000], gids: [] } },
      { realm: null, direction: "decode", who: { uids: [], gids: [0, 77] } },
      { realm: "gpu", direction: "encode", who: null },
    ],
  });
  const isMember = (uid: number, gid: number) => uid === 1002 && gid === 77;
  const { encode, decode, audits } = munged({ isMember }, settings);
  const { errno, errorText } = encode({}, 0, FORBIDDEN);
  assert.equal(errno, ERRNO.EMUNGE_CRED_UNAUTHORIZED);
  assert.equal(errorText, "Unauthorized client UID=1001 GID=100 for the default realm");
  assert.deepEqual(audits, [["Refused encode", {
    cause: "policy_client",
    client_uid: 1001,
    client_gid: 100,
    realm: "-",
  }]]);
  const { credential } = encode();
  assert.equal(decode(credential).errno, ERRNO.EMUNGE_CRED_UNAUTHORIZED);
  assert.equal(decode(credential, { ...CLIENT, uid: 1002 }).errno, 0);
  assert.equal(decode(encode().credential, ROOT).errno, 0);
  const inRealm = encode({ realm: "gpu" }, 0, FORBIDDEN); // everyone may
  assert.equal(inRealm.errno, 0);
  assert.equal(decode(inRealm.credential, FORBIDDEN).errno, ERRNO.EMUNGE_CRED_UNAUTHORIZED);
});

test("credentials from elsewhere are refused, and reveal nothing", () => {
  const networks = [{ address: 0xc000_0200, mask: 0xffff_ff00 }]; // 192.0.2.0/24
  const settings = rules({ origins: [{ realm: null, networks }] });
  const { decode, audits, refusals } = munged({}, settings);
  const from = (...origin: number[]) =>
    munged({ originAddress: Uint8Array.from(origin) }).encode().credential;
  assert.equal(decode(from(192, 0, 2, 255)).errno, 0);
  const answer = decode(from(192, 0, 3, 0));
  assert.deepEqual([answer.errno, answer.errorText, answer.uid, answer.payload.length], [
    ERRNO.EMUNGE_CRED_UNAUTHORIZED,
    "Unauthorized credential from origin 192.0.3.0",
    0xffff_ffff,
    0,
  ]);
  assert.deepEqual(audits, [["Refused decode", {
    cause: "policy_origin",
    client_uid: 1000,
    client_gid: 100,
    realm: "-",
    origin: "192.0.3.0",
    uid: 1000,
    gid: 100,
  }]]);
  assert.equal(decode(from()).errno, ERRNO.EMUNGE_CRED_UNAUTHORIZED); // has no origin
  assert.deepEqual(refusals, ["decode origin", "decode origin"]);
  const forOther = munged({ originAddress: Uint8Array.of(10, 0, 0, 1) }).encode({
    uidRestriction: 7,
  });
  assert.match(decode(forOther.credential).errorText, /for client UID=1000/); // its origin is not revealed
});
