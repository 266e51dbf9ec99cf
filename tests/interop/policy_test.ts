// A munged whose policy forbids algorithms, users and origins, with the C MUNGE's clients, and beside a C munged with the
// same key.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, it } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import type { Status } from "../../daemon/munged/observe/status.ts";
import { hasReference, isRoot, type Make, MAKES } from "../harness/programs.ts";
import { type Munged, Realm } from "../harness/realm.ts";
import { until } from "../harness/until.ts";
import { suite } from "../suite.ts";
import { compileProbe, probeDecode, probeEncode } from "./libmunge_probe.ts";

/** The exit status of munge for whatever munged answers, as in the reference; unmunge exits with the error's number. */
const REFUSED = 1;
const BAD_CIPHER = 10;
const BAD_MAC = 11;
const UNAUTHORIZED = 18;

/** What clients of both makes do with the daemons of a realm. */
class Site extends Realm {
  munge(
    { socket }: Munged,
    args: readonly string[],
    as: { uid?: number; gid?: number } = {},
    make: Make = "reference",
  ) {
    return this.run(make, "munge", ["-n", "-S", socket, ...args], as);
  }

  unmunge(
    { socket }: Munged,
    input: string,
    as: { uid?: number; gid?: number } = {},
    make: Make = "reference",
  ) {
    return this.run(make, "unmunge", ["-S", socket], { input, ...as });
  }

  status({ socket }: Munged): Status {
    return JSON.parse(this.run("ours", "munged", ["--status", "--json", "-S", socket]).out);
  }
}

/** Words of a command that examines a daemon of ours. */
function doctorOf(site: Site, { socket }: Munged): string[] {
  return [
    site.program("ours", "mungebox"),
    "doctor",
    "--user=root",
    `--socket=${socket}`,
    `--key-file=${join(site.directory, "key")}`,
    `--config=${site.configFile}`,
    `--pid-file=${join(socket, "../pid")}`,
    `--seed-file=${join(socket, "../seed")}`,
    "--foreground",
  ];
}

const needs = { "the C MUNGE": hasReference, "root": isRoot };

