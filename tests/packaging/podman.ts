// Podman, with images and containers of its own that a test removes. It needs no network, and no control groups.
import { existsSync, mkdirSync } from "node:fs";
import { succeed } from "./pod.ts";

/** Why Podman can't run containers here, or false. */
export const NO_PODMAN: string | false = process.getuid?.() !== 0
  ? "needs root"
  : !existsSync("/usr/bin/podman") || !existsSync("/usr/bin/crun")
  ? "needs podman and crun"
  : false;

/** Whether there are control groups that limit memory. */
export const LIMITS_MEMORY: boolean = existsSync("/sys/fs/cgroup/memory/memory.limit_in_bytes") ||
  existsSync("/sys/fs/cgroup/memory.pressure");

/**
 * The functions of a script: `podman`, and `run`, which runs a container. crun refuses to start where version 2 of control
 * groups is mounted beside version 1, as on many test machines.
 */
const PODMAN = `
set -euo pipefail
exec 2>&1
umount /sys/fs/cgroup/unified 2>/dev/null || true
podman() {
  /usr/bin/podman --root $store/root --runroot $store/run --storage-driver vfs --cgroup-manager cgroupfs \\
    --runtime crun "$@"
}
limits="--ulimit nofile=1024:1024 --ulimit nproc=1024:1024"
run() { podman run --rm --cgroups=disabled --network=none $limits "$@"; }
`;

/** Runs a bash script beside Podman, whose files are in `store`. @returns its output. */
export function withPodman(store: string, script: string): string {
  mkdirSync(store, { recursive: true });
  return succeed("unshare", "--mount", "bash", "-c", `store=${store}\n${PODMAN}${script}`);
}
