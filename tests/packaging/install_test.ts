// scripts/install: on a node, below DESTDIR, and as a dry run.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { NO_NODE, onNode } from "./node.ts";
import { underStrictUmask } from "./umask.ts";
import { parseAcl, roleOf } from "../../lib/auks/acl.ts";
import { clientConfig, daemonConfig } from "../../lib/auks/config.ts";
import { parseBlocks } from "../../lib/auks/grammar.ts";
import { MUNGEBOX } from "../harness/programs.ts";

const directory = mkdtempSync(join(tmpdir(), "mungebox-install-"));
after(() => rmSync(directory, { recursive: true }));

function install(args: readonly string[], env: Record<string, string>) {
  return spawnSync("scripts/install", [`--binary=${MUNGEBOX}`, ...args], {
    encoding: "utf8",
    env: { ...process.env, ...env },
  });
}

const files = (root: string) => readdirSync(root, { recursive: true, encoding: "utf8" }).sort();

test("scripts/install --dry-run changes nothing and lists each file", () => {
  const root = join(directory, "dry");
  const { status, stdout } = install(["--dry-run"], { DESTDIR: root });
  assert.equal(status, 0);
  assert.match(stdout, /^ln -sfn \.\.\/bin\/mungebox .*\/usr\/local\/sbin\/munged$/m);
  assert.match(stdout, /^install -m 644 .*\/lib\/systemd\/system\/munge\.service$/m);
  assert.throws(() => files(root), /ENOENT/);
});

test("scripts/install installs below DESTDIR, and --uninstall removes everything again", () => {
  const root = join(directory, "staged");
  assert.equal(underStrictUmask(() => install([], { DESTDIR: root })).status, 0);
  for (const name of ["", ...files(root)]) {
    const { mode } = statSync(join(root, name));
    assert.equal(mode & 0o005, mode & 0o100 ? 0o005 : 0o004, `others can't use /${name}`);
  }
  const munged = join(root, "usr/local/sbin/munged");
  assert.equal(readlinkSync(munged), "../bin/mungebox");
  const { stdout } = spawnSync(munged, ["--version"], { encoding: "utf8" });
  assert.match(stdout, /mungebox/);
  assert.ok(files(root).includes("usr/local/share/man/man8/munged.8"));
  const { status, stderr } = install(["--uninstall"], { DESTDIR: root });
  assert.equal(status, 0, stderr);
  const left = readdirSync(root, { recursive: true, withFileTypes: true });
  assert.deepEqual(left.filter((entry) => !entry.isDirectory()), []);
});

test("scripts/install --auks adds AUKS to an installation, and --uninstall removes only that", () => {
  const root = join(directory, "auks");
  assert.equal(install([], { DESTDIR: root }).status, 0);
  const before = files(root);
  const { status, stderr } = install(["--auks"], { DESTDIR: root });
  assert.equal(status, 0, stderr);
  assert.equal(readlinkSync(join(root, "usr/local/sbin/auksd")), "../bin/mungebox");
  assert.equal(readlinkSync(join(root, "usr/local/bin/auks")), "mungebox");
  const added = new Set(files(root));
  for (
    const name of [
      "etc/auks/auks.acl.example",
      "etc/default/aukspriv",
      "etc/logrotate.d/auks",
      "usr/local/lib/systemd/system/auksdrenewer.service",
      "usr/local/share/man/man5/auks.conf.5",
      "usr/local/share/man/man8/auksd.8",
    ]
  ) {
    assert(added.has(name), name);
  }
  assert.equal(install(["--auks", "--uninstall"], { DESTDIR: root }).status, 0);
  const left = readdirSync(root, { recursive: true, withFileTypes: true });
  const names = left.filter((entry) => !entry.isDirectory()).map((entry) => entry.name);
  assert.deepEqual(names.filter((name) => /auks/.test(name)), []);
  for (const name of before) assert(files(root).includes(name), name);
});

/** What systemd-analyze verify reports about a unit itself. */
function complaints(stderr: string): string[] {
  return stderr.split("\n").filter((line) =>
    line !== "" && !/not executable|graphical|Unit .* not found/.test(line)
  );
}

test("AUKS's units are valid", {
  skip: spawnSync("systemd-analyze", ["--version"]).status !== 0 && "needs systemd",
}, () => {
  const root = join(directory, "auks-units");
  assert.equal(install(["--auks"], { DESTDIR: root }).status, 0);
  for (const name of ["auksd", "auksdrenewer", "aukspriv"]) {
    const unit = join(root, `usr/local/lib/systemd/system/${name}.service`);
    const { stderr } = spawnSync("systemd-analyze", ["verify", "--man=no", unit], {
      encoding: "utf8",
    });
    assert.deepEqual(complaints(stderr), []);
  }
});

