// How the rules of a policy combine, and which contradict each other.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { parseConfig } from "../../../../cli/munged/munged.ts";
import { describePolicy, policyLine } from "../../../../daemon/munged/observe/policy_text.ts";
import { DEFAULTS } from "../../../../daemon/munged/config.ts";
import { resolvePolicy } from "../../../../daemon/munged/policy/policy.ts";

/** A realm that permits everything, as the reference does. */
const OPEN_POLICY = resolvePolicy(DEFAULTS, "");

const directory = mkdtempSync(join(tmpdir(), "policy-test-"));
const config = join(directory, "munge.conf");
writeFileSync(config, "", { mode: 0o644 });
after(() => rmSync(directory, { recursive: true }));

const configOf = (...args: string[]) => parseConfig("munged", [`--config=${config}`, ...args], {});
const allowed = (args: readonly string[], realm = "") =>
  describePolicy(resolvePolicy(configOf(...args), realm));

test("without rules, everything is allowed, and the defaults are the reference's", () => {
  assert.deepEqual(resolvePolicy(configOf(), ""), OPEN_POLICY);
  const { encode, decode } = OPEN_POLICY;
  assert.deepEqual([encode.defaultCipher, encode.defaultMac], [4, 5]);
  for (const { refusedCiphers, refusedMacs, refusedZips, clients } of [encode, decode]) {
    assert.deepEqual([refusedCiphers, refusedMacs, refusedZips, clients], [0, 0, 0, null]);
  }
  assert.equal(policyLine(describePolicy(OPEN_POLICY)), "");
});

test("modern is aes128 and aes256 with sha256 and sha512", () => {
  const { encode, decode } = allowed(["--security=modern"]);
  for (const { ciphers, macs, zips } of [encode, decode]) {
    assert.deepEqual(ciphers, ["aes128", "aes256"]);
    assert.deepEqual(macs, ["sha256", "sha512"]);
    assert.equal(zips.length, 3);
  }
});

test("a realm's own rules override general ones, a list overrides a level, and the last list counts", () => {
  const args = [
    "--security=modern",
    "--security=old=compatible",
    "--allow-macs=decode:sha256,sha512,sha1",
    "--allow-ciphers=lab=aes256",
    "--allow-ciphers=lab=decode:aes128,aes256",
    "--allow-ciphers=lab=decode:AES256,4,blowfish",
  ];
  assert.deepEqual(allowed(args).encode.macs, ["sha256", "sha512"]);
  assert.deepEqual(allowed(args).decode.macs, ["sha256", "sha512", "sha1"]);
  assert.equal(allowed(args, "old").decode.macs.length, 5);
  assert.equal(allowed(args, "old").encode.ciphers.length, 5);
  assert.deepEqual(allowed(args, "lab").encode.ciphers, ["aes256"]);
  assert.deepEqual(allowed(args, "lab").decode.ciphers, ["aes128", "aes256", "blowfish"]);
  assert.deepEqual(allowed(args, "lab").encode.macs, ["sha256", "sha512"]);
  assert.deepEqual(allowed(args, "other"), allowed(args));
  for (const level of ["modern", "compatible"]) { // which are about ciphers and MACs only
    const { encode } = allowed(["--allow-zips=none", `--security=lab=${level}`], "lab");
    assert.deepEqual(encode.zips, ["none"]);
  }
});