suite("a munged that allows modern algorithms only", needs, () => {
  let site: Site;
  let munged: Munged;
  let neighbour: Munged;

  before(async () => {
    site = new Site();
    munged = await site.start("ours", ["--security=modern", "--allow-zips=encode:none"]);
    neighbour = await site.start("reference", ["--force"]);
  });
  after(() => site.close());

  for (const make of MAKES) {
    it(`answers ${make === "ours" ? "our" : "C"} clients as if it knew no others`, () => {
      for (
        const [option, text] of [
          ["--cipher=blowfish", "Invalid cipher type 2"],
          ["--cipher=cast5", "Invalid cipher type 3"],
          ["--cipher=none", "Invalid cipher type 0"],
          ["--mac=md5", "Invalid MAC type 2"],
          ["--mac=sha1", "Invalid MAC type 3"],
          ["--mac=ripemd160", "Invalid MAC type 4"],
          ["--zip=bzlib", "Invalid compression type 2"],
        ] as const
      ) {
        const { status, err, out } = site.munge(munged, [option], {}, make);
        assert.deepEqual([status, err, out], [REFUSED, `munge: Error: ${text}\n`, ""], option);
      }
      for (const cipher of ["default", "aes128", "aes256"]) {
        for (const mac of ["default", "sha256", "sha512"]) {
          const made = site.munge(munged, [`--cipher=${cipher}`, `--mac=${mac}`], {}, make);
          assert.equal(made.status, 0, made.err);
          assert.equal(site.unmunge(munged, made.out, {}, make).status, 0);
          const again = site.munge(munged, [`--cipher=${cipher}`, `--mac=${mac}`], {}, make);
          assert.equal(site.unmunge(neighbour, again.out, {}, make).status, 0);
        }
      }
    });
  }

  it("refuses credentials of a C neighbour with the same key, and reveals nothing about them", () => {
    for (
      const [option, errno, text] of [
        ["--cipher=blowfish", BAD_CIPHER, "Invalid cipher type 2"],
        ["--cipher=none", BAD_CIPHER, "Invalid cipher type 0"],
        ["--mac=sha1", BAD_MAC, "Invalid MAC type 3"],
      ] as const
    ) {
      const { out } = site.munge(neighbour, [option]);
      const opened = site.unmunge(munged, out);
      assert.equal(opened.status, errno);
      assert.equal(opened.err, `unmunge: Error: ${text}\n`);
      assert.doesNotMatch(opened.out, /UID/);
    }
    const fine = site.munge(neighbour, ["--zip=zlib"]);
    assert.equal(site.unmunge(munged, fine.out).status, 0);
  });

  it("logs one audit line per refusal, up to a limit, and no other", async () => {
    const count = (pattern: RegExp) => munged.log().match(pattern)?.length ?? 0;
    const line =
      /Info: Refused encode: cause=policy_cipher client_uid=7 client_gid=7 realm=- cipher=cast5$/gm;
    for (let tries = 0; tries < 20; tries++) {
      assert.equal(site.munge(munged, ["--cipher=cast5"], { uid: 7, gid: 7 }).status, REFUSED);
    }
    await until("the lines", () => count(line) >= 5);
    await pause(100); // time for more lines than there should be
    assert(count(line) >= 5 && count(line) <= 10, `${count(line)} lines`);
    assert.equal(count(/Invalid (cipher|MAC) type/g), 0);
  });

  it("serves libmunge programs, whose library turns any refused encode into error 1", () => {
    const probe = compileProbe(site);
    const request = { cipher: 1, mac: 1, zip: 1, ttl: 0, uid: -1, gid: -1, length: 100 };
    const [fine, blowfish, md5] = probeEncode(probe, munged.socket, [
      request,
      { ...request, cipher: 2 },
      { ...request, mac: 2 },
    ]);
    assert.equal(fine!.errno, 0);
    assert.deepEqual([blowfish!.errno, blowfish!.text], [REFUSED, "Invalid cipher type 2"]);
    assert.deepEqual([md5!.errno, md5!.text], [REFUSED, "Invalid MAC type 2"]);
    const [weak] = probeEncode(probe, neighbour.socket, [{ ...request, cipher: 3 }]);
    const [opened, refused] = probeDecode(probe, munged.socket, [fine!.text, weak!.text]);
    assert.deepEqual([opened!.errno, opened!.cipher, opened!.mac, opened!.matches], [
      0,
      4,
      5,
      true,
    ]);
    assert.equal(refused!.errno, BAD_CIPHER);
    assert.deepEqual([refused!.cipher, refused!.mac, refused!.length], [0, 0, 0]);
  });

  it("serves remunge", () => {
    const remunge = site.run("reference", "remunge", ["-q", "-d", "-N", "50", "-S", munged.socket]);
    assert.equal(remunge.status, 0, remunge.err);
    const args = ["-N", "1", "-c", "blowfish", "-S", munged.socket];
    const refused = site.run("reference", "remunge", args);
    assert.match(refused.out + refused.err, /Invalid cipher type 2/);
  });

  it("shows the policy, and counts what was used and what it refused", () => {
    const { algorithms, refused_by_policy: refused, realms } = site.status(munged);
    const used = new Map(
      algorithms.encode.types.map(({ cipher, mac, count }) => [`${cipher}/${mac}`, count]),
    );
    assert.deepEqual([...used.keys()].sort(), [
      "aes128/sha256",
      "aes128/sha512",
      "aes256/sha256",
      "aes256/sha512",
    ]);
    assert(used.get("aes256/sha512")! >= 4);
    assert(refused.encode.cipher >= 26 && refused.encode.mac >= 6 && refused.encode.zip >= 2);
    assert.deepEqual([refused.decode.cipher, refused.decode.mac], [3, 1]);
    assert.deepEqual(realms[0]!.policy.decode.macs, ["sha256", "sha512"]);
    const { out } = site.run("ours", "munged", ["--status", "-S", munged.socket]);
    assert.match(
      out,
      /^POLICY: +default realm: encode: ciphers aes128, aes256; MACs sha256, sha512; compressions none \| decode: ciphers aes128, aes256; MACs sha256, sha512$/m,
    );
    assert.match(out, /^ALGORITHMS: +encode: .*aes128\/sha256/m);
    assert.match(out, /^REFUSED: +decode: 3 by cipher, 1 by mac$/m);
    assert.match(munged.log(), /Notice: Policy of the default realm: encode: ciphers aes128/);
  });
});