test("AUKS's example settings are complete and cause no warning", () => {
  const file = "packaging/auks/auks.conf.example";
  const blocks = parseBlocks(readFileSync(file), file);
  const client = clientConfig(blocks, { file });
  const daemon = daemonConfig(blocks, { file });
  assert.equal(client.primary.host, "mngt");
  assert.equal(daemon.auksd.aclFile, "/etc/auks/auks.acl");
  const acl = parseAcl(readFileSync("packaging/auks/auks.acl.example"), "auks.acl");
  assert.deepEqual([...client.warnings, ...daemon.warnings, ...acl.warnings], []);
  const address = Uint8Array.of(192, 0, 2, 1);
  for (
    const [principal, role] of [
      ["host/mngt.realm.a@REALM.A", "admin"],
      ["host/compute17.realm.a@REALM.A", "admin"],
      ["host/login.realm.a@REALM.A", undefined],
      ["anne-marie.dupont_2@REALM.A", "user"],
      ["bob@REALM.B", undefined],
    ] as const
  ) {
    assert.equal(roleOf(acl, principal, address), role, principal);
  }
});

test("scripts/install leaves the files of another MUNGE alone", () => {
  const root = join(directory, "foreign");
  spawnSync("install", ["-D", "/bin/true", join(root, "usr/local/bin/munge")]);
  const { status, stderr } = install([], { DESTDIR: root });
  assert.equal(status, 1);
  assert.match(stderr, /Error: ".*\/munge" belongs to something else/);
  assert.deepEqual(files(root).filter((name) => name.includes("mungebox")), []);
});

test("scripts/install makes user, directories and key once, and munged starts from there", {
  skip: NO_NODE,
}, () => {
  const output = onNode(
    `
inside apt-get -qq -y --purge remove munge >/dev/null
inside sh -c 'userdel munge || true' >/dev/null
rm -rf $node/etc/munge $node/var/log/munge $node/var/lib/munge
mkdir -p $node/src
cp -r scripts packaging $node/src
mkdir -p $node/src/dist && cp -r dist/share $node/src/dist && cp $binary $node/src/dist/mungebox
inside /src/scripts/install
inside stat -c '%n %a %U %G' /etc/munge /etc/munge/munge.key /run/munge /var/lib/munge /var/log/munge
key=$(sha256sum $node/etc/munge/munge.key)
inside /src/scripts/install
test "$key" = "$(sha256sum $node/etc/munge/munge.key)"
touch $node/victim
rm $node/etc/munge/munge.key
inside setpriv --reuid=munge --regid=munge --clear-groups sh -c '
    while :; do [ -s /etc/munge/munge.key ] && exec ln -sf /victim /etc/munge/munge.key; done' &
inside /src/scripts/install
wait
inside stat -c '%N %U' /etc/munge/munge.key /victim
rm $node/etc/munge/munge.key
inside /src/scripts/install
key=$(sha256sum $node/etc/munge/munge.key)
inside setpriv --reuid=munge --regid=munge --clear-groups munged
inside munge -n -o /tmp/credential
inside unmunge -n -i /tmp/credential
inside mungebox health
inside setpriv --reuid=munge --regid=munge --clear-groups munged --stop
inside /src/scripts/install --uninstall
test "$key" = "$(sha256sum $node/etc/munge/munge.key)"
test ! -e $node/usr/local/sbin/munged
echo all done
`,
    { binary: MUNGEBOX },
  );
  assert.match(output, /^\/etc\/munge 700 munge munge$/m);
  assert.match(output, /^\/etc\/munge\/munge.key 600 munge munge$/m);
  assert.match(output, /^'\/etc\/munge\/munge.key' -> '\/victim' munge$/m, "the link won the race");
  assert.match(output, /^'\/victim' root$/m);
  assert.match(output, /^\/run\/munge 755 munge munge$/m);
  assert.match(output, /^\/var\/lib\/munge 711 munge munge$/m);
  assert.match(output, /^\/var\/log\/munge 700 munge munge$/m);
  assert.match(output, /all done\n$/);
});

test("the systemd units are valid, hardened, and start munged", {
  skip: spawnSync("systemd-analyze", ["--version"]).status !== 0 && "needs systemd",
}, () => {
  for (const [args, type] of [[[], "forking"], [["--notify"], "notify"]] as const) {
    const root = join(directory, type);
    assert.equal(install([...args], { DESTDIR: root }).status, 0);
    const unit = join(root, "usr/local/lib/systemd/system/munge.service");
    const key = join(root, "usr/local/lib/systemd/system/munge-key.service");
    const verified = spawnSync("systemd-analyze", ["verify", "--man=no", unit, key], {
      encoding: "utf8",
    });
    assert.deepEqual(complaints(verified.stderr), []);
    const socket = spawnSync("systemd-analyze", [
      "verify",
      "--man=no",
      unit.replace(/service$/, "socket"),
    ], { encoding: "utf8" });
    assert.deepEqual(complaints(socket.stderr), []);
    const { stdout } = spawnSync("systemd-analyze", [
      "security",
      "--offline=yes",
      "--no-pager",
      unit,
    ], { encoding: "utf8" });
    const level = Number(/exposure level for munge\.service: ([\d.]+)/.exec(stdout)?.[1]);
    assert.ok(level <= 2.5, `exposure level ${level}\n${stdout}`);
  }
});
