// The test command: a table of parts, run in lanes side by side, and a last line that counts all tests.
// As root it installs missing peers (Debian's MUNGE and others). Tests whose peers are missing are skipped with a
// message, or fail when CI=true. A signal ends all parts, with everything they have started.
import { readdirSync } from "node:fs";
import { constants } from "node:os";
import { endAll, run } from "./test_processes.ts";

const IN_CI = process.env["CI"] === "true";
const IS_ROOT = process.getuid?.() === 0;

/** Debian packages that tests need, each with a file that shows it is installed. */
const PEERS: Readonly<Record<string, string>> = {
  "ansible-core": "/usr/bin/ansible-playbook",
  "ansible-lint": "/usr/bin/ansible-lint",
  munge: "/usr/sbin/munged",
  "btrfs-progs": "/usr/sbin/mkfs.btrfs",
  e2fsprogs: "/usr/sbin/mkfs.ext4",
  "libmunge-dev": "/usr/include/munge.h",
  gcc: "/usr/bin/gcc",
  "libc6-dev": "/usr/include/stdio.h",
  faketime: "/usr/bin/faketime",
  iproute2: "/usr/sbin/ip",
  "openssh-client": "/usr/bin/ssh",
  "openssh-server": "/usr/sbin/sshd",
  logrotate: "/usr/sbin/logrotate",
  pamtester: "/usr/bin/pamtester",
  procps: "/usr/bin/pgrep",
  "libnss-extrausers": "/usr/share/doc/libnss-extrausers/copyright",
  slurmctld: "/usr/sbin/slurmctld",
  slurmd: "/usr/sbin/slurmd",
  "slurm-client": "/usr/bin/srun",
  "libslurm-dev": "/usr/include/slurm/spank.h",
  strace: "/usr/bin/strace",
  systemd: "/lib/systemd/systemd",
  openssl: "/usr/bin/openssl",
  sudo: "/usr/bin/sudo",
  prometheus: "/usr/bin/promtool",
  python3: "/usr/bin/python3",
  "redis-sentinel": "/usr/bin/redis-sentinel",
  "redis-server": "/usr/bin/redis-server",
  "redis-tools": "/usr/bin/redis-cli",
  "krb5-kdc": "/usr/sbin/krb5kdc",
  "krb5-admin-server": "/usr/sbin/kadmin.local",
  "krb5-user": "/usr/bin/kinit",
  // Packaging: other systems, package formats, manual pages and completions.
  binutils: "/usr/bin/readelf",
  "binutils-aarch64-linux-gnu": "/usr/bin/aarch64-linux-gnu-as",
  checkpolicy: "/usr/bin/checkmodule",
  crun: "/usr/bin/crun",
  debootstrap: "/usr/sbin/debootstrap",
  fish: "/usr/bin/fish",
  "libkrb5-3:arm64": "/usr/lib/aarch64-linux-gnu/libkrb5.so.3",
  "libc6-arm64-cross": "/usr/aarch64-linux-gnu/lib/libc.so.6",
  mandoc: "/usr/bin/mandoc",
  podman: "/usr/bin/podman",
  "qemu-user-static": "/usr/bin/qemu-aarch64-static",
  "python3-rpm": "/usr/lib/python3/dist-packages/rpm/__init__.py",
  rpm: "/usr/bin/rpmbuild",
  "selinux-policy-default": "/etc/selinux/default/policy/policy.33",
  "selinux-policy-dev": "/usr/share/selinux/devel/Makefile",
  "selinux-utils": "/usr/sbin/matchpathcon",
  "semodule-utils": "/usr/bin/semodule_package",
  setools: "/usr/bin/sesearch",
  zsh: "/usr/bin/zsh",
};