suite("a munged that counts before it forbids", needs, () => {
  it("says which algorithms are used, in status and metrics", async () => {
    const site = new Site();
    try {
      const metrics = join(site.directory, "munged.prom");
      const munged = await site.start("ours", [`--metrics-file=${metrics}`]);
      const weak = site.munge(munged, ["--cipher=cast5", "--mac=md5"]);
      assert.equal(site.unmunge(munged, weak.out).status, 0);
      site.unmunge(munged, weak.out.replace(/.{9}:$/m, "AAAAAAAA:")); // not authentic, so not counted
      const { algorithms, hints } = site.status(munged);
      const only = [{ cipher: "cast5", mac: "md5", count: 1 }];
      assert.deepEqual([algorithms.encode.types, algorithms.decode.types], [only, only]);
      assert(hints.some((hint) => /refuse: 1 encoded with cast5 and md5, 1 decoded/.test(hint)));
      const line = 'munged_credentials_total{kind="decode",cipher="cast5",mac="md5"} 1\n';
      const deadline = performance.now() + 40_000;
      while (!readFileSync(metrics, "utf8").includes(line)) {
        assert(performance.now() < deadline, readFileSync(metrics, "utf8"));
        await pause(200);
      }
      assert.match(
        readFileSync(metrics, "utf8"),
        /^munged_policy_refusals_total\{kind="decode",rule="origin"\} 0$/m,
      );
    } finally {
      await site.close();
    }
  });
});

suite("a munged that serves some users and some hosts", needs, () => {
  let site: Site;
  let munged: Munged;

  before(async () => {
    site = new Site();
    const realm = join(site.directory, "lab.key");
    writeFileSync(realm, crypto.getRandomValues(new Uint8Array(64)), { mode: 0o600 });
    munged = await site.start("ours", [
      `--realm=lab=${realm}`,
      "--allow-encode=user:1,group:2",
      "--allow-decode=user:0",
      "--accept-origin=127.0.0.0/8,192.0.2.0/24",
      "--allow-encode=lab=everyone",
      "--allow-decode=lab=everyone",
      "--allow-ciphers=lab=aes256",
      "--accept-origin=lab=192.0.2.1",
    ]);
  });
  after(() => site.close());

  it("limits who may encode, and who may decode, in the default realm", () => {
    for (
      const [uid, gid, status] of [[1, 9, 0], [9, 2, 0], [9, 9, REFUSED], [0, 0, REFUSED]] as const
    ) {
      const made = site.munge(munged, [], { uid, gid });
      assert.equal(made.status, status, `${uid}`);
      if (status === 0) {
        assert.equal(site.unmunge(munged, made.out).status, 0);
        assert.equal(site.unmunge(munged, made.out, { uid, gid }).status, UNAUTHORIZED);
      } else {
        assert.equal(
          made.err,
          `munge: Error: Unauthorized client UID=${uid} GID=${gid} for the default realm\n`,
        );
      }
    }
  });

  it("applies a realm's own rules, and its defaults", () => {
    const ours = (args: readonly string[]) => site.munge(munged, args, { uid: 9, gid: 9 }, "ours");
    assert.equal(ours(["--realm=lab"]).status, 0);
    assert.equal(ours(["--realm=lab", "--cipher=aes128"]).status, REFUSED);
    const { status, err } = site.unmunge(munged, ours(["--realm=lab"]).out);
    assert.equal(status, UNAUTHORIZED);
    assert.equal(err, "unmunge: Error: Unauthorized credential from origin 127.0.0.1\n");
    assert.match(
      munged.log(),
      /Warning: Credentials of realm "lab" that are made here are refused here: their origin 127.0.0.1 /,
    );
  });

  it("accepts credentials of C neighbours from its networks, and no others", async () => {
    for (
      const [origin, status] of [["192.0.2.200", 0], ["192.0.3.1", 18], ["10.0.0.1", 18]] as const
    ) {
      const neighbour = await site.start("reference", ["--force", `--origin=${origin}`]);
      const made = site.munge(neighbour, []);
      const opened = site.unmunge(munged, made.out);
      assert.equal(opened.status, status, origin);
      if (status !== 0) {
        assert.equal(opened.err, `unmunge: Error: Unauthorized credential from origin ${origin}\n`);
        assert.doesNotMatch(opened.out, /UID/);
        const line =
          `Refused decode: cause=policy_origin client_uid=0 client_gid=0 realm=- origin=${origin} uid=0 gid=0`;
        await until(line, () => munged.log().includes(line));
      }
      await neighbour.stop();
    }
    const { refused_by_policy: refused } = site.status(munged);
    assert.equal(refused.decode.origin, 3);
  });

  it("is explained by doctor", () => {
    const made = site.munge(munged, [], { uid: 1, gid: 1 });
    const [program, ...args] = doctorOf(site, munged);
    const out = spawnSync(program!, args, { encoding: "utf8" }).stdout;
    assert.match(
      out,
      /default realm has limits: encode: only user 1, group 2 \| decode: only user 0; from 127\.0\.0\.0\/8/,
    );
    assert.match(out, /munged refuses its own credential: Unauthorized client UID=0 GID=0/);
    assert.match(out, /--allow-encode/);
    assert.equal(made.status, 0);
  });
});

