// The limits on processes (threads included) of the control groups that this process is in (cgroups(7)), a container's
// among them. Versions 1 and 2 of the kernel's interface differ in where the files are.
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";

/** Where the control groups of each version are mounted; the second is that of a mixed system. */
const MOUNTS = {
  v1: ["/sys/fs/cgroup/pids"],
  v2: ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"],
} as const;

/** The tightest of the limits on a process. */
export interface ProcessLimit {
  /** What the limit allows. */
  readonly limit: number;
  /** What others in the group use of it. */
  readonly used: number;
}

/** The tightest limit on the processes of this process's control groups; null if there is none, or none to see. */
export function processLimit(): ProcessLimit | null {
  if (process.platform !== "linux") return null;
  let groups: string;
  let own: number;
  try {
    groups = readFileSync("/proc/self/cgroup", "latin1");
    own = readdirSync("/proc/self/task").length;
  } catch {
    return null; // without /proc
  }
  const found = groupDirectories(groups).flatMap((directory) => {
    const limit = readNumber(join(directory, "pids.max"));
    const used = readNumber(join(directory, "pids.current"));
    return limit === null || used === null ? [] : [{ limit, used: Math.max(0, used - own) }];
  });
  if (found.length === 0) return null;
  return found.reduce((tightest, other) =>
    other.limit - other.used < tightest.limit - tightest.used ? other : tightest
  );
}

/**
 * The directories that may hold limits for processes in these groups: those of the group and of all above it. In a
 * container, the mount may begin with the container's own group, whatever the group's path; it is one of them, too.
 *
 * @param groups contents of /proc/PID/cgroup: lines of number, controllers, path.
 */
export function groupDirectories(groups: string): string[] {
  const directories: string[] = [];
  for (const line of groups.trim().split("\n")) {
    const [number = "", controllers = "", ...rest] = line.split(":");
    const version = number === "0" ? "v2" : controllers.split(",").includes("pids") ? "v1" : null;
    if (version === null) continue;
    for (const mount of MOUNTS[version]) {
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
  try {
    const text = readFileSync(path, "latin1").trim();
    return /^\d+$/.test(text) ? Number(text) : null;
  } catch {
    return null; // the root group has no limits, and other groups may lack the controller
  }
}