/** More packages, for parts that run only when they are named. */
const MORE_PEERS: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  musl: {
    "g++": "/usr/bin/x86_64-linux-gnu-g++",
    "g++-aarch64-linux-gnu": "/usr/bin/aarch64-linux-gnu-g++",
    "gcc-12-source": "/usr/share/doc/gcc-12-source/copyright",
    make: "/usr/bin/make",
    "musl-dev": "/usr/lib/x86_64-linux-musl/musl-gcc.specs",
    "musl-dev:arm64": "/usr/lib/aarch64-linux-musl/musl-gcc.specs",
    "xz-utils": "/usr/bin/xz",
  },
  vm: {
    mmdebstrap: "/usr/bin/mmdebstrap",
    policycoreutils: "/usr/sbin/setfiles",
    "qemu-system-x86": "/usr/bin/qemu-system-x86_64",
    "qemu-utils": "/usr/bin/qemu-img",
  },
};

/**
 * Lanes run side by side; the parts of a lane run one after the other, in the order of the table. A lane starts when main
 * reaches its first part, so the parts of main that measure come before the first waiting one. The output of main is
 * printed as it comes, that of any other part once it and the part of main beside it have ended.
 */
type Lane =
  | "main"
  /** Parts that mostly wait, for time to pass or for other processes. */
  | "waiting"
  /** Parts that only wait, and so do not even disturb those that measure. */
  | "idle";

interface Part {
  readonly name: string;
  /** Set for a part that takes several minutes by itself, and runs only when it is named. */
  readonly onlyByName?: true;
  /** By default, main. */
  readonly lane?: Lane;
  readonly command: readonly string[];
  /** The runner that prints the counts; a part without one is a single test, decided by its exit status. */
  readonly counts?: "bun" | "node" | "deno";
}

interface Counts {
  passed: number;
  failed: number;
  skipped: number;
}

/** All test files below these folders; they use node:test, which every runtime has. */
function testFiles(...folders: readonly string[]): string[] {
  return folders.flatMap((folder) =>
    readdirSync(folder, { recursive: true, encoding: "utf8" })
      .filter((name) => name.endsWith("_test.ts"))
      .map((name) => `./${folder}/${name}`)
  ).sort();
}

/** How much of a failed part's output is repeated at the end, where it can't be missed; all of it is above. */
const COMPLAINT_LENGTH = 2000;

/** This only ends tests that hang; no test relies on it. Under load, a test of one minute can take ten. */
const TIME_LIMIT_MS = 1_200_000;
const BUN_TEST = ["bun", "test", "--timeout", `${TIME_LIMIT_MS}`];

const PARTS: readonly Part[] = [
  { name: "format", command: ["deno", "fmt", "--check"] },
  { name: "lint", command: ["deno", "lint"] },
  { name: "types", command: ["tsc", "--noEmit"] },
  { name: "build", command: ["bun", "scripts/build.ts"] },
  {
    name: "idle",
    lane: "idle",
    command: [...BUN_TEST, ...testFiles("tests/idle")],
    counts: "bun",
  },
  { name: "engine", command: [...BUN_TEST, ...testFiles("tests/engine")], counts: "bun" },
  {
    name: "auks",
    lane: "waiting",
    command: [...BUN_TEST, ...testFiles("tests/auks")],
    counts: "bun",
  },
  {
    name: "replay store",
    lane: "waiting",
    command: [...BUN_TEST, ...testFiles("tests/replay_store")],
    counts: "bun",
  },
  {
    name: "fleet",
    lane: "waiting",
    command: [...BUN_TEST, ...testFiles("tests/fleet")],
    counts: "bun",
  },
  {
    name: "packaging",
    lane: "waiting",
    command: [...BUN_TEST, ...testFiles("tests/packaging")],
    counts: "bun",
  },
  {
    name: "doctor",
    lane: "waiting",
    command: [...BUN_TEST, ...testFiles("tests/doctor")],
    counts: "bun",
  },
  {
    name: "unit",
    command: [
      ...BUN_TEST,
      ...testFiles(
        "tests/lib",
        "tests/cli",
        "tests/daemon",
        "tests/fuzz",
        "tests/vectors",
        "tests/project",
      ),
    ],
    counts: "bun",
  },
  { name: "fuzz", command: ["scripts/fuzz", "--seconds", "60"] },
  { name: "interop", command: [...BUN_TEST, ...testFiles("tests/interop")], counts: "bun" },
  { name: "places", command: [...BUN_TEST, ...testFiles("tests/places")], counts: "bun" },
  { name: "soak", command: ["scripts/soak", "1"] },
  {
    name: "docs",
    command: [...BUN_TEST, ...testFiles("tests/docs")],
    counts: "bun",
  },
  { name: "build library", command: ["bun", "scripts/build_lib.ts"] },
  { name: "mod (bun)", command: [...BUN_TEST, ...testFiles("tests/mod")], counts: "bun" },
  {
    name: "mod (deno)",
    command: ["deno", "test", "--allow-all", "--no-check", ...testFiles("tests/mod")],
    counts: "deno",
  },
  { name: "build library tests", command: ["bun", "scripts/build_node_tests.ts"] },
  {
    name: "mod (node)",
    command: [
      "node",
      "--test",
      ...testFiles("tests/mod").map((path) =>
        path.replace("./tests/mod/", "dist/node-tests/").replace(/ts$/, "js")
      ),
    ],
    counts: "node",
  },
  { name: "package", command: [...BUN_TEST, ...testFiles("tests/package")], counts: "bun" },
  {
    name: "musl",
    onlyByName: true,
    command: [...BUN_TEST, ...testFiles("tests/musl")],
    counts: "bun",
  },
  {
    name: "vm",
    onlyByName: true,
    command: [...BUN_TEST, ...testFiles("tests/vm")],
    counts: "bun",
  },
];

