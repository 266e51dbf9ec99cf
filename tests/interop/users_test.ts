// Credentials among different users, with each request made by a process of that user: the kernel identifies it, and no
// user can pose as another, not even root.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, it } from "node:test";
import { ANY_ID } from "../../lib/protocol/message.ts";
import { type Munged, Realm } from "../harness/realm.ts";
import { hasReference, isRoot, type Make, MAKES } from "../harness/programs.ts";
import { until } from "../harness/until.ts";
import { compileProbe, probeDecode, probeEncode } from "./libmunge_probe.ts";
import { suite } from "../suite.ts";

const PLAIN = { cipher: 1, mac: 1, zip: 0, ttl: 0, uid: ANY_ID, gid: ANY_ID, length: 1 };
const ROOT = { uid: 0, gid: 0 };
/** The users `nobody` and `daemon`, which every system has, and one that no system has. */
const NOBODY = { uid: 65534, gid: 65534 };
const DAEMON = { uid: 1, gid: 1 };
const STRANGER = { uid: 54_321, gid: 54_322 };
const USERS = [ROOT, NOBODY, DAEMON, STRANGER];
/** The group that `nobody` gets as a supplementary group. */
const CLUB = 54_323;

/** Whether we can mount over /etc/group for one process and its children, leaving the system's file alone. */
const canMount = isRoot && spawnSync("unshare", ["--mount", "true"]).status === 0;

const canUnshare = spawnSync("unshare", ["--user", "--map-root-user", "true"]).status === 0;

suite("a munged in a user namespace", { "root": isRoot, "user namespaces": canUnshare }, () => {
  it("serves the users that are mapped into it, and all others only if it is told to", async () => {
    const realm = new Realm();
    try {
      const wrapper = ["unshare", "--user", "--map-root-user"];
      const strict = await realm.start("ours", [], wrapper);
      const encode = ({ socket }: Munged, user: { uid: number; gid: number }) =>
        realm.run("ours", "munge", ["-n", "-S", socket], user);
      const own = encode(strict, ROOT);
      assert.equal(own.status, 0, own.err);
      for (const user of [STRANGER, DAEMON]) {
        const { err, status } = encode(strict, user);
        assert.match(err, /^munge: Error: Unauthorized client/);
        assert.notEqual(status, 0);
      }
      const unmunge = (munged: Munged, input: string) =>
        realm.run("ours", "unmunge", ["-S", munged.socket, "-k", "UID,GID"], { input, ...DAEMON });
      assert.notEqual(unmunge(strict, own.out).status, 0);
      const open = await realm.start("ours", ["--allow-overflow-id"], wrapper);
      const line = /Refused encode.*overflow_id/;
      await until("a line about a refusal", () => line.test(strict.log()));
      const made = encode(open, STRANGER);
      assert.equal(made.status, 0, made.err);
      assert.match(unmunge(open, made.out).out, /^UID: .*\(65534\)\nGID: .*\(65534\)\n/);
    } finally {
      await realm.close();
    }
  });
});

