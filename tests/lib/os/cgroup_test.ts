// Where limits of control groups are looked for; tests/places/limits_test.ts runs munged under one.
import assert from "node:assert/strict";
import { test } from "node:test";
import { groupDirectories } from "../../../lib/os/cgroup.ts";

test("groupDirectories() finds the group and all above it, in either version", () => {
  assert.deepEqual(groupDirectories("0::/system.slice/munge.service\n"), [
    "/sys/fs/cgroup/system.slice/munge.service",
    "/sys/fs/cgroup/system.slice",
    "/sys/fs/cgroup",
    "/sys/fs/cgroup/unified/system.slice/munge.service",
    "/sys/fs/cgroup/unified/system.slice",
    "/sys/fs/cgroup/unified",
  ]);
  assert.deepEqual(groupDirectories("9:memory:/a\n8:cpu,pids:/docker/0123:x\n1:name=systemd:/\n"), [
    "/sys/fs/cgroup/pids/docker/0123:x",
    "/sys/fs/cgroup/pids/docker",
    "/sys/fs/cgroup/pids",
  ]);
});

test("groupDirectories() stays below the mount for a group outside the namespace", () => {
  assert.deepEqual(groupDirectories("8:pids:/../../other\n"), [
    "/sys/fs/cgroup/pids/other",
    "/sys/fs/cgroup/pids",
  ]);
});
