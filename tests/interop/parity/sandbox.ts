// Runs the commands of a case in their own sandbox and describes the outcome line by line.
import { spawn } from "node:child_process";
import {
  closeSync,
  copyFileSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  type Stats,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

const HERE = import.meta.dirname;
const SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/** Long enough for a case on a busy machine. */
const TIME_LIMIT_MS = 120_000;
/** Directories of the sandbox that a case may change, by their place in its scratch directory. */
const TREES: Readonly<Record<string, string>> = {
  work: "/mnt",
  run: "/run",
  etc: "/etc/munge",
  lib: "/var/lib/munge",
  log: "/var/log/munge",
};
const ETC_FILES = ["passwd", "group", "hosts", "nsswitch.conf"];
const KEY = "The same key for all, and not a secret at all: 64 bytes of text.";

/** What to run, and how. */
export interface Task {
  readonly commands: string;
  readonly network: boolean;
  /** Directory with the programs to use; without it, the reference's. */
  readonly programs?: string | undefined;
  /** A daemon shared by this case and others. */
  readonly daemon?: SharedDaemon | undefined;
}

/** A daemon in a sandbox of its own. */
export interface SharedDaemon {
  /** Its /run, as others see it. */
  readonly run: string;
  end(): Promise<void>;
}

/** Starts a daemon that many cases share. */
export async function startSharedDaemon(programs: string | undefined): Promise<SharedDaemon> {
  const scratch = mkdtempSync(join(tmpdir(), "parity-"));
  const end = new AbortController();
  const commands = "start; touch ready; sleep infinity";
  prepare(scratch, undefined);
  const ended = run(scratch, { commands, network: false, programs }, end.signal)
    .then(() => rmSync(scratch, { recursive: true, force: true }));
  while (!existsSync(join(scratch, "work/ready"))) {
    await Promise.race([
      sleep(20),
      ended.then(() => Promise.reject(new Error("no shared daemon"))),
    ]);
  }
  return {
    run: join(scratch, "run"),
    end() {
      end.abort();
      return ended;
    },
  };
}

/**
 * Runs `task` and describes the outcome: output, status, files with mode, owner and contents, and processes left
 * behind.
 */
export async function runInSandbox(task: Task): Promise<string[]> {
  const scratch = mkdtempSync(join(tmpdir(), "parity-"));
  try {
    prepare(scratch, task.daemon);
    await run(scratch, task, AbortSignal.timeout(TIME_LIMIT_MS));
    return describe(scratch);
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

function prepare(scratch: string, daemon: SharedDaemon | undefined): void {
  for (const tree of Object.keys(TREES)) mkdirSync(join(scratch, tree));
  writeFileSync(join(scratch, "status"), "none: the time limit was reached");
  writeFileSync(join(scratch, "processes"), "");
  mkdirSync(join(scratch, "run/munge"));
  mkdirSync(join(scratch, "shm"));
  writeFileSync(join(scratch, "etc/munge.key"), KEY, { mode: 0o600 });
  for (const name of ETC_FILES) copyFileSync(join(HERE, "etc", name), join(scratch, name));
  const mounts = [
    ...Object.entries(TREES).map(([tree, target]) => [join(scratch, tree), target]),
    ...ETC_FILES.map((name) => [join(scratch, name), `/etc/${name}`]),
    // faketime's files, whose names contain a process ID that other sandboxes use as well
    [join(scratch, "shm"), "/dev/shm"],
    ...(daemon === undefined ? [] : [[daemon.run, "/run"]]),
  ];
  writeFileSync(
    join(scratch, "fstab"),
    mounts.map(([source, target]) => `${source} ${target} none bind 0 0\n`).join(""),
  );
}

function run(
  scratch: string,
  { commands, network, programs }: Task,
  signal: AbortSignal,
): Promise<void> {
  const output = openSync(join(scratch, "stdout"), "w");
  const errors = openSync(join(scratch, "stderr"), "w");
  const child = spawn("setpriv", [
    ...["--pdeathsig", "KILL", "unshare"], // the sandbox ends when we do, for whatever reason
    ...["--mount", "--pid", "--uts", "--fork", "--kill-child", "--mount-proc"],
    ...(network ? ["--net"] : []),
    ...["sh", join(HERE, "sandbox.sh"), scratch, network ? `network; ${commands}` : commands],
  ], {
    stdio: ["ignore", output, errors],
    env: {
      PATH: programs === undefined ? SYSTEM_PATH : `${programs}:${SYSTEM_PATH}`,
      TZ: "UTC",
      LC_ALL: "C",
      FAKE_DAEMON: `${process.execPath} ${join(HERE, "fake_daemon.ts")}`,
    },
    signal,
    killSignal: "SIGKILL",
  });
  closeSync(output);
  closeSync(errors);
  return new Promise((resolve, reject) => {
    child.on("error", (error) => error.name === "AbortError" || reject(error));
    child.on("exit", () => resolve());
  });
}

function describe(scratch: string): string[] {
  const read = (name: string) => readFileSync(join(scratch, name));
  return [
    ...textLines("1", read("stdout")),
    ...textLines("2", read("stderr")),
    `status ${read("status").toString().trim()}`,
    ...Object.entries(TREES).flatMap(([tree, place]) => describeTree(join(scratch, tree), place)),
    ...read("processes").toString().split("\n").filter(Boolean).sort().map((name) =>
      `process ${name}`
    ),
  ];
}

/** Every file below `directory`, which the case saw as `place`. */
function describeTree(directory: string, place: string): string[] {
  const names = readdirSync(directory, { recursive: true, encoding: "utf8" }).sort();
  return names.flatMap((name) => {
    const path = join(directory, name);
    const status = lstatSync(path);
    const shown = place === "/mnt" ? name : join(place, name);
    const mode = (status.mode & 0o7777).toString(8).padStart(4, "0");
    const kind = kindOf(status);
    const target = kind === "link" ? ` -> ${readlinkSync(path)}` : "";
    return [
      `file ${mode} ${status.uid}:${status.gid} ${kind} ${shown}${target}`,
      ...(kind === "regular" ? textLines(shown, readFileSync(path)) : []),
    ];
  });
}

function kindOf(status: Stats): string {
  if (status.isFile()) return "regular";
  if (status.isDirectory()) return "directory";
  if (status.isSymbolicLink()) return "link";
  if (status.isSocket()) return "socket";
  return status.isFIFO() ? "fifo" : "special";
}

const MAX_TEXT_LENGTH = 100_000;

/** The lines of `content`, or its length if it is not text. */
function textLines(name: string, content: Uint8Array): string[] {
  if (content.length === 0) return [];
  // deno-lint-ignore no-control-regex
  const isBinary = /[\x00-\x06\x0e-\x1f\x7f-\xff]/.test(Buffer.from(content).toString("latin1"));
  if (isBinary || content.length > MAX_TEXT_LENGTH) return [`${name}> (${content.length} bytes)`];
  const text = Buffer.from(content).toString("latin1");
  const lines = text.replace(/\n$/, "").split("\n").map((line) =>
    `${name}> ${JSON.stringify(line).slice(1, -1).replaceAll('\\"', '"')}`
  );
  return text.endsWith("\n") ? lines : [...lines, `${name}> (no final newline)`];
}