suite("users", { "the reference": hasReference, "root": isRoot }, () => {
  let realm: Realm;
  let probe: string;
  let daemons: Readonly<Record<Make, Munged>>;

  before(async () => {
    realm = new Realm();
    probe = compileProbe(realm);
    daemons = await realm.startBoth();
  });
  after(() => realm?.close());

  for (const make of MAKES) {
    it(`${make} munged names the maker of a credential`, () => {
      const { socket } = daemons[make];
      for (const maker of USERS) {
        const [made] = probeEncode(probe, socket, [PLAIN], maker);
        const [opened] = probeDecode(probe, socket, [made!.text], STRANGER);
        assert.equal(opened!.errno, 0, opened!.text);
        assert.deepEqual({ uid: opened!.uid, gid: opened!.gid }, maker);
      }
    });

    it(`${make} munged refuses a restricted credential to everyone else, even root`, () => {
      const { socket } = daemons[make];
      for (const wanted of [NOBODY, STRANGER, ROOT]) {
        for (
          const restriction of [
            { uid: wanted.uid, gid: ANY_ID },
            { uid: ANY_ID, gid: wanted.gid },
            wanted,
          ]
        ) {
          const [made] = probeEncode(probe, socket, [{ ...PLAIN, ...restriction }], DAEMON);
          for (const reader of USERS.filter((user) => user !== wanted)) {
            const [refused] = probeDecode(probe, socket, [made!.text], reader);
            assert.equal(
              refused!.text,
              `Unauthorized credential for client UID=${reader.uid} GID=${reader.gid}`,
            );
            assert.deepEqual(refused, {
              errno: 18,
              cipher: 0,
              mac: 0,
              zip: 0,
              ttl: 0,
              uid: ANY_ID,
              gid: ANY_ID,
              uidRestriction: ANY_ID,
              gidRestriction: ANY_ID,
              address: "0.0.0.0",
              length: 0,
              matches: true,
              text: refused!.text,
            });
          }
          const [opened] = probeDecode(probe, socket, [made!.text], wanted);
          assert.equal(opened!.errno, 0, "a refusal must not count as the first decoding");
          assert.deepEqual({ uid: opened!.uid, gid: opened!.gid }, DAEMON);
        }
      }
    });

    it(`our munge and unmunge work for any user with ${make} munged`, () => {
      const { socket } = daemons[make];
      const credential = realm.run("ours", "munge", ["-S", socket, "-n", "-u", "nobody"], STRANGER);
      assert.equal(credential.err, "");
      const input = Buffer.from(credential.out);
      const refused = realm.run("ours", "unmunge", ["-S", socket], { input });
      assert.equal(refused.status, 18);
      assert.equal(
        refused.err,
        "unmunge: Error: Unauthorized credential for client UID=0 GID=0\n",
      );
      const args = ["-S", socket, "-k", "UID,GID"];
      const opened = realm.run("ours", "unmunge", args, { input, ...NOBODY });
      assert.match(opened.out, /^UID: +\S+ \(54321\)\nGID: +\S+ \(54322\)\n\n$/);
      assert.equal(opened.status, 0);
    });

    it(`munge -U and -G ask ${make} munged as the user and group they name`, () => {
      const { socket } = daemons[make];
      const args = ["-S", socket, "-n", "-U", "54321", "-G", "54322"];
      const credential = realm.run("ours", "munge", args);
      const [opened] = probeDecode(probe, socket, [credential.out.trim()], ROOT);
      assert.deepEqual({ uid: opened!.uid, gid: opened!.gid }, STRANGER);
    });

    it(`${make} munged knows supplementary groups`, { skip: !canMount }, async () => {
      const groupFile = join(realm.directory, "group");
      writeFileSync(
        groupFile,
        `${readFileSync("/etc/group", "utf8")}club:x:${CLUB}:daemon,nobody\n`,
      );
      const script = 'mount --bind "$0" /etc/group && exec "$@"';
      const wrapper = ["unshare", "--mount", "sh", "-c", script, groupFile];
      const munged = await realm.start(make, [], wrapper);
      const found = /Found \d+ users? with supplementary groups/;
      await until("the groups", () => found.test(munged.log()));
      const { socket } = munged;
      const [made] = probeEncode(probe, socket, [{ ...PLAIN, gid: CLUB }], STRANGER);
      for (const outsider of [ROOT, STRANGER]) {
        const [refused] = probeDecode(probe, socket, [made!.text], outsider);
        assert.equal(refused!.errno, 18);
      }
      const [opened] = probeDecode(probe, socket, [made!.text], NOBODY);
      assert.deepEqual([opened!.errno, opened!.gidRestriction], [0, CLUB]);
      assert.equal(await munged.stop(), 0);
    });
  }
});
