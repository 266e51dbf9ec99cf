// munged on a booted system with systemd: the package in place of the C MUNGE and back, reboots, power cuts, a service that
// is killed, a clock that is set, and too little memory or space.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { ERRNO } from "../../lib/errors.ts";
import { buildPackage } from "../packaging/packages.ts";
import { suite } from "../suite.ts";
import { Machine, MACHINE_NEEDS } from "./machine.ts";

const SUCCESS = 0;
const { EMUNGE_CRED_REPLAYED, EMUNGE_CRED_REWOUND, EMUNGE_CRED_EXPIRED } = ERRNO;
/** A command that is repeated until it succeeds, for a minute at least. */
const eventually = (command: string) =>
  `for i in $(seq 60); do (${command}) >/dev/null 2>&1 && break; sleep 1; done; ${command}`;

suite("a booted node", MACHINE_NEEDS, () => {
  const files = mkdtempSync(join(tmpdir(), "mungebox-media-"));
  let node: Machine;
  before(async () => {
    buildPackage("deb", files);
    node = await Machine.boot(files);
  });
  after(async () => {
    await node[Symbol.asyncDispose]();
    rmSync(files, { recursive: true });
  });

  /** Makes credentials in files, valid for an hour. */
  const encode = (...names: string[]) =>
    node.check(names.map((name) => `munge -n -t 3600 -o /root/${name}`).join(" && "));
  /** The result of unmunge for a file. */
  const decode = async (name: string) => (await node.run(`unmunge -i /root/${name}`)).status;
  const mainProcess = async () => Number(await node.check("systemctl show -P MainPID munge"));
  /** Whether munged answers, and how often it has been started again. */
  const works = () => node.check(eventually("munge -n | unmunge >/dev/null"));

  test("the package takes over key, user, credentials and enabled unit from the C MUNGE", async () => {
    assert.match(await node.check("munged -V"), /^munge-0\.5\.15 /);
    const state = "sha256sum /etc/munge/munge.key; id munge; systemctl is-enabled munge";
    const old = await node.check(state);
    await encode("theirs");
    await node.check("dpkg -i --force-depends /media/*.deb 2>&1");
    assert.match(await node.check("munged -V"), /mungebox/);
    assert.equal(await node.check(state), old);
    assert.equal(await node.check("systemctl is-active munge"), "active");
    await works();
    assert.equal(await decode("theirs"), SUCCESS);
  });

  test("after a reboot it serves, and what was decoded before is a replay", async () => {
    await encode("decoded", "fresh");
    assert.equal(await decode("decoded"), SUCCESS);
    for (let times = 1; times <= 2; times++) {
      await node.reboot();
      assert.equal(await node.check("systemctl is-active munge"), "active");
      assert.equal(await node.check("stat -c '%a %U %G' /run/munge"), "755 munge munge");
      assert.equal(await decode("decoded"), EMUNGE_CRED_REPLAYED);
    }
    assert.equal(await decode("fresh"), SUCCESS);
  });

  test("after a power cut, what was decoded a few seconds before is a replay", async () => {
    await encode("decoded-late");
    assert.equal(await decode("decoded-late"), SUCCESS);
    await node.check("sleep 5; sync -f /root");
    await node.cut();
    await node.start();
    await works();
    assert.equal(await decode("decoded-late"), EMUNGE_CRED_REPLAYED);
  });

  test("systemd restarts a killed munged, which still knows what was decoded", async () => {
    await encode("decoded-before-kill");
    assert.equal(await decode("decoded-before-kill"), SUCCESS);
    const before = await mainProcess();
    await node.check(`kill -KILL ${before}`);
    await works();
    assert.notEqual(await mainProcess(), before);
    assert.equal(await decode("decoded-before-kill"), EMUNGE_CRED_REPLAYED);
  });

  test("logrotate rotates the log, and munged goes on writing it", async () => {
    await node.check(
      "logrotate --force /etc/logrotate.d/munge 2>&1 || logrotate --force /etc/logrotate.d/mungebox",
    );
    await node.check("ls /var/log/munge/munged.log.1*");
    await node.check("systemctl reload munge");
    await node.check(eventually("grep 'signal 1' /var/log/munge/munged.log"));
  });

  test("credentials are rewound or expired while the clock is wrong, and decode once it is right", async () => {
    await node.check("munge -n -t 300 -o /root/clock");
    await node.check("date -s '-1 hour'");
    assert.equal(await decode("clock"), EMUNGE_CRED_REWOUND);
    await node.check("date -s '+2 hours'");
    assert.equal(await decode("clock"), EMUNGE_CRED_EXPIRED);
    await node.check("date -s '-1 hour'");
    assert.equal(await decode("clock"), SUCCESS);
    assert.equal(await decode("clock"), EMUNGE_CRED_REPLAYED);
    await works();
  });

  test("a disk that a user filled stops neither munged nor its start", async () => {
    const asUser = "cd / && setpriv --reuid=65534 --regid=65534 --clear-groups";
    // Nearly all at once, and the rest by writing until no more fits.
    const fill = (name: string, available: string) =>
      `fallocate -l $(($(stat -f -c '${available} * %S' /) * 9 / 10)) /var/tmp/${name}
cat /dev/zero 2>&1 >>/var/tmp/${name} | grep 'No space left'`;
    await node.check(`${asUser} bash -c "$(cat <<'END'\n${fill("filler", "%a")}\nEND\n)"`);
    await node.check(fill("reserve", "%f")); // what is reserved for root
    await node.check("for i in 1 2 3 4 5; do munge -n | unmunge >/dev/null || exit 1; done");
    await node.check("systemctl restart munge");
    await works();
    await node.check("rm /var/tmp/filler /var/tmp/reserve; systemctl restart munge");
    await works();
  });

  test("with strict overcommit and a commit limit of 512 MB, munged starts and serves", async () => {
    // The limit is a share of the memory, without swap.
    const kilobytes = Number(await node.check("awk '/^MemTotal/ {print $2}' /proc/meminfo"));
    const ratio = Math.floor(100 * 512 * 1024 / kilobytes);
    await node.check(`sysctl -q vm.overcommit_ratio=${ratio} vm.overcommit_memory=2`);
    try {
      await node.check("systemctl restart munge");
      await works();
      await node.check("munged --status >/dev/null && mungebox health");
    } finally {
      await node.check("sysctl -q vm.overcommit_memory=0");
    }
  });

  test("when munged runs out of memory, it is killed and systemd restarts it", async () => {
    await node.check("systemctl set-property --runtime munge MemoryMax=12M");
    await node.check(eventually("journalctl -u munge | grep 'killed by the OOM killer'"));
    await node.check(eventually("test $(systemctl show -P NRestarts munge) != 0"));
    await node.check("systemctl set-property --runtime munge MemoryMax=infinity");
    // systemd gives up after five starts in ten seconds.
    await node.check("systemctl reset-failed munge; systemctl start munge");
    await works();
  });

  test("a read-only root and a /var in memory are enough, as on stateless nodes", async () => {
    await node.check("sync");
    await node.cut();
    await node.start("ro systemd.volatile=state");
    assert((await node.run("touch /etc/x")).status !== 0, "the root is not read-only");
    await works();
    assert.equal(await node.check("systemctl is-active munge"), "active");
    await node.cut();
    await node.start();
  });

  test("systemd rates its exposure at most 2.0", async () => {
    const report = await node.check("systemd-analyze security --no-pager munge | tail -1");
    const exposure = Number(/: ([\d.]+) /.exec(report)![1]);
    assert(exposure <= 2.0, report);
  });

  test("the C MUNGE takes over again", async () => {
    const state = "sha256sum /etc/munge/munge.key; systemctl is-enabled munge";
    const old = await node.check(state);
    await encode("ours");
    await node.check("dpkg --remove --force-depends mungebox && dpkg -i /root/munge_*.deb 2>&1");
    assert.match(await node.check("munged -V"), /^munge-0\.5\.15 /);
    assert.equal(await node.check(state), old);
    await works();
    assert.equal(await decode("ours"), SUCCESS);
  });
});