test("lists of users, groups and networks for the same realm and direction add up", () => {
  const args = [
    "--allow-encode=user:1",
    "--allow-encode=group:2,user:0",
    "--realm-allow=a=user:5",
    "--allow-decode=a=user:6",
    "--allow-decode=user:1",
    "--allow-decode=open=everyone",
    "--accept-origin=10.0.0.0/8",
    "--accept-origin=192.0.2.1",
    "--accept-origin=a=0.0.0.0/0",
  ];
  const { encode, decode } = allowed(args);
  assert.deepEqual(encode.clients, { uids: [1, 0], gids: [2] });
  assert.deepEqual(decode.clients, { uids: [1], gids: [] });
  assert.deepEqual(decode.origins, ["10.0.0.0/8", "192.0.2.1"]);
  const own = allowed(args, "a");
  assert.deepEqual(own.encode.clients, { uids: [5], gids: [] });
  assert.deepEqual(own.decode.clients, { uids: [5, 6], gids: [] });
  assert.deepEqual(own.decode.origins, ["0.0.0.0/0"]);
  assert.equal(allowed(args, "open").decode.clients, null);
  assert.deepEqual(allowed(args, "open").encode, encode);
  assert.equal(
    policyLine(allowed(["--security=modern", ...args])),
    "encode: ciphers aes128, aes256; MACs sha256, sha512; only user 1, user 0, group 2 | " +
      "decode: ciphers aes128, aes256; MACs sha256, sha512; only user 1; from 10.0.0.0/8, 192.0.2.1",
  );
});

test("the defaults are the reference's where they are allowed, otherwise the strongest that fit", () => {
  for (
    const [args, cipher, mac] of [
      [["--security=modern"], 4, 5],
      [["--allow-ciphers=aes256"], 5, 5],
      [["--allow-macs=sha1,sha512,md5"], 4, 6],
      [["--allow-ciphers=aes256,blowfish", "--allow-macs=sha1,ripemd160"], 2, 3],
      [["--allow-ciphers=none", "--allow-macs=md5"], 0, 2],
    ] as const
  ) {
    const { encode } = resolvePolicy(configOf(...args), "");
    assert.deepEqual([encode.defaultCipher, encode.defaultMac], [cipher, mac], args.join(" "));
  }
});

test("rules that contradict each other are refused when the settings are read", () => {
  for (
    const [args, text] of [
      [
        ["--allow-ciphers=aes256", "--allow-macs=sha1"],
        "the default realm: encode: no allowed MAC is long enough for the key of any allowed cipher",
      ],
      [
        ["--allow-macs=decode:sha1", "--allow-ciphers=decode:aes256"],
        "the default realm: decode: no allowed MAC is long enough for the key of any allowed cipher",
      ],
      [
        ["--allow-ciphers=encode:aes128", "--allow-ciphers=decode:aes256"],
        "the default realm: credentials are made with aes128 and sha256 by default, which decode does not allow",
      ],
      [
        ["--security=modern", "--allow-macs=x=encode:sha1"],
        'realm "x": credentials are made with aes128 and sha1 by default, which decode does not allow',
      ],
      [
        ["--allow-zips=zlib"],
        'the default realm: encode: compression "none" must be allowed, because credentials that do not shrink carry it',
      ],
    ] as const
  ) {
    assert(configOf("--stop", ...args).stop);
    assert.throws(() => configOf(...args), {
      message: `Contradictory policy of ${text}`,
      errno: 1,
    });
  }
});

test("in FIPS mode, modern is the default, and anything else must be explicit", () => {
  const fips = (...args: string[]) => ({ ...configOf(...args), fips: true });
  const modern = resolvePolicy(configOf("--security=modern"), "");
  assert.deepEqual(resolvePolicy(fips(), ""), modern);
  assert.deepEqual(resolvePolicy(fips(), "any"), modern);
  assert.deepEqual(resolvePolicy(fips("--security=compatible"), ""), OPEN_POLICY);
  assert.deepEqual(resolvePolicy(fips("--security=old=compatible"), "old"), OPEN_POLICY);
  assert.deepEqual(resolvePolicy(fips("--security=old=compatible"), ""), modern);
  const { encode } = describePolicy(resolvePolicy(fips("--allow-macs=sha1,sha256"), ""));
  assert.deepEqual([encode.macs, encode.ciphers], [["sha256", "sha1"], ["aes128", "aes256"]]);
});
