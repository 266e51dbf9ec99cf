// The .rpm on a node: in place of a package like Fedora's, whose scripts run after ours, and by itself. The node is Debian's,
// since rpm and the scripts are the same there; its systemctl is a stand-in.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { NO_NODE, onNode, SYSTEMCTL } from "./node.ts";
import { buildPackage } from "./packages.ts";

const directory = mkdtempSync(join(tmpdir(), "mungebox-rpm-"));
after(() => rmSync(directory, { recursive: true }));

const NO_RPM = spawnSync("rpmbuild", ["--version"]).status !== 0 && "needs rpmbuild";

/** A package like Fedora's munge: its files, the owner of its key, and what its scripts do with the service. */
const THEIRS = `
Name: munge
Version: 0.5.15
Release: 1
Summary: stand-in
License: GPL
BuildArch: noarch
%description
stand-in
%install
mkdir -p %{buildroot}/usr/sbin %{buildroot}/usr/lib/systemd/system %{buildroot}/etc/sysconfig \\
    %{buildroot}/etc/logrotate.d %{buildroot}/etc/munge %{buildroot}/var/lib/munge %{buildroot}/var/log/munge
printf '#!/bin/sh\\necho theirs\\n' >%{buildroot}/usr/sbin/munged
echo '[Service]' >%{buildroot}/usr/lib/systemd/system/munge.service
echo '# theirs' | tee %{buildroot}/etc/sysconfig/munge >%{buildroot}/etc/logrotate.d/munge
touch %{buildroot}/etc/munge/munge.key
%pre
getent group munge >/dev/null || groupadd -r munge
getent passwd munge >/dev/null || useradd -r -g munge -d /run/munge -s /sbin/nologin munge
exit 0
%post
if [ $1 -eq 1 ]; then systemctl --no-reload preset munge.service || :; fi
%preun
if [ $1 -eq 0 ]; then systemctl --no-reload disable --now munge.service || :; fi
%postun
if [ $1 -ge 1 ]; then systemctl try-restart munge.service || :; fi
%files
%attr(0755,root,root) /usr/sbin/munged
/usr/lib/systemd/system/munge.service
%config(noreplace) /etc/sysconfig/munge
%config(noreplace) /etc/logrotate.d/munge
%attr(0700,munge,munge) %dir /etc/munge
%attr(0600,munge,munge) %config(noreplace) %ghost /etc/munge/munge.key
%attr(0711,munge,munge) %dir /var/lib/munge
%attr(0700,munge,munge) %dir /var/log/munge
`;

/** A package like Fedora's auks, as far as ours replaces it. */
const THEIR_AUKS = `
Name: auks
Version: 0.5.4
Release: 1
Summary: stand-in
License: CeCILL-C
BuildArch: noarch
%description
stand-in
%install
mkdir -p %{buildroot}/usr/lib/systemd/system %{buildroot}/etc/auks
echo '[Service]' >%{buildroot}/usr/lib/systemd/system/aukspriv.service
echo '# theirs' >%{buildroot}/etc/auks/auks.conf
%preun
if [ $1 -eq 0 ]; then systemctl --no-reload disable --now aukspriv.service || :; fi
%files
/usr/lib/systemd/system/aukspriv.service
%config(noreplace) /etc/auks/auks.conf
`;

/** Builds a stand-in from its specification. @returns its path. */
function standIn(name: string, specification: string): string {
  const output = join(directory, "theirs");
  const path = join(output, `${name}.rpm`);
  if (existsSync(path)) return path;
  mkdirSync(output, { recursive: true });
  writeFileSync(join(output, `${name}.spec`), specification);
  const defines = [`_topdir ${output}`, `_rpmdir ${output}`, `_rpmfilename ${name}.rpm`];
  const args = ["-bb", "--quiet", ...defines.flatMap((define) => ["--define", define])];
  const { status, stderr } = spawnSync("rpmbuild", [...args, join(output, `${name}.spec`)], {
    encoding: "utf8",
  });
  assert.equal(status, 0, stderr);
  return path;
}