/** Counts in the closing lines of each runner, the last match of each pattern. */
const PATTERNS: Record<NonNullable<Part["counts"]>, Record<keyof Counts, RegExp>> = {
  bun: { passed: /^\s*(\d+) pass$/gm, failed: /^\s*(\d+) fail$/gm, skipped: /^\s*(\d+) skip$/gm },
  node: {
    passed: /^(?:#|ℹ) pass (\d+)$/gm,
    failed: /^(?:#|ℹ) fail (\d+)$/gm,
    skipped: /^(?:#|ℹ) skipped (\d+)$/gm,
  },
  deno: {
    passed: /(\d+) passed/g,
    failed: /(\d+) failed/g,
    skipped: /(\d+) ignored/g,
  },
};

/** Lines in which Bun reports the result of a test. */
const BUN_VERDICT = /^\((?:pass|fail|skip|todo)\) /;

/** A failed part's output about its first failure, which often causes the others; its last lines if it names none. */
function firstComplaint(part: Part, output: string): string {
  const lines = output.split("\n");
  const failure = part.counts === "bun" ? lines.findIndex((line) => line.startsWith("(fail)")) : -1;
  if (failure < 0) return output.slice(-COMPLAINT_LENGTH);
  const before = lines.slice(0, failure);
  const begin = before.findLastIndex((line) => BUN_VERDICT.test(line)) + 1;
  const complaint = before.slice(begin).join("\n");
  return complaint.length <= COMPLAINT_LENGTH
    ? complaint
    : `${complaint.slice(0, COMPLAINT_LENGTH)}\n[…]`;
}

/** The names of the failed tests, if the part's runner reports them. */
function failures(part: Part, output: string): string[] {
  if (part.counts !== "bun") return [];
  return [...new Set(output.split("\n").filter((line) => line.startsWith("(fail) ")))];
}

/** The counts in a part's last lines. A runner that counts no test, or fails without counting a failure, has failed. */
function countsOf(part: Part, status: number | null, output: string): Counts {
  if (part.counts === undefined) {
    return { passed: status === 0 ? 1 : 0, failed: status === 0 ? 0 : 1, skipped: 0 };
  }
  const patterns = PATTERNS[part.counts];
  const count = (pattern: RegExp) => Number([...output.matchAll(pattern)].at(-1)?.[1] ?? 0);
  const counts = {
    passed: count(patterns.passed),
    failed: count(patterns.failed),
    skipped: count(patterns.skipped),
  };
  if ((status !== 0 || counts.passed + counts.skipped === 0) && counts.failed === 0) {
    counts.failed = 1;
  }
  return counts;
}

/** Installs missing peers if run as root. Returns those that are still missing. */
async function installPeers(): Promise<string[]> {
  const peers = Object.assign({}, PEERS, ...chosen.map((name) => MORE_PEERS[name]));
  const missing = () =>
    Object.entries<string>(peers).filter(([, path]) => !Bun.file(path).size).map(([name]) => name);
  if (missing().length > 0 && IS_ROOT && Bun.which("apt-get") !== null) {
    const quiet = { DEBIAN_FRONTEND: "noninteractive" };
    if (missing().some((name) => name.endsWith(":arm64"))) {
      await run(["dpkg", "--add-architecture", "arm64"]);
    }
    await run(["apt-get", "-qq", "update"], quiet);
    await run(["apt-get", "-qq", "install", "--no-install-recommends", "-y", ...missing()], quiet);
  }
  return missing();
}

const chosen = process.argv.slice(2);
if (chosen.includes("--list")) {
  console.log(PARTS.map(({ name }) => name).join("\n"));
  process.exit(0);
}
const unknown = chosen.filter((name) => !PARTS.some((part) => part.name === name));
if (unknown.length > 0) {
  console.error(`scripts/test: Error: Unknown part "${unknown[0]}" (--list names them)`);
  process.exit(1);
}

const total: Counts = { passed: 0, failed: 0, skipped: 0 };
const missing = await installPeers();
for (const name of missing) {
  console.log(`SKIP: tests that need Debian's ${name}, which is not installed`);
}
if (!IS_ROOT) {
  console.log("SKIP: tests that need root, for other users, mounts, namespaces and limits");
}
if (missing.length > 0 && IN_CI) {
  console.log("In CI, no peer may be missing.");
  total.failed += missing.length;
}
const failed: { part: Part; output: string }[] = [];

/** Output of the other lanes, until it is printed. */
let kept = "";

function printKept(): void {
  process.stdout.write(kept);
  kept = "";
}

/** Runs a part and adds its counts. */
async function runPart(part: Part): Promise<void> {
  const started = performance.now();
  const title = `\n== ${part.name}${part.lane === undefined ? "" : ` (beside others)`}`;
  if (part.lane === undefined) console.log(title);
  const { status, output } = await run(
    part.command,
    {},
    part.lane === undefined ? undefined : () => {},
  );
  const counts = countsOf(part, status, output);
  for (const key of ["passed", "failed", "skipped"] as const) total[key] += counts[key];
  if (counts.failed > 0) failed.push({ part, output });
  const end = `== ${part.name}: ${((performance.now() - started) / 1000).toFixed(1)} s`;
  if (part.lane === undefined) {
    console.log(end);
    printKept();
  } else kept += `${title}\n${output}${end}\n`;
}

for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
  process.once(signal, async () => {
    printKept();
    console.log(`\nEnding all parts because of ${signal}`);
    await endAll();
    process.exit(128 + constants.signals[signal]);
  });
}

const lanes = new Map<Lane, Promise<void>>();
for (const part of PARTS) {
  if (chosen.length > 0 ? !chosen.includes(part.name) : part.onlyByName) continue;
  if (part.lane === undefined) await runPart(part);
  else {
    const before = lanes.get(part.lane) ?? Promise.resolve();
    lanes.set(part.lane, before.then(() => runPart(part)));
  }
}
await Promise.all(lanes.values());
printKept();
for (const { part, output } of failed) {
  console.log(`\n== failed in ${part.name}\n${firstComplaint(part, output)}`);
}
if (failed.length > 0) {
  console.log(`\nFailed: ${failed.map(({ part }) => part.name).join(", ")}`);
  // Only names at the very end, so that the last lines show all of them.
  for (const { part, output } of failed) {
    for (const name of failures(part, output)) console.log(`  ${part.name}: ${name}`);
  }
}
const skipped = total.skipped === 0 ? "" : `, ${total.skipped} skipped`;
console.log(`${total.passed} passed, ${total.failed} failed${skipped}`);
process.exit(total.failed === 0 ? 0 : 1);
