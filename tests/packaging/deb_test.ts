// The .deb on a node: from the C MUNGE to ours and back.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { NO_NODE, onNode, SYSTEMCTL } from "./node.ts";
import { buildPackage } from "./packages.ts";
import { underStrictUmask } from "./umask.ts";

const directory = mkdtempSync(join(tmpdir(), "mungebox-deb-"));
after(() => rmSync(directory, { recursive: true }));

const sha256 = (path: string) => createHash("sha256").update(readFileSync(path)).digest("hex");

/** What must stay the same; `works` makes and opens a credential as munge's user. */
const FUNCTIONS = `
state() {
  (cd $node && sha256sum etc/munge/munge.key etc/default/munge &&
    stat -c '%n %a %u %g' etc/munge var/lib/munge var/log/munge &&
    stat -c '%n %u %g' etc/munge/munge.key &&
    readlink etc/systemd/system/multi-user.target.wants/munge.service &&
    grep '^munge:' etc/passwd etc/group)
  inside dpkg-query -W -f '\${Package} \${Status}\\n' libmunge2
  test -s $node/lib/systemd/system/munge.service
}
works() {
  inside install -d -o munge -g munge -m 755 /run/munge
  inside setpriv --reuid=munge --regid=munge --clear-groups munged
  inside munge -s works -o /tmp/credential
  inside unmunge -i /tmp/credential | tail -1 && echo
  inside setpriv --reuid=munge --regid=munge --clear-groups munged --stop
}
`;

test("builds of the .deb are identical, whatever the umask", { skip: NO_NODE }, () => {
  const [first, second] = ["first", "second"].map((name) => join(directory, name));
  const again = underStrictUmask(() => buildPackage("deb", second!));
  assert.equal(sha256(buildPackage("deb", first!)), sha256(again));
  rmSync(second!, { recursive: true });
});

test("apt switches a node from the C MUNGE to ours and back", { skip: NO_NODE }, () => {
  const output = onNode(
    `${FUNCTIONS}
inside /etc/init.d/munge stop >/dev/null || true
echo '#OPTIONS=ours' >>$node/etc/default/munge
before=$(state)
test "$(inside munged -V)" != "$(inside munged -V | grep mungebox || true)"
cp $deb $node/tmp/
inside apt-get -y --no-install-recommends install /tmp/$(basename $deb)
echo "ours: $(inside munge -V) $(inside munged -V)"
test "$before" = "$(state)"
inside dpkg-query -W -f 'munge is \${db:Status-Status}\\n' munge
inside mungebox munge -V
works
inside apt-get -y --no-install-recommends install munge
echo "theirs: $(inside munge -V) $(inside munged -V)"
test ! -e $node/usr/bin/mungebox
test "$before" = "$(state)"
works
inside apt-get -y --purge remove mungebox
test "$before" = "$(state)"
echo all done
`,
    { deb: buildPackage("deb", join(directory, "first")) },
  );
  assert.match(output, /^ours: munge-0\.5\.18 \(mungebox .*\) munge-0\.5\.18 \(mungebox .*\)$/m);
  assert.match(output, /^theirs: munge-0\.5\.15 .*\) munge-0\.5\.15 .*\)$/m);
  assert.equal(output.match(/^works$/gm)?.length, 2);
  assert.match(output, /^munge is config-files$/m);
  assert.match(output, /all done\n$/);
});

test("the .deb makes user, directories and key on a node without MUNGE", {
  skip: NO_NODE,
}, () => {
  const output = onNode(
    `${FUNCTIONS}
inside apt-get -qq -y --purge remove munge
inside userdel munge || true
rm -rf $node/etc/munge $node/var/log/munge $node/var/lib/munge
cp $deb $node/tmp/
inside apt-get -y --no-install-recommends install /tmp/$(basename $deb)
inside stat -c '%n %a %U %G' /etc/munge /etc/munge/munge.key /var/lib/munge /var/log/munge
works
inside apt-get -y --purge remove mungebox
ls -d $node/etc/munge || echo all gone
`,
    { deb: buildPackage("deb", join(directory, "first")) },
  );
  assert.match(output, /^\/etc\/munge 700 munge munge$/m);
  assert.match(output, /^\/etc\/munge\/munge.key 600 munge munge$/m);
  assert.match(output, /^\/var\/lib\/munge 711 munge munge$/m);
  assert.match(output, /^\/var\/log\/munge 700 munge munge$/m);
  assert.match(output, /^works$/m);
  assert.match(output, /all gone\n$/);
});

