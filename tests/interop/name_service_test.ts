// Users and groups from directory services, through libc's name service; one that hangs delays nothing.
import assert from "node:assert/strict";
import { test } from "node:test";
import { needs, runOurs } from "./sandboxed.ts";

const extraUsers = needs("/usr/share/doc/libnss-extrausers/copyright");

/** carol and her group band are in no file below /etc. */
const DIRECTORY = `
mkdir -p /var/lib/extrausers && mount -t tmpfs none /var/lib/extrausers
echo 'carol:x:2000:2000::/:/bin/sh' >/var/lib/extrausers/passwd
printf 'carol:x:2000:\\nband:x:2001:carol\\n' >/var/lib/extrausers/group
printf 'passwd: files extrausers\\ngroup: files extrausers\\nhosts: files\\n' >/etc/nsswitch.conf
`;

test(
  "users and groups that are not in /etc/passwd and /etc/group resolve",
  extraUsers,
  async () => {
    const { output, whole } = await runOurs(`${DIRECTORY}
start
grep -o 'Found 2 users with supplementary groups' $log
munge --no-input --restrict-uid=carol --restrict-gid=band | as 2000 unmunge --keys=UID_RESTRICTION,GID_RESTRICTION
munge --no-input --uid=carol --gid=band | unmunge --keys=UID,GID
munge --no-input --restrict-gid=band | as 1000 unmunge --no-output || echo $?`);
    assert.deepEqual(output, [
      "Found 2 users with supplementary groups",
      "UID_RESTRICTION: carol (2000)",
      "GID_RESTRICTION: band (2001)",
      "",
      "UID:             carol (2000)",
      "GID:             band (2001)",
      "",
      "18",
    ], whole);
  },
);

test("--trusted-group finds a group of a directory service", extraUsers, async () => {
  const { output, whole } = await runOurs(`${DIRECTORY}
mkdir keys; cp /etc/munge/munge.key keys/key; chmod 600 keys/key; chmod 775 keys; chgrp 2001 keys
munged --key-file=keys/key 2>/dev/null || echo refused
munged --key-file=keys/key --trusted-group=band && echo trusted`);
  assert.deepEqual(output, ["refused", "trusted"], whole);
});

test("names that are not UTF-8 are distinguished, and found by their bytes", needs(), async () => {
  const { output, whole } = await runOurs(`
printf 'j\\366rg:x:3000:3000::/:/bin/sh\nj\\344rg:x:3002:3002::/:/bin/sh\n' >>/etc/passwd
printf 'choir:x:3001:j\\366rg\nband:x:3004:j\\344rg\n' >>/etc/group
start
munge --no-input --restrict-gid=3001 | as 3000 unmunge --numeric --keys=GID_RESTRICTION
munge --no-input --restrict-gid=3001 | as 3002 unmunge --no-output || echo $?
munge --no-input --restrict-gid=3004 | as 3002 unmunge --numeric --keys=GID_RESTRICTION
printf 'ch\\366r:x:3003:\n' >>/etc/group
umlaut=$(printf '\\366')
munge --no-input --uid="j\${umlaut}rg" --gid="ch\${umlaut}r" | unmunge --numeric --keys=UID,GID
munge --no-input --restrict-uid="j\${umlaut}rg" | as 3002 unmunge --no-output || echo $?
remunge --num-creds=1 --restrict-gid="ch\${umlaut}r" --quiet >/dev/null && echo measured
munge --no-input --uid=3000 --gid=3003 | unmunge --keys=UID,GID |
  LC_ALL=C grep -c "  j\${umlaut}rg (3000)$\\|  ch\${umlaut}r (3003)$"
munge --no-input --restrict-uid="j\${umlaut}" || echo $?`);
  assert.deepEqual(output, [
    "GID_RESTRICTION: 3001",
    "",
    "18",
    "GID_RESTRICTION: 3004",
    "",
    "UID:             3000",
    "GID:             3003",
    "",
    "18",
    "measured",
    "2",
    "1",
  ], whole);
});

test(
  "a group whose name service gives it no list of members has none",
  needs("/usr/bin/gcc"),
  async () => {
    const { output, whole } = await runOurs(`
gcc -shared -fPIC -o /mnt/libnss_null.so.2 ${import.meta.dirname}/null_name_service.c
printf 'passwd: files\ngroup: null files\nhosts: files\n' >/etc/nsswitch.conf
LD_LIBRARY_PATH=/mnt getent group | grep null
LD_LIBRARY_PATH=/mnt start
munge --no-input --restrict-gid=staff | as 1000 unmunge --numeric --keys=GID_RESTRICTION | grep GID`);
    assert.deepEqual(output, ["null:x:4000:", "GID_RESTRICTION: 50"], whole);
  },
);

/** Builds the module that hangs; it is not used yet. */
const MODULE = `
gcc -shared -fPIC -o /mnt/libnss_slow.so.2 ${import.meta.dirname}/slow_name_service.c
`;
const HANG = `
printf 'passwd: files slow\\ngroup: files slow\\nhosts: files\\n' >/etc/nsswitch.conf
LD_LIBRARY_PATH=/mnt timeout 1 getent passwd nobody-knows >/dev/null; test $? = 124 && echo hangs
`;

test(
  "a hanging name service delays neither start, requests nor stop",
  needs("/usr/bin/gcc"),
  async () => {
    const { output, whole } = await runOurs(`${MODULE}${HANG}
LD_LIBRARY_PATH=/mnt timeout 20 munged && echo started
for n in 1 2 3; do
  timeout 5 munge --no-input | timeout 5 unmunge --numeric --keys=UID | grep UID
done
grep -c 'Found .* supplementary' $log
munged --stop --verbose && echo stopped`);
    assert.deepEqual(output, [
      "hangs",
      "started",
      ...Array<string>(3).fill("UID:             0"),
      "0",
      "stopped",
    ], whole);
    assert.match(whole, /Terminated daemon/);
  },
);

test("a name service that starts to hang delays no request", needs("/usr/bin/gcc"), async () => {
  const { output, whole } = await runOurs(`${MODULE}
LD_LIBRARY_PATH=/mnt start --group-check-mtime=0
${HANG}
kill -HUP $(cat /run/munge/munged.pid)
sleep 1
munge --no-input --restrict-gid=staff | as 1000 unmunge --numeric --keys=GID_RESTRICTION | grep GID
grep -c 'Found .* supplementary' $log
munged --stop --verbose && echo stopped`);
  assert.deepEqual(output, ["hangs", "GID_RESTRICTION: 50", "1", "stopped"], whole);
  assert.match(whole, /Terminated daemon/);
});
