// mungebox.cluster, the Ansible collection, on five hosts over ssh: what each playbook does, that nobody is refused meanwhile,
// where it stops, and that keys stay out of logs and caches.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { after, before, it } from "node:test";
import { Load } from "../interop/cluster.ts";
import { suite } from "../suite.ts";
import { C_HOST, Fleet, FLEET_NEEDS, OURS } from "./fleet.ts";

/** Between two requests of a load, which shares the processors with Ansible. */
const REST_MS = 5;
const NEWER = "0.1.99";
/** A first host, then all others. */
const BATCHES = `-e '{"mungebox_serial": [1, "100%"]}'`;

suite("a fleet run with Ansible", FLEET_NEEDS, () => {
  let fleet: Fleet;
  const keys: Buffer[] = [];
  let output = "";
  before(() => {
    fleet = new Fleet();
  });
  after(() => fleet?.close());

  const onAll = (value: number) => Object.fromEntries(OURS.map((host) => [host, value]));
  const versionOf = (host: string) =>
    /mungebox ([\d.]+)/.exec(fleet.must(host, "munge --version"))?.[1];

  it("changes nothing with --check on new hosts, and says that it would", async () => {
    const { changed } = await fleet.mustPlay("install --check -e mungebox_create_key=true");
    for (const host of OURS) {
      assert(changed[host]! > 0, `${host} says nothing would change`);
      fleet.must(host, "! getent passwd munge && ! ls /etc/munge /usr/local/bin/mungebox 2>&-");
    }
  });

  it("makes no key unless it is told to", async () => {
    const { status, out } = await fleet.play("install");
    assert.notEqual(status, 0);
    assert.match(out, /There is no key in \/fleet\/munge\.key on the controller/);
  });

  it("installs, and a second run changes nothing", async () => {
    await fleet.mustPlay("install -e mungebox_create_key=true");
    keys.push(fleet.controllerFile("/fleet/munge.key"));
    fleet.startC(keys[0]!);
    const again = await fleet.mustPlay("install");
    assert.deepEqual(again.changed, onAll(0), again.out);
    const doctor = await fleet.mustPlay("doctor");
    assert.deepEqual(doctor.changed, onAll(0));
  });

  it("upgrades while clients of libmunge and ours are served without a failure", async () => {
    const source = fleet.source("newer", (executable) => fleet.buildVersion(NEWER, executable));
    const libmunge = fleet.startLibmungeLoad("node2");
    let counted = "";
    libmunge.stdout.on("data", (text) => counted += text);
    const load = new Load(fleet.peers, 1, REST_MS);
    await fleet.mustPlay(`upgrade ${BATCHES} -e mungebox_source=${source}`);
    await load.pass();
    await load.stop();
    libmunge.stdin.end();
    await once(libmunge, "close");
    assert.deepEqual([...load.refused], []);
    const [requests, failed, replayed] = counted.split(" ").map(Number);
    assert.deepEqual({ failed, replayed }, { failed: 0, replayed: 0 }, counted);
    assert(requests! > 1000, counted);
    for (const host of OURS) assert.equal(versionOf(host), NEWER);
  });

  it("stops an upgrade at the first host that fails, keeps serving, and names a rollback that works", async () => {
    const source = fleet.source("broken", (executable) => {
      writeFileSync(executable, "#!/bin/sh\necho it is broken >&2\nexit 1\n", { mode: 0o755 });
    });
    const load = new Load(fleet.peers, 1, REST_MS);
    const { status, out } = await fleet.play(`upgrade ${BATCHES} -e mungebox_source=${source}`);
    assert.notEqual(status, 0);
    assert.match(out, /The upgrade of node1 failed in the task .*?: it is broken/);
    for (const host of OURS.slice(1)) assert.equal(versionOf(host), NEWER);
    const [, remedy] = /ansible-playbook mungebox\.cluster\.(rollback --limit node1)/.exec(out) ??
      [];
    assert(remedy !== undefined, out);
    await fleet.mustPlay(remedy);
    await load.pass();
    await load.stop();
    assert.deepEqual([...load.refused], []);
    assert.equal(versionOf("node1"), NEWER);
  });

  it("rotates the key without a refusal, with a host down and another with the C MUNGE", async () => {
    const load = new Load(fleet.peers, 1, REST_MS);
    fleet.power("node4", "off");
    const { status, out } = await fleet.play("rotate");
    assert.notEqual(status, 0);
    assert.match(out, /node4 can't be reached; no key has been changed/);
    assert.deepEqual(fleet.controller("ls /fleet/munge.key*").split("\n"), [
      "/fleet/munge.key",
      "",
    ]);

    output = (await fleet.mustPlay("rotate -vvv --limit 'munge:!node4'")).out;
    keys.push(fleet.controllerFile("/fleet/munge.key"));
    assert.notDeepEqual(keys[0], keys[1]);
    await load.pass();

    fleet.power("node4", "on");
    const [, remedy] = /mungebox\.cluster\.(install -e mungebox_replace_key=true --limit node4)/
      .exec(out.replace(/\\n/g, " ").replace(/ +/g, " ")) ?? [];
    assert(remedy !== undefined, out);
    await fleet.mustPlay(`${remedy} -e mungebox_source=`);
    fleet.peers[3]!.encodes = true;
    await load.pass();
    await load.stop();
    assert.deepEqual([...load.refused], []);
    for (const host of OURS.slice(0, 3)) {
      assert.deepEqual(fleet.must(host, "ls /etc/munge").trim().split("\n"), [
        "munge.conf",
        "munge.key",
      ]);
    }
    const doctor = await fleet.mustPlay("doctor");
    assert.deepEqual(doctor.changed, onAll(0));
    fleet.must(C_HOST, "munge -n | unmunge -n");
  });

  it("refuses to change the key of a host without being told to", async () => {
    fleet.must("node3", "echo another >>/etc/munge/munge.key");
    const { status, out } = await fleet.play("install --limit node3 -e mungebox_source=");
    assert.notEqual(status, 0);
    assert.match(out, /node3 has the key \w{16}, and the realm's is \w{16}/);
  });

  it("leaves no key in its output, log, fact cache or temporary files", () => {
    assert.equal(keys.length, 2);
    const log = `${output}${fleet.controller("cat /fleet/ansible.log /fleet/facts/*")}`;
    assert.match(log, /mungekey/);
    for (const key of keys) {
      const digests = ["sha1", "sha256"].map((name) => createHash(name).update(key).digest("hex"));
      const forms = ["latin1", "base64", "hex"] as const;
      for (const form of [...forms.map((name) => key.toString(name)), ...digests]) {
        assert(!log.includes(form.slice(0, 24)), `found ${form.slice(0, 8)}...`);
      }
    }
    for (const host of ["controller", ...OURS]) {
      const left = "ls -d /run/mungebox-* /tmp/mungebox-??????? ~/.ansible/tmp/* 2>&- || true";
      assert.equal(fleet.must(host, left).replace(/^\/tmp\/mungebox-hosts.*\n/gm, ""), "", host);
    }
  });
});
