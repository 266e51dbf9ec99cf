// A throw-away copy of this machine on which systemd runs as process 1: an overlay on the root directory, in namespaces that
// clean up after it. Changes in it are lost.
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { basename, join, resolve } from "node:path";

const SYSTEMD = "/lib/systemd/systemd";
/** Where the control groups of systemd are, in version 1. */
const HIERARCHY = "/sys/fs/cgroup/systemd";

/** Why systemd can't be booted here, or false. */
export const NO_BOOT: string | false = process.getuid?.() !== 0
  ? "needs root"
  : !existsSync(SYSTEMD)
  ? "needs systemd"
  : !existsSync(join(HIERARCHY, "cgroup.procs"))
  ? "needs control groups of version 1"
  : false;

const BOOT = `set -euo pipefail
root=$work/root
mount -t tmpfs tmpfs $work
mkdir -p $root $work/upper $work/work $work/result
mount -t overlay overlay -o lowerdir=/,upperdir=$work/upper,workdir=$work/work $root
mount -t proc proc $root/proc
mount -t tmpfs tmpfs $root/run
mount -t tmpfs tmpfs $root/tmp
mkdir -p $root$project && mount --rbind $project $root$project
mount --rbind /dev $root/dev
mount -t sysfs -o ro sysfs $root/sys
mount -t tmpfs tmpfs $root/sys/fs/cgroup
mkdir $root/sys/fs/cgroup/systemd
mount -t cgroup -o none,name=systemd cgroup $root/sys/fs/cgroup/systemd
rm -rf $root/etc/systemd/system/*.wants
printf '%s' "$script" >$root/script
cat >$root/etc/systemd/system/script.service <<'UNIT'
[Unit]
DefaultDependencies=no
[Service]
Type=oneshot
TimeoutStartSec=infinity
ExecStart=/bin/bash -c 'exec >/result 2>&1; . /script; echo all done'
ExecStopPost=/bin/systemctl --force --force poweroff
UNIT
: >$root/result
mount --bind $output $root/result
exec chroot $root /usr/bin/env -i container=test PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \\
    ${SYSTEMD} --system --unit=script.service --log-target=null --show-status=0
`;

/**
 * Boots, and runs a bash script as root. In the script, `$project` is this project.
 *
 * @param timeout in milliseconds.
 * @returns its output. @throws {Error} with its output if it fails.
 */
export function onBooted(script: string, timeout = 800_000): string {
  mkdirSync("/var/cache/mungebox-tests", { recursive: true });
  const work = mkdtempSync("/var/cache/mungebox-tests/boot-");
  const group = join(HIERARCHY, basename(work));
  mkdirSync(group);
  try {
    const output = join(work, "output");
    mkdirSync(join(work, "tree"));
    const enter = `: >$output; echo $$ >${group}/cgroup.procs
exec unshare --pid --mount --uts --ipc --cgroup --fork --kill-child bash -c "$boot"`;
    const { stderr } = spawnSync("bash", ["-c", enter], {
      encoding: "utf8",
      timeout,
      killSignal: "SIGKILL",
      env: {
        ...process.env,
        boot: BOOT,
        script: `set -euo pipefail\nproject=${resolve(".")}\n${script}`,
        project: resolve("."),
        work: join(work, "tree"),
        output,
      },
    });
    const result = readFileSync(output, "utf8");
    if (!result.endsWith("all done\n")) throw new Error(`${result}\n${stderr}`);
    return result;
  } finally {
    rmSync(work, { recursive: true, force: true });
    // First those that systemd has made in it.
    spawnSync("find", [group, "-depth", "-type", "d", "-exec", "rmdir", "{}", ";"]);
  }
}
