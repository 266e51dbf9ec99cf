// Where munged looks for the limits of control groups; tests/places/limits_test.ts and tests/packaging/podman_test.ts run it
// under such limits.
import assert from "node:assert/strict";
import { availableParallelism, totalmem } from "node:os";
import { test } from "node:test";
import { groupDirectories, memoryLimit, processorLimit } from "../../../lib/os/cgroup.ts";

test("groupDirectories() finds the group and all above it, in either version", () => {
  assert.deepEqual(groupDirectories("0::/system.slice/munge.service\n", "pids"), [
    "/sys/fs/cgroup/system.slice/munge.service",
    "/sys/fs/cgroup/system.slice",
    "/sys/fs/cgroup",
    "/sys/fs/cgroup/unified/system.slice/munge.service",
    "/sys/fs/cgroup/unified/system.slice",
    "/sys/fs/cgroup/unified",
  ]);
  assert.deepEqual(
    groupDirectories("9:memory:/a\n8:cpu,pids:/docker/0123:x\n1:name=systemd:/\n", "pids"),
    [
      "/sys/fs/cgroup/pids/docker/0123:x",
      "/sys/fs/cgroup/pids/docker",
      "/sys/fs/cgroup/pids",
    ],
  );
});

test("groupDirectories() stays below the mount for a group outside the namespace", () => {
  assert.deepEqual(groupDirectories("8:pids:/../../other\n", "pids"), [
    "/sys/fs/cgroup/pids/other",
    "/sys/fs/cgroup/pids",
  ]);
});

test("memoryLimit() and processorLimit() are at most what the machine has", () => {
  assert(memoryLimit() > 0 && memoryLimit() <= totalmem());
  assert(processorLimit() > 0 && processorLimit() <= availableParallelism());
});
