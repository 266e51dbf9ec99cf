// The container image without an engine: its files, and namespaces laid out as Kubernetes lays them out for a pod.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { MUNGEBOX } from "../harness/programs.ts";

/** Why the image can't run here, or false. */
export const NO_POD: string | false = process.getuid?.() !== 0
  ? "needs root"
  : process.platform === "linux" && process.arch === "x64"
  ? false
  : "needs Linux on x64";

/** Runs a program that must succeed. @returns its output. */
export function succeed(command: string, ...args: string[]): string {
  const { status, stdout, stderr } = spawnSync(command, args, {
    encoding: "utf8",
    timeout: 1_000_000,
    env: { ...process.env, SOURCE_DATE_EPOCH: "1700000000" },
  });
  assert.equal(status, 0, `${command}: ${stdout}${stderr}`);
  return stdout;
}

/** Makes the image in `output`, and leaves its files in `output`/rootfs. @returns its path. */
export function buildImage(output: string): string {
  mkdirSync(output, { recursive: true });
  succeed("scripts/image", `--binary=${MUNGEBOX}`, `--output=${output}`, "--rootfs");
  return join(output, "mungebox-image.tar");
}

/**
 * The functions of a pod's script. `$root` is the container's root directory, read-only but for volumes in memory;
 * `$volume` is the secret as kubelet writes it, mounted read-only at /run/secrets.
 */
const POD = `
set -euo pipefail
mount --bind $root $root
mount -t proc proc $root/proc
mount -t tmpfs tmpfs $root/dev
mknod -m 666 $root/dev/null c 1 3
mkdir -m 1777 $root/dev/shm
mount -t tmpfs -o mode=1777 shm $root/dev/shm
mount -t tmpfs -o mode=1777 tmpfs $root/run/munge
mount -t tmpfs -o mode=1777 tmpfs $root/var/lib/munge
mount -t tmpfs -o mode=1777 tmpfs $volume
mount --bind $volume $root/run/secrets
mount -o remount,bind,ro $root/run/secrets
mount -o remount,bind,ro $root

# Writes the secret as kubelet does: NAME=CONTENT for each file, in a new directory that takes effect by one rename.
secret() {
  local new old=$(readlink $volume/..data || true) file
  new=..$(date +%Y_%m_%d_%H_%M_%S.%N)
  mkdir $volume/$new
  for file; do
    printf %s "\${file#*=}" >$volume/$new/\${file%%=*}
    chown 0:65532 $volume/$new/\${file%%=*}
    chmod 440 $volume/$new/\${file%%=*}
  done
  ln -s $new $volume/..data_tmp
  mv -T $volume/..data_tmp $volume/..data
  for file; do [ -L $volume/\${file%%=*} ] || ln -s ..data/\${file%%=*} $volume/\${file%%=*}; done
  for file in $volume/*; do [ -e $file ] || rm $file; done
  [ -z "$old" ] || rm -r $volume/$old
}

# as UID COMMAND: runs a command in the container.
as() { local user=$1; shift; chroot --userspec=$user:$user --groups= $root "$@"; }

# Starts munged, with its output in $log, and waits until it is healthy; fails if it ends.
start() {
  chroot --userspec=65532:65532 --groups= $root /usr/bin/mungebox container --num-threads=1 "$@" >>$log 2>&1 &
  munged=$!
  until as 65532 /usr/bin/mungebox health 2>/dev/null; do kill -0 $munged 2>/dev/null || return 1; sleep 0.1; done
}

# Waits until the log has a line.
logged() {
  for try in $(seq 600); do ! grep -q "$1" $log || return 0; sleep 0.1; done
  echo "not in the log: $1"; cat $log; return 1
}
`;

/** Runs a bash script in a pod of its own, with the files in `rootfs`. @returns its output. */
export function inPod(rootfs: string, script: string): string {
  const work = mkdtempSync(join(tmpdir(), "mungebox-pod-"));
  try {
    mkdirSync(join(work, "volume"));
    const variables = `root=${rootfs} volume=${work}/volume log=${work}/log\nexec 2>&1\n`;
    const namespaces = ["--mount", "--pid", "--ipc", "--fork", "--kill-child"];
    return succeed(
      "unshare",
      ...namespaces,
      "timeout",
      "280",
      "bash",
      "-c",
      variables + POD + script,
    );
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}