/** A node without MUNGE, whose systemctl keeps units' state in files and notes whose munged it starts. */
const NODE = `
inside apt-get -qq -y --purge remove munge >/dev/null
inside sh -c 'userdel munge || true' >/dev/null 2>&1
rm -rf $node/etc/munge $node/var/log/munge $node/var/lib/munge
mkdir -p $node/etc/sysconfig $node/usr/lib/systemd/system
${SYSTEMCTL}node_rpm() { timeout 400 rpm --root $node --nodeps --noplugins "$@"; }
state() {
    inside stat -c '%n %a %U' /etc/munge/munge.key /etc/munge /var/log/munge
    cat $node/etc/sysconfig/munge
    inside systemctl is-enabled munge.service || true
    cat $node/run/munge.service.active 2>/dev/null || echo stopped
    find $node/etc $node/var/lib/rpm-state -name '*.rpmsave' -o -path '*rpm-state/*'
}
# In one transaction, as dnf does it.
swap() {
    /usr/bin/python3 - $node "$1" "$2" <<'END'
import os, sys, rpm
root, new, old = sys.argv[1:]
transaction = rpm.TransactionSet(root)
transaction.setVSFlags(-1)
transaction.setProbFilter(rpm.RPMPROB_FILTER_REPLACEOLDFILES | rpm.RPMPROB_FILTER_REPLACENEWFILES)
file = os.open(new, os.O_RDONLY)
transaction.addInstall(transaction.hdrFromFdno(file), new, "i")
transaction.addErase(old)
transaction.order()
opened = {}
def callback(reason, amount, total, key, data):
    if reason == rpm.RPMCALLBACK_INST_OPEN_FILE:
        opened[key] = os.open(key, os.O_RDONLY)
        return opened[key]
    if reason == rpm.RPMCALLBACK_INST_CLOSE_FILE:
        os.close(opened[key])
problems = transaction.run(callback, "")
sys.exit(f"{problems}" if problems else 0)
END
}
key() { printf %064d $1 >$node/etc/munge/munge.key; chown munge:munge $node/etc/munge/munge.key; }
use_theirs() {
    node_rpm -i $theirs
    inside sh -c 'printf %064d 7 >/etc/munge/munge.key; chown munge:munge /etc/munge/munge.key; chmod 600 /etc/munge/munge.key'
    echo OPTIONS=mine >>$node/etc/sysconfig/munge
}
`;

const skip = NO_NODE || NO_RPM;
const onRpmNode = (script: string) =>
  onNode(NODE + script, {
    ours: buildPackage("rpm", join(directory, "ours")),
    theirs: standIn("munge", THEIRS),
  });

const KEPT = "/etc/munge/munge.key 600 munge\n/etc/munge 700 munge\n/var/log/munge 700 munge\n" +
  "# theirs\nOPTIONS=mine\n";

test(
  "in place of the C MUNGE in one transaction, the .rpm keeps key, settings and a running service",
  {
    skip,
  },
  () => {
    const output = onRpmNode(`
use_theirs
inside systemctl enable --now munge.service
cat $node/run/munge.service.active
swap $ours munge
echo "== after"
state
grep -c 0007 $node/etc/munge/munge.key
`);
    const [before, after] = output.split("== after\n");
    assert.match(before!, /^theirs$/m);
    assert(after!.startsWith(`${KEPT}enabled\nmunge-0.5.18 (mungebox`), after);
    assert.match(after!, /\)\n1\n$/);
  },
);

test(
  "in place of a C MUNGE that was disabled, the .rpm leaves the service disabled",
  { skip },
  () => {
    const output = onRpmNode(`
use_theirs
swap $ours munge
echo "== after"
state
`);
    assert.equal(
      output.split("== after\n")[1],
      `${KEPT}disabled\nstopped\n`,
    );
  },
);

test("after the C MUNGE was erased, the .rpm starts what had run", { skip }, () => {
  const output = onRpmNode(`
use_theirs
inside systemctl enable --now munge.service
touch $node/var/lib/munge/munged.seed
node_rpm -e munge
test ! -e $node/run/munge.service.active
echo "== erased"
ls $node/etc/munge $node/etc/sysconfig
node_rpm -i $ours
echo "== after"
state
`);
  const after = output.split("== after\n")[1]!;
  assert(after.startsWith(`${KEPT}enabled\nmunge-0.5.18 (mungebox`), after);
});

test("the .rpm makes a key on a fresh node, and none in place of a lost one", { skip }, () => {
  const output = onRpmNode(`
node_rpm -i $ours
state
rm $node/etc/munge/munge.key
inside systemctl enable munge.service
node_rpm -U --replacepkgs $ours
ls $node/etc/munge/munge.key || echo "no key"
`);
  assert.match(output, /^\/etc\/munge\/munge\.key 600 munge\n\/etc\/munge 700 munge$/m);
  assert.match(output, /^mungebox: Copy the key from another node/m);
  assert.match(output, /no key\n$/);
});

test("an upgrade of the .rpm keeps settings, key and service", { skip }, () => {
  const output = onRpmNode(`
node_rpm -i $ours
inside systemctl enable --now munge.service
echo OPTIONS=mine >$node/etc/sysconfig/munge
before=$(state; sha256sum $node/etc/munge/munge.key)
node_rpm -U --replacepkgs $ours
test "$before" = "$(state; sha256sum $node/etc/munge/munge.key)" && echo same
node_rpm -e mungebox
ls $node/etc/systemd/system/multi-user.target.wants $node/run/munge.service.active || echo stopped
`);
  assert.match(output, /^same$/m);
  assert.match(output, /stopped\n$/);
});

