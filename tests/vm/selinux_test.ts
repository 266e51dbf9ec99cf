// munged on a booted system whose kernel enforces Debian's SELinux policy, without our module and with it.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { buildPackage } from "../packaging/packages.ts";
import { succeed } from "../packaging/pod.ts";
import { HAS_SELINUX_TOOLS, policyWithModule } from "../packaging/selinux.ts";
import { suite } from "../suite.ts";
import { Machine, MACHINE_NEEDS } from "./machine.ts";

const NEEDS = {
  ...MACHINE_NEEDS,
  "selinux-policy-default, selinux-policy-dev and make": HAS_SELINUX_TOOLS,
};

/** The domain that munged runs in. */
const DOMAIN = "system_u:system_r:munged_t:s0";
/** What docs/install.md labels, and the units. */
const LABELLED =
  "/usr/bin/mungebox /etc/munge /run/munge /var/lib/munge /var/log/munge /lib/systemd/system/munge.*";

suite("a node that enforces SELinux", NEEDS, () => {
  const work = mkdtempSync(join(tmpdir(), "mungebox-media-"));
  const files = join(work, "media");
  let node: Machine;
  before(async () => {
    buildPackage("deb", files);
    succeed("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", join(files, "login"));
    // Building the module and the policy would take minutes in the machine.
    succeed("tar", "-C", policyWithModule(work), "-czf", join(files, "policy.tgz"), "etc/selinux");
    node = await Machine.boot(files, "rw security=selinux enforcing=1");
  });
  after(async () => {
    await node?.[Symbol.asyncDispose]();
    rmSync(work, { recursive: true });
  });

  /** What the kernel has refused to munged, or with munged's files, since the machine was booted. */
  const denials = async () => {
    const audit = await node.check("journalctl --quiet --boot _TRANSPORT=audit");
    assert.match(audit, /AVC avc: +denied/, "the journal lacks the denials that there must be");
    return audit.split("\n").filter((line) => /denied .*:munge(?:d|box)_/.test(line));
  };
  const works = () => node.check("munge -n | unmunge >/dev/null");
  const domain = () => node.check("ps -o label= -C munged");

  test("without the module, munged does not start, and says which permission it lacks", async () => {
    assert.equal(await node.check("getenforce"), "Enforcing");
    await node.check("dpkg -i --force-depends /media/*.deb");
    assert.equal((await node.run("systemctl is-active munge")).output, "failed");
    const log = await node.check("journalctl --quiet -u munge");
    assert.match(
      log,
      /munged: Error: Memory that is both writable and .* with execmem for SELinux/,
    );
  });

  test("with it, munged starts in its domain", async () => {
    await node.check(
      `tar -xzf /media/policy.tgz -C / && load_policy && restorecon -RF ${LABELLED}`,
    );
    await node.check("systemctl restart munge");
    await works();
    assert.equal(await domain(), DOMAIN);
  });

  test("users make and open credentials, confined ones too, with our clients and the C MUNGE's", async () => {
    await node.check(`dpkg-deb -x /root/munge_*.deb /opt/c && chcon -t bin_t /opt/c/usr/bin/*
echo confined:user_u:s0 >>/etc/selinux/default/seusers
install -m 600 /media/login /root/login
for user in ordinary confined; do
  useradd -m -s /bin/sh $user
  install -d -m 700 -o $user /home/$user/.ssh
  install -m 600 -o $user /media/login.pub /home/$user/.ssh/authorized_keys
done
restorecon -RF /home`);
    const inTurn = `id -Z
munge -n | unmunge | head -n 1
munge -n | /opt/c/usr/bin/unmunge | head -n 1
/opt/c/usr/bin/munge -n | unmunge | head -n 1`;
    const success = "\nSTATUS:          Success (0)".repeat(3);
    const contexts = {
      ordinary: "unconfined_u:unconfined_r:unconfined_t:s0",
      confined: "user_u:user_r:user_t:s0",
    };
    for (const [user, context] of Object.entries(contexts)) {
      const login = `ssh -q -i /root/login -o StrictHostKeyChecking=no ${user}@127.0.0.1`;
      const output = await node.check(`${login} '${inTurn}' | sed 's/-s0:c.*//'`);
      assert.equal(output, `${context}${success}`);
    }
  });

  test("munged rotates its key, is reloaded, replaced and restarted, and its log is rotated", async () => {
    await node.check("mungekey --stage && mungekey --promote");
    await works();
    await node.check("systemctl reload munge && logrotate --force /etc/logrotate.d/munge");
    await works();
    await node.check(`mkdir -p /etc/systemd/system/munge.service.d
printf '[Service]\\nExecReload=\\nExecReload=/usr/sbin/munged --replace $OPTIONS\\n' \\
  >/etc/systemd/system/munge.service.d/replace.conf
systemctl daemon-reload`);
    const main = () => node.check("systemctl show -P MainPID munge");
    const first = await main();
    await node.check("systemctl reload munge");
    await works();
    // It answers a moment before its predecessor is gone, and systemd knows that.
    await node.check(`for i in $(seq 60); do
  test $(pgrep -cx munged) = 1 && test $(systemctl show -P MainPID munge) != ${first} && break
  sleep 1
done`);
    assert.equal(await domain(), DOMAIN);
    assert.notEqual(await main(), first);
    await node.check("systemctl restart munge");
    await works();
    await node.check(
      "ls /var/log/munge/munged.log.1* && grep 'signal 1' /var/log/munge/munged.log",
    );
  });

  test("it is denied nothing in all of this, nor during boot", async () => {
    assert.deepEqual(await denials(), []);
    await node.reboot();
    assert.equal(await node.check("getenforce; systemctl is-active munge"), "Enforcing\nactive");
    await works();
    assert.equal(await domain(), DOMAIN);
    assert.deepEqual(await denials(), []);
  });
});
