// The limits of the control groups that this process is in (cgroups(7)), such as a container's: processes (including
// threads), memory and processors. In versions 1 and 2 of the kernel's interface, the files are in different places.
import { readdirSync, readFileSync } from "node:fs";
import { availableParallelism, totalmem } from "node:os";
import { dirname, join } from "node:path";

/** A controller, by its name in both versions. */
type Controller = "cpu" | "memory" | "pids";

/** Where the control groups of each version are mounted; the last one is for hybrid systems. */
const MOUNTS = {
  v1: (controller: Controller) => [`/sys/fs/cgroup/${controller}`],
  v2: () => ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"],
} as const;

/** The tightest limit on the number of processes. */
export interface ProcessLimit {
  /** What the limit allows. */
  readonly limit: number;
  /** How many of these other processes in the group use. */
  readonly used: number;
}

/** The tightest limit on processes in this process's control groups; null if there is none, or none is visible. */
export function processLimit(): ProcessLimit | null {
  let own: number;
  try {
    own = readdirSync("/proc/self/task").length;
  } catch {
    return null; // without /proc, or on another system
  }
  const found = ownDirectories("pids").flatMap((directory) => {
    const limit = readNumber(join(directory, "pids.max"));
    const used = readNumber(join(directory, "pids.current"));
    return limit === null || used === null ? [] : [{ limit, used: Math.max(0, used - own) }];
  });
  if (found.length === 0) return null;
  return found.reduce((tightest, other) =>
    other.limit - other.used < tightest.limit - tightest.used ? other : tightest
  );
}

/** The most memory, in bytes, that the control groups and the machine allow this process. */
export function memoryLimit(): number {
  return Math.min(
    totalmem(),
    ...ownDirectories("memory").flatMap((directory) =>
      ["memory.max", "memory.limit_in_bytes"].map((name) =>
        readNumber(join(directory, name)) ?? Infinity
      )
    ),
  );
}

/** How many processors this process may keep busy: a quota of 150 ms per 100 ms means 1.5. */
export function processorLimit(): number {
  return Math.min(
    availableParallelism(),
    ...ownDirectories("cpu").map((directory) => {
      const [quota, period] = readText(join(directory, "cpu.max"))?.split(" ") ??
        ["cpu.cfs_quota_us", "cpu.cfs_period_us"].map((name) => readText(join(directory, name)));
      const share = Number(quota) / Number(period);
      return share > 0 ? share : Infinity; // no limit: "max", -1, or no such file
    }),
  );
}

/** The directories that may hold this process's limits. */
function ownDirectories(controller: Controller): string[] {
  return groupDirectories(readText("/proc/self/cgroup") ?? "", controller);
}

/**
 * The directories that may hold limits for processes in these groups: those of the group and of all groups above it. The
 * mount's root is always included, because in a container it may be the container's own group, whatever the path says.
 *
 * @param groups contents of /proc/PID/cgroup: lines of number, controllers, path.
 */
export function groupDirectories(groups: string, controller: Controller): string[] {
  const directories: string[] = [];
  for (const line of groups.split("\n")) {
    const [number = "", controllers = "", ...rest] = line.split(":");
    const version = number === "0"
      ? "v2"
      : controllers.split(",").includes(controller)
      ? "v1"
      : null;
    if (version === null) continue;
    for (const mount of MOUNTS[version](controller)) {
      // A group outside the namespace has a path that begins with "/..", which join() drops.
      for (let group = join("/", rest.join(":"));; group = dirname(group)) {
        directories.push(group === "/" ? mount : join(mount, group));
        if (group === "/") break;
      }
    }
  }
  return directories;
}

/** The number in a file; null for "max", or if there is no such file. */
function readNumber(path: string): number | null {
  const text = readText(path) ?? "";
  return /^\d+$/.test(text) ? Number(text) : null;
}

/** The text of a file; null if it is missing, as in the root group, or in a group without the controller. */
function readText(path: string): string | null {
  try {
    return readFileSync(path, "latin1").trim();
  } catch {
    return null;
  }
}
