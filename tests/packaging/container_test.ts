// munged in the image as Kubernetes runs it: an unprivileged user, a read-only root, and its key in a secret. The key stays
// in the secret's mount, and is changed there.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, it } from "node:test";
import { buildImage, inPod, NO_POD } from "./pod.ts";
import { suite } from "../suite.ts";

const A = "A".repeat(64);
const B = "B".repeat(64);

suite("mungebox container", NO_POD, () => {
  let directory: string;
  let rootfs: string;

  before(() => {
    directory = mkdtempSync(join(tmpdir(), "mungebox-container-"));
    buildImage(directory);
    rootfs = join(directory, "rootfs");
  });
  after(() => rmSync(directory, { recursive: true, force: true }));

  it("serves with its key from a secret, and stops at SIGTERM", () => {
    const output = inPod(
      rootfs,
      `
secret munge.key=${A}
start
as 1000 /usr/bin/munge -s works -o /run/munge/credential
as 1001 /usr/bin/unmunge -i /run/munge/credential -N
echo
kill $munged
wait $munged && echo "ended with 0"
as 65532 /usr/bin/mungebox health || echo "sick: $?"
cat $log
`,
    );
    assert.match(output, /^UID: +1000$/m);
    assert.match(output, /^works$/m);
    assert.match(output, /^ended with 0\n.*\nsick: 6$/m);
    assert.match(output, /^munged: Notice: Starting munge-[^]*^munged: Notice: Stopping munge-/m);
  });

  it("keeps its key out of everything that a pod's containers share, killed or not", () => {
    const output = inPod(
      rootfs,
      `
secret munge.key=${A}
shared="$root/dev/shm $root/run/munge $root/var/lib/munge $root/tmp"
for run in 1 2 3; do
  start
  grep -rlF ${A.slice(0, 32)} $shared && exit 1
  kill -9 $munged
  wait $munged || true
  grep -rlF ${A.slice(0, 32)} $shared && exit 1
done
find $root/dev/shm $root/tmp -mindepth 1 | wc -l
`,
    );
    assert.match(output, /^0$/m);
  });

  it("picks up changes of the secret without a restart, all through a rotation", () => {
    const output = inPod(
      rootfs,
      `
secret munge.key=${A}
start --key-rotation-time=3600
as 1000 /usr/bin/munge -n -o /run/munge/first
secret munge.key=${A} munge.key.next=${B}
logged "Keys of .*: active [0-9a-f]*, next [0-9a-f]*$"
secret munge.key=${B} munge.key.old=${A}
logged "Keys of .*: active [0-9a-f]*, old [0-9a-f]* until"
as 1000 /usr/bin/unmunge -n -i /run/munge/first
as 1000 /usr/bin/munge -n -o /run/munge/second
as 1000 /usr/bin/munge -n -o /run/munge/third
secret munge.key=${B}
logged "Keys of .*: active [0-9a-f]*$"
as 1000 /usr/bin/unmunge -n -i /run/munge/second
kill -0 $munged && echo "never restarted"
sed -n 's/.*Keys of the default realm: //p; /Error/p' $log
`,
    );
    assert.match(output, /never restarted/);
    assert.doesNotMatch(output, /Error/);
    const [a, b] = /active (\w+), next (\w+)/.exec(output)!.slice(1);
    assert.notEqual(a, b);
    assert.match(output, new RegExp(`active ${b}, old ${a} until .*\nactive ${b}$`, "m"));
  });

  const refused = [
    ["that its group may write", "chmod 460 $volume/..data/munge.key", /writable by group/],
    [
      "of another user",
      "chown 1000 $volume/..data/munge.key",
      /owned by UID 65532 instead of UID 1000/,
    ],
    [
      "behind another user's link", // In a sticky directory the kernel itself may refuse to follow it.
      "chmod 755 $volume; chown -h 1000 $volume/munge.key",
      /ownership of symbolic link/,
    ],
    [
      "below another user's directory",
      "chown 1000 $volume/$(readlink $volume/..data)",
      /invalid ownership of ".*"/,
    ],
    [
      "on a mount that is not read-only",
      "umount $root/run/secrets; mount --bind $volume $root/run/secrets",
      /munge\.key" can be changed by others: mount it read-only/,
    ],
    ["that is too short", "secret munge.key=short", /Keyfile must be at least 32 bytes/],
    ["that is empty", "secret munge.key=", /Keyfile must be at least 32 bytes/],
    ["that is not there", "rm $volume/munge.key", /no key at "\/run\/secrets\/munge\.key": mount/],
    [
      "that it can't read",
      "chmod 400 $volume/..data/munge.key",
      /UID 65532 can't read the key/,
    ],
  ] as const;
  for (const [what, change, message] of refused) {
    it(`refuses a key ${what}`, () => {
      const output = inPod(
        rootfs,
        `
secret munge.key=${A}
${change}
start || echo refused
cat $log
`,
      );
      assert.match(output, /^refused$/m);
      assert.match(output, message);
    });
  }

  it("applies the strict rules where others might write", () => {
    const output = inPod(
      rootfs,
      `
umount $root/run/secrets
mount --bind $volume $root/run/secrets
printf %s ${A} >$volume/munge.key
chown 65532 $volume/munge.key
chmod 400 $volume/munge.key
start
kill $munged
wait $munged || true
chmod 440 $volume/munge.key
start || cat $log
`,
    );
    assert.match(output, /Keyfile is insecure: ".*" should not be readable or writable by group/);
  });

  it("--make-directories gives munged directories that the node made for root, and no others", () => {
    const output = inPod(
      rootfs,
      `
chmod 755 $root/run/munge $root/var/lib/munge
as 0 /usr/bin/mungebox container --make-directories
stat -c '%n %a %u %g' $root/run/munge $root/var/lib/munge
secret munge.key=${A}
start
as 0 /usr/bin/mungebox container --make-directories && echo again
chown 1000 $root/run/munge
as 0 /usr/bin/mungebox container --make-directories || echo refused
`,
    );
    assert.match(
      output,
      /\/run\/munge 755 65532 65532\n.*\/var\/lib\/munge 711 65532 65532\nagain\n/,
    );
    assert.match(output, /"\/run\/munge" belongs to UID 1000, not to root\nrefused$/m);
  });
});