test(
  "installed below another root without /proc and /dev, the .rpm leaves the key to the first start",
  {
    skip,
  },
  () => {
    const output = onRpmNode(`
umount $node/proc
rm -rf $node/dev/*
node_rpm -i $ours
echo "status $?"
find $node/etc/munge $node/var/lib/munge -type f
`);
    assert.match(output, /^mungebox: The key will be made at the first start/m);
    assert.match(output, /^status 0\n\S+\/var\/lib\/munge\/make-key\n$/m);
    assert.doesNotMatch(output, /panic|crash|bun\.report/i);
  },
);

test(
  "in place of the C AUKS in one transaction, the .rpm keeps configuration and running services",
  {
    skip,
  },
  () => {
    const output = onNode(
      `${NODE}
node_rpm -i $theirs
echo 'primaryhost = mine' >>$node/etc/auks/auks.conf
printf '#!/bin/sh\\necho ours\\n' >$node/usr/sbin/munged
chmod 755 $node/usr/sbin/munged
inside systemctl enable --now aukspriv.service
swap $auks auks
ls $node/etc/auks
tail -n 1 $node/etc/auks/auks.conf
inside systemctl --quiet is-enabled aukspriv.service && cat $node/run/aukspriv.service.active
inside systemctl --quiet is-enabled auksd.service || echo "auksd is not"
`,
      {
        auks: buildPackage("rpm", join(directory, "auks-rpm"), ["--auks"]),
        theirs: standIn("auks", THEIR_AUKS),
      },
    );
    assert.match(
      output,
      /^auks\.acl\.example\nauks\.conf\nauks\.conf\.example\nprimaryhost = mine\nours\n/m,
    );
    assert.match(output, /auksd is not\n$/);
  },
);

test("the .rpm of AUKS has its files, and an upgrade keeps settings", { skip: NO_RPM }, () => {
  const rpm = buildPackage("rpm", join(directory, "auks-rpm"), ["--auks"]);
  const query = (...args: string[]) =>
    spawnSync("rpm", ["-qp", ...args, rpm], { encoding: "utf8" }).stdout;
  assert.match(query("-l"), /^\/usr\/sbin\/aukspriv$/m);
  assert.doesNotMatch(query("-l"), /mungebox$/m);
  assert.match(query("-c"), /^\/etc\/sysconfig\/aukspriv$/m);
  assert.match(query("--requires"), /^mungebox = /m);
});

test("the .rpm installs our files and no others", { skip: NO_RPM }, () => {
  const rpm = buildPackage("rpm", join(directory, "rpm"));
  const query = (...args: string[]) =>
    spawnSync("rpm", ["-qp", ...args, rpm], { encoding: "utf8" });
  assert.match(query("-l").stdout, /^\/usr\/sbin\/create-munge-key$/m);
  assert.match(query("-l").stdout, /^\/usr\/lib\/systemd\/system\/munge\.service$/m);
  assert.doesNotMatch(query("-l").stdout, /^\/(etc|var|run)\//m);
  assert.match(query("--provides").stdout, /^munge = 0\.5\.18$/m);
});

test("the .rpm of Slurm's plugin needs the Slurm that it was compiled for, and no libkrb5", {
  skip: NO_RPM || !existsSync("/usr/include/slurm/spank.h") && "needs libslurm-dev",
}, () => {
  const rpm = buildPackage("rpm", join(directory, "plugin"), ["--auks-slurm"]);
  const query = (...args: string[]) =>
    spawnSync("rpm", ["-qp", ...args, rpm], { encoding: "utf8" }).stdout;
  assert.match(query("-l"), /^\/usr\/lib64\/slurm\/auks\.so$/m);
  assert.match(query("-l"), /^\/etc\/slurm\/plugstack\.conf\.d\/auks\.conf\.example$/m);
  const requires = query("--requires");
  assert.match(requires, /^mungebox-auks = /m);
  const header = readFileSync("/usr/include/slurm/slurm_version.h", "latin1");
  const number = Number(/SLURM_VERSION_NUMBER (\w+)/.exec(header)![1]);
  const version = (minor: number) => `${number >> 16}.${String(minor).padStart(2, "0")}`;
  const minor = (number >> 8) & 255;
  assert(
    requires.includes(`slurm >= ${version(minor)}\nslurm < ${version(minor + 1)}\n`),
    requires,
  );
  assert.doesNotMatch(requires, /krb5/);
});