test("the package mungebox-auks adds AUKS to mungebox, and purging it leaves no trace", {
  skip: NO_NODE,
}, () => {
  const output = onNode(
    `
cp $deb $auks $node/tmp/
inside apt-get -y --no-install-recommends install /tmp/$(basename $deb) /tmp/$(basename $auks)
inside readlink -f /usr/sbin/auksd
inside dpkg --verify mungebox-auks
inside auksd -h | grep Usage
echo '#changed' >>$node/etc/default/auksd
inside apt-get -y remove mungebox-auks
ls $node/usr/sbin/auksd || echo removed
tail -1 $node/etc/default/auksd
inside apt-get -y purge mungebox-auks
ls $node/etc/default/auksd || echo purged
inside munge --version
`,
    {
      deb: buildPackage("deb", join(directory, "with-auks")),
      auks: buildPackage("deb", join(directory, "auks"), ["--auks"]),
    },
  );
  assert.match(output, /^\/usr\/bin\/mungebox$/m);
  assert.match(output, /^Usage : auksd /m);
  assert.match(output, /^removed\n#changed$/m);
  assert.match(output, /^purged\nmunge-0\.5\.18 /m);
});

/** Starts a node that never had MUNGE. */
const FRESH = `
inside apt-get -qq -y --purge remove munge >/dev/null
inside sh -c 'userdel munge || true' >/dev/null 2>&1
rm -rf $node/etc/munge $node/var/log/munge $node/var/lib/munge
cp $deb $node/tmp/
install_ours() { inside apt-get -y --no-install-recommends "$@" install /tmp/$(basename $deb); }
`;

const LOST = {
  "is reinstalled": "inside apt-get -y remove mungebox; rm $node/etc/munge/munge.key; install_ours",
  "is installed again": "rm $node/etc/munge/munge.key; install_ours --reinstall",
  "finds an empty one": "truncate -s 0 $node/etc/munge/munge.key; install_ours --reinstall",
  "comes after the C MUNGE has run": `
inside apt-get -y --purge remove mungebox
mkdir -p $node/var/lib/munge
touch $node/var/lib/munge/munged.seed
install_ours`,
  "comes where the service was enabled": `
inside apt-get -y --purge remove mungebox
mkdir -p $node/etc/systemd/system/multi-user.target.wants
ln -s /lib/systemd/system/munge.service $node/etc/systemd/system/multi-user.target.wants/
install_ours`,
};
for (const [when, change] of Object.entries(LOST)) {
  test(`the .deb makes no key in place of a lost one when it ${when}`, { skip: NO_NODE }, () => {
    const output = onNode(
      `${FRESH}
install_ours
test -s $node/etc/munge/munge.key
${change}
test -s $node/etc/munge/munge.key || echo "no key"
inside dpkg-query -W -f 'mungebox is \${db:Status-Status}\\n' mungebox
`,
      { deb: buildPackage("deb", join(directory, "first")) },
    );
    assert.match(output, /MUNGE has been on this host before/);
    assert.match(
      output,
      /^mungebox: Copy the key from another node\. If there is none, make one: mung/m,
    );
    assert.match(output, /no key\nmungebox is installed\n$/);
  });
}

test(
  "installed without /proc, the .deb leaves the key to the first start",
  { skip: NO_NODE },
  () => {
    const output = onNode(
      `${FRESH}
umount $node/proc
install_ours
find $node/etc/munge $node/var/lib/munge -type f
mount -t proc proc $node/proc
inside setpriv --reuid=munge --regid=munge --clear-groups /usr/share/mungebox/first-key --start
stat -c '%n %a %s %U' $node/etc/munge/munge.key
ls $node/var/lib/munge
echo done
`,
      { deb: buildPackage("deb", join(directory, "first")) },
    );
    assert.match(output, /^mungebox: The key will be made at the first start/m);
    assert.match(output, /^\S+\/var\/lib\/munge\/make-key\n\S+\/munge\.key 600 128 \S+\ndone$/m);
    assert.doesNotMatch(output, /panic|crash|bun\.report/i);
  },
);

test("after the C MUNGE was removed, the .deb starts what was enabled, unless the key is gone", {
  skip: NO_NODE,
}, () => {
  const output = onNode(
    `${SYSTEMCTL}
started() { cat $node/run/munge.service.active 2>/dev/null || echo stopped; }
cp $deb $node/tmp/
inside apt-get -y remove munge
started
inside apt-get -y --no-install-recommends install /tmp/$(basename $deb)
started
inside apt-get -y remove mungebox
inside systemctl stop munge.service
rm $node/etc/munge/munge.key
inside apt-get -y --no-install-recommends install /tmp/$(basename $deb)
echo "without key: $(started)"
`,
    { deb: buildPackage("deb", join(directory, "first")) },
  );
  assert.match(output, /^stopped\n[^]*^munge-0\.5\.18 \(mungebox .*\)\n/m);
  assert.match(output, /without key: stopped\n$/);
});

/** Makes a package of Slurm's plugins that is nothing but its name and version. */
const SLURM = `
slurm() {
  mkdir -p $node/tmp/slurm/DEBIAN
  printf '%s\\n' 'Package: slurm-wlm-basic-plugins' "Version: $1" 'Architecture: all' \\
    'Maintainer: nobody <nobody@localhost>' 'Description: stand-in' >$node/tmp/slurm/DEBIAN/control
  dpkg-deb --build $node/tmp/slurm $node/tmp/slurm.deb
}
`;

test("the package mungebox-auks-slurm has the plugin, for the Slurm that it was compiled for", {
  skip: NO_NODE || !existsSync("/usr/include/slurm/spank.h") && "needs libslurm-dev",
}, () => {
  const output = onNode(
    `${SLURM}
cp $deb $auks $plugin $node/tmp/
ours="/tmp/$(basename $deb) /tmp/$(basename $auks) /tmp/$(basename $plugin)"
version=$(dpkg-query -W -f '\${Version}' libslurm-dev)
slurm 99.05
inside apt-get -y --no-install-recommends install $ours /tmp/slurm.deb || echo "no other version"
slurm $version
inside apt-get -y --no-install-recommends install $ours /tmp/slurm.deb
inside dpkg --verify mungebox-auks-slurm
so=$(inside dpkg -L mungebox-auks-slurm | grep auks.so)
echo "plugin $so"
readelf -dW $node$so | grep NEEDED
readelf --dyn-syms -W $node$so | grep -o 'slurm_spank_init$\\|plugin_version$'
cmp $node$so $built
cat $node/etc/slurm/plugstack.conf.d/auks.conf.example
inside apt-get -y purge mungebox-auks-slurm
ls $node$so $node/etc/slurm || echo purged
`,
    {
      deb: buildPackage("deb", join(directory, "first")),
      auks: buildPackage("deb", join(directory, "auks"), ["--auks"]),
      plugin: buildPackage("deb", join(directory, "plugin"), ["--auks-slurm"]),
      built: buildPlugin(),
    },
  );
  assert.match(output, /^no other version$/m);
  assert.match(output, /^plugin \/usr\/lib\/[^/]+\/slurm-wlm\/auks\.so$/m);
  assert.deepEqual(output.match(/\(NEEDED\).*/g)?.map((line) => line.replace(/.*\[/, "")), [
    "libc.so.6]",
  ]);
  assert.match(output, /^slurm_spank_init$/m);
  assert.match(output, /^optional auks\.so default=enabled/m);
  assert.match(output, /purged\n$/);
});

/** The plugin as scripts/build makes it. @returns its path. */
function buildPlugin(): string {
  const output = join(directory, "built");
  const { status, stderr } = spawnSync(process.execPath, [
    "scripts/build.ts",
    "--spank",
    "--output",
    output,
  ], {
    encoding: "utf8",
  });
  assert.equal(status, 0, stderr);
  return join(output, "auks.so");
}