suite(
  "a munged on a kernel in FIPS mode",
  { ...needs, "mount namespaces": hasNamespaces() },
  () => {
    it("allows modern algorithms only, unless told otherwise", async () => {
      const site = new Site();
      try {
        const flag = join(site.directory, "fips");
        mkdirSync(join(flag, "crypto"), { recursive: true });
        writeFileSync(join(flag, "crypto/fips_enabled"), "1\n");
        // The kernel here may not have the flag, so that all of /proc/sys has to be another directory.
        const wrapper = [
          "unshare",
          "--mount",
          "sh",
          "-c",
          `mount --bind ${flag} /proc/sys; exec "$@"`,
          "sh",
        ];
        const munged = await site.start("ours", [], wrapper);
        assert.equal(site.munge(munged, ["--mac=sha1"]).status, REFUSED);
        assert.equal(site.unmunge(munged, site.munge(munged, []).out).status, 0);
        assert.match(munged.log(), /Notice: Policy of the default realm: .*MACs sha256, sha512/);
        const checked = spawnSync(wrapper[0]!, [
          ...wrapper.slice(1),
          site.program("ours", "munged"),
          "--check-config",
        ], { encoding: "utf8" });
        assert.match(checked.stdout, /^security=modern +# FIPS mode$/m);
        const told = await site.start("ours", ["--security=compatible"], wrapper);
        assert.equal(site.munge(told, ["--mac=sha1"]).status, 0);
        assert.match(
          told.log(),
          /Warning: Kernel is in FIPS mode, but the policy of the default realm/,
        );
        for (const [daemon, isWeak] of [[munged, false], [told, true]] as const) {
          const words = [...wrapper.slice(1), ...doctorOf(site, daemon)];
          const { stdout } = spawnSync(wrapper[0]!, words, { encoding: "utf8" });
          assert.equal(/kernel is in FIPS mode, but munged allows/.test(stdout), isWeak, stdout);
        }
      } finally {
        await site.close();
      }
    });
  },
);

function hasNamespaces(): boolean {
  return spawnSync("unshare", ["--mount", "true"]).status === 0;
}
