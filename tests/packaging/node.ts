// A throw-away Debian node with the C MUNGE installed: an overlay on a root directory that is made once, in mount and
// process namespaces that clean up after it.
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";

const BASE = "/var/cache/mungebox-tests/bookworm-munge";

/** Why nodes are not possible here, or false. */
export const NO_NODE: string | false = process.getuid?.() !== 0
  ? "needs root"
  : !existsSync("/usr/sbin/debootstrap")
  ? "needs debootstrap"
  : false;

function run(command: string, args: readonly string[]): string {
  const result = spawnSync(command, args, {
    encoding: "utf8",
    timeout: 1_000_000,
    env: { ...process.env, DEBIAN_FRONTEND: "noninteractive", LC_ALL: "C.UTF-8" },
  });
  if (result.status !== 0) {
    throw new Error(`${command} failed (${result.status}):\n${result.stdout}\n${result.stderr}`);
  }
  return result.stdout;
}

/** Debian's smallest system with munge, plus munge's packages, for installing them again without a network. */
function makeBase(): void {
  if (existsSync(BASE)) return;
  const unfinished = `${BASE}.${process.pid}`;
  mkdirSync(unfinished, { recursive: true });
  run("debootstrap", [
    "--variant=minbase",
    "--include=adduser,munge",
    "bookworm",
    unfinished,
    "http://deb.debian.org/debian",
  ]);
  run("chroot", [unfinished, "apt-get", "-qq", "update"]);
  run("chroot", [unfinished, "apt-get", "-qq", "-d", "--reinstall", "install", "munge"]);
  renameSync(unfinished, BASE);
}

/** Commands that give a node a stand-in for systemctl, which keeps units' state in files and notes whose munged it starts. */
export const SYSTEMCTL = `mkdir -p $node/run/systemd/system
cat >$node/usr/bin/systemctl <<'END'
#!/bin/sh
now= quiet= words=
for word; do
    case $word in --now) now=yes ;; --quiet) quiet=yes ;; -*) ;; *) words="$words $word" ;; esac
done
set -- $words
verb=$1
shift
wants=/etc/systemd/system/multi-user.target.wants
mkdir -p $wants
for unit; do
    case $verb in
        is-enabled)
            [ -L $wants/$unit ] && state=enabled || state=disabled
            [ $quiet ] || echo $state
            [ $state = enabled ] || exit 1 ;;
        is-active) [ -e /run/$unit.active ] || exit 3 ;;
        enable) ln -sf /usr/lib/systemd/system/$unit $wants/$unit ;;
        disable) rm -f $wants/$unit ;;
    esac
    case $verb$now in
        start | restart | enableyes) munged -V >/run/$unit.active ;;
        stop | disableyes) rm -f /run/$unit.active ;;
        try-restart) [ ! -e /run/$unit.active ] || munged -V >/run/$unit.active ;;
    esac
done
END
chmod 755 $node/usr/bin/systemctl
`;

/**
 * Runs a bash script beside a fresh node. In the script, `$node` is the node's root directory, and `inside COMMAND` runs a
 * command in the node.
 *
 * @returns its output. @throws {Error} with its output if it fails.
 */
export function onNode(script: string, variables: Record<string, string> = {}): string {
  makeBase();
  const work = mkdtempSync("/var/cache/mungebox-tests/node-");
  try {
    for (const name of ["upper", "work", "node"]) mkdirSync(join(work, name));
    const prelude = `set -euo pipefail
exec 2>&1
node=${work}/node
mount -t overlay overlay -o lowerdir=${BASE},upperdir=${work}/upper,workdir=${work}/work $node
mount -t proc proc $node/proc
cp /etc/resolv.conf $node/etc/resolv.conf
inside() { timeout 400 chroot $node "$@"; }
${Object.entries(variables).map(([name, value]) => `${name}=${value}\n`).join("")}`;
    return run("unshare", [
      "--mount",
      "--pid",
      "--uts",
      "--fork",
      "--kill-child",
      "bash",
      "-c",
      prelude + script,
    ]);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}
