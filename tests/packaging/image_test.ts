// The container image, made without an engine: its layout, and munged in it as Kubernetes would run it.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { MUNGEBOX } from "../harness/programs.ts";

const directory = mkdtempSync(join(tmpdir(), "mungebox-image-"));
after(() => rmSync(directory, { recursive: true }));

const SKIP = process.getuid?.() !== 0
  ? "needs root"
  : process.platform === "linux" && process.arch === "x64"
  ? false
  : "needs Linux on x64";

function succeed(command: string, ...args: string[]): string {
  const { status, stdout, stderr } = spawnSync(command, args, {
    encoding: "utf8",
    timeout: 120_000,
    env: { ...process.env, SOURCE_DATE_EPOCH: "1700000000" },
  });
  assert.equal(status, 0, `${command}: ${stdout}${stderr}`);
  return stdout;
}

function buildImage(name: string): string {
  const output = join(directory, name);
  succeed("scripts/image", `--binary=${MUNGEBOX}`, `--output=${output}`);
  return join(output, "mungebox-image.tar");
}

interface Descriptor {
  readonly digest: string;
  readonly size: number;
}

/** Path of a blob, after checking its digest and size against the descriptor. */
function blob(layout: string, { digest, size }: Descriptor): string {
  const path = join(layout, "blobs", digest.replace(":", "/"));
  const bytes = readFileSync(path);
  assert.equal(`sha256:${createHash("sha256").update(bytes).digest("hex")}`, digest);
  assert.equal(bytes.length, size);
  return path;
}

const readJson = (path: string) => JSON.parse(readFileSync(path, "utf8"));

/** Runs munged with a secret mounted as by Kubernetes, a read-only root, and volumes in memory. */
const POD = `
set -eu
root=$1
mount --bind $root $root
mount -t proc proc $root/proc
mount -t tmpfs tmpfs $root/dev
mknod -m 666 $root/dev/null c 1 3
mkdir -m 1777 $root/dev/shm
mount -t tmpfs -o mode=1777 tmpfs $root/run/munge
mount -t tmpfs -o mode=1777 tmpfs $root/var/lib/munge
mount -t tmpfs tmpfs $root/run/secrets
mkdir $root/run/secrets/..2026
head -c 128 /dev/urandom >$root/run/secrets/..2026/munge.key
chown 0:65532 $root/run/secrets/..2026/munge.key
chmod 440 $root/run/secrets/..2026/munge.key
ln -s ..2026 $root/run/secrets/..data
ln -s ..data/munge.key $root/run/secrets/munge.key
mount -o remount,bind,ro $root
as() { user=$1; shift; chroot --userspec=$user:$user --groups= $root "$@"; }
as 65532 /usr/bin/mungebox container --num-threads=1 >/log 2>/errors &
for try in $(seq 100); do as 65532 /usr/bin/mungebox health 2>/dev/null && break; sleep 0.1; done
as 65532 /usr/bin/mungebox health && echo healthy
as 1000 /usr/bin/munge -s works -o /run/munge/credential
as 1001 /usr/bin/unmunge -i /run/munge/credential -N
echo
ls -d $root/dev/shm/munge-*/munge.key | wc -l
pid=$(cat $root/run/munge/munged.pid)
kill $pid; kill $pid
wait && echo "ended with 0"
ls $root/dev/shm | wc -l
as 65532 /usr/bin/mungebox health || echo "sick: $?"
cat /log
test ! -s /errors
`;

test("the image is a valid OCI layout, and builds are identical", { skip: SKIP }, () => {
  const image = buildImage("first");
  const again = readFileSync(buildImage("again"));
  assert.ok(readFileSync(image).equals(again));
  const layout = join(directory, "layout");
  mkdirSync(layout);
  succeed("tar", "-xf", image, "-C", layout);
  const manifest = readJson(blob(layout, readJson(join(layout, "index.json")).manifests[0]));
  const config = readJson(blob(layout, manifest.config));
  assert.equal(config.config.User, "65532:65532");
  const layer = blob(layout, manifest.layers[0]);
  const diff = succeed("sh", "-c", `gzip -dc ${layer} | sha256sum`).slice(0, 64);
  assert.deepEqual(config.rootfs.diff_ids, [`sha256:${diff}`]);
  const files = succeed("tar", "-tzf", layer).split("\n");
  assert.deepEqual(files.filter((name) => /^\.\/usr\/bin\/./.test(name)).sort(), [
    "./usr/bin/create-munge-key",
    "./usr/bin/munge",
    "./usr/bin/mungebox",
    "./usr/bin/munged",
    "./usr/bin/mungekey",
    "./usr/bin/remunge",
    "./usr/bin/unmunge",
  ]);
  mkdirSync(join(directory, "rootfs"));
  succeed("tar", "-xzf", layer, "-C", join(directory, "rootfs"));
});

test("munged runs in the image as an unprivileged user, with its key from a secret", {
  skip: SKIP,
}, () => {
  const root = join(directory, "rootfs");
  assert.ok(existsSync(root));
  const script = join(directory, "pod.sh");
  writeFileSync(
    script,
    POD.replaceAll("/log", join(directory, "log")).replaceAll("/errors", join(directory, "errors")),
  );
  const output = succeed(
    "unshare",
    "--mount",
    "--pid",
    "--fork",
    "--kill-child",
    "timeout",
    "60",
    "sh",
    script,
    root,
  );
  assert.match(output, /^healthy$/m);
  assert.match(output, /^UID: +1000$/m);
  assert.match(output, /^works$/m);
  assert.match(output, /^1\nended with 0\n0\nsick: 6$/m);
  assert.match(output, /^munged: Notice: Starting munge-[^]*^munged: Notice: Stopping munge-/m);
});
