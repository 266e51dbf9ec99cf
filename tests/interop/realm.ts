// What the interop tests share: a directory with a key, our daemons and the C ones in it, and the programs of both.
// Realm.close() leaves nothing behind.
import assert from "node:assert/strict";
import {
  type ChildProcess,
  spawn,
  spawnSync,
  type SpawnSyncOptionsWithBufferEncoding,
} from "node:child_process";
import {
  chmodSync,
  copyFileSync,
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { join, resolve } from "node:path";
import { setTimeout as pause } from "node:timers/promises";

/** Whose program: ours, or that of the installed MUNGE. */
export type Make = "ours" | "reference";
export const MAKES: readonly Make[] = ["ours", "reference"];

const MUNGEBOX = resolve(process.env["MUNGEBOX"] ?? "dist/mungebox");
const REFERENCE_MUNGED = "/usr/sbin/munged";
const START_DEADLINE_MS = 30_000;

/** Whether the reference is installed and a C program can be linked with its library. */
export const hasReference = existsSync(REFERENCE_MUNGED) && existsSync("/usr/include/munge.h");
export const isRoot = process.geteuid!() === 0;

/** A running daemon. */
export interface Munged {
  readonly make: Make;
  readonly socket: string;
  readonly process: ChildProcess;
  /** Everything it has written to standard error. */
  log(): string;
  /** Stops it as an administrator would. Returns its exit status. */
  stop(): Promise<number | null>;
}

/** The outcome of a program. */
export interface Outcome {
  readonly status: number | null;
  readonly out: string;
  readonly err: string;
}

/** One security realm: everything in it has the same key. */
export class Realm {
  /** All users may enter it. */
  readonly directory: string = mkdtempSync("/tmp/munge-interop-");
  readonly key: Uint8Array;
  readonly #daemons = new Set<Munged>();
  #count = 0;

  constructor(key: Uint8Array = crypto.getRandomValues(new Uint8Array(128))) {
    this.key = key;
    chmodSync(this.directory, 0o755);
    writeFileSync(join(this.directory, "key"), key, { mode: 0o600 });
    mkdirSync(join(this.directory, "bin"));
    const mungebox = join(this.directory, "bin/mungebox");
    try {
      linkSync(MUNGEBOX, mungebox);
    } catch {
      copyFileSync(MUNGEBOX, mungebox);
    }
    const installed = spawnSync(mungebox, ["--install", join(this.directory, "bin")]);
    assert.equal(installed.status, 0, installed.stderr?.toString());
  }

  /** Path of one of our programs or of a C one. */
  program(make: Make, name: string): string {
    if (make === "ours") return join(this.directory, "bin", name);
    return `/usr/${["munged", "mungekey"].includes(name) ? "sbin" : "bin"}/${name}`;
  }

  /** Runs a program to its end. */
  run(
    make: Make,
    name: string,
    args: readonly string[],
    options: SpawnSyncOptionsWithBufferEncoding = {},
  ): Outcome {
    const { status, stdout, stderr } = spawnSync(this.program(make, name), args, {
      timeout: 60_000,
      maxBuffer: 2 ** 28,
      cwd: "/",
      ...options,
    });
    return { status, out: stdout.toString("latin1"), err: stderr.toString("latin1") };
  }

  /**
   * Starts a daemon and waits until it serves.
   *
   * @param wrapper a command that runs it, such as `faketime @0`, and ends when it does.
   */
  async start(make: Make, args: readonly string[] = [], wrapper: readonly string[] = []) {
    const base = join(this.directory, `${make}-${++this.#count}`);
    mkdirSync(base);
    chmodSync(base, 0o755);
    const socket = join(base, "socket");
    const pidFile = join(base, "pid");
    const [command, ...rest] = [
      ...wrapper,
      this.program(make, "munged"),
      "--foreground",
      `--socket=${socket}`,
      `--key-file=${join(this.directory, "key")}`,
      `--pid-file=${pidFile}`,
      `--seed-file=${join(base, "seed")}`,
      "--origin=127.0.0.1",
      ...args,
    ];
    const child = spawn(command!, rest, { stdio: ["ignore", "ignore", "pipe"], cwd: "/" });
    let log = "";
    let pid = 0;
    child.stderr.setEncoding("latin1").on("data", (text: string) => log += text);
    const ended = new Promise<number | null>((done) =>
      child.once("exit", (status) => done(status))
    );
    const daemon: Munged = {
      make,
      socket,
      process: child,
      log: () => log,
      stop: () => {
        this.#daemons.delete(daemon);
        // Not the child, which may be a wrapper that does not forward the signal.
        if (pid === 0) child.kill("SIGTERM");
        else if (child.exitCode === null && child.signalCode === null) process.kill(pid, "SIGTERM");
        return ended;
      },
    };
    this.#daemons.add(daemon);
    const deadline = performance.now() + START_DEADLINE_MS;
    while (!/Created \d+ work thread/.test(log) || pid === 0) {
      assert(
        child.exitCode === null && performance.now() < deadline,
        `munged did not start:\n${log}`,
      );
      await pause(10);
      if (existsSync(pidFile)) pid = Number(readFileSync(pidFile, "utf8"));
    }
    return daemon;
  }

  /** Stops everything still running and removes all files. */
  async close(): Promise<void> {
    for (const daemon of [...this.#daemons]) await daemon.stop();
    rmSync(this.directory, { recursive: true, force: true });
  }
}

/** Compiles the libmunge client in this folder. Returns its path. */
export function compileProbe(realm: Realm): string {
  const probe = join(realm.directory, "libmunge_probe");
  const source = join(import.meta.dirname, "libmunge_probe.c");
  const flags = ["-std=c11", "-D_GNU_SOURCE", "-O2", "-Wall", "-Wextra", "-Werror"];
  const { status, stderr } = spawnSync("cc", [...flags, "-o", probe, source, "-lmunge"]);
  assert.equal(status, 0, stderr?.toString());
  return probe;
}

/** A request to the libmunge client to encode. */
export interface ProbeEncode {
  readonly cipher: number;
  readonly mac: number;
  readonly zip: number;
  readonly ttl: number;
  readonly uid: number;
  readonly gid: number;
  readonly length: number;
}

/** The answer to an encode: a credential, or the error's text. */
export interface ProbeEncoded {
  readonly errno: number;
  readonly text: string;
}

/** The answer to a decode. */
export interface ProbeDecoded {
  readonly errno: number;
  readonly cipher: number;
  readonly mac: number;
  readonly zip: number;
  readonly ttl: number;
  readonly uid: number;
  readonly gid: number;
  readonly uidRestriction: number;
  readonly gidRestriction: number;
  readonly address: string;
  readonly length: number;
  /** Whether the payload came back unchanged. */
  readonly matches: boolean;
  readonly text: string;
}

/** Runs the libmunge client with many requests. Returns one answer per request. */
function ask(
  probe: string,
  socket: string,
  requests: readonly string[],
  user: { uid?: number; gid?: number },
): string[] {
  const { status, stdout, stderr } = spawnSync(probe, [socket], {
    input: requests.map((request) => `${request}\n`).join(""),
    maxBuffer: 2 ** 29,
    timeout: 300_000,
    cwd: "/",
    ...user,
  });
  assert.equal(status, 0, stderr?.toString());
  const answers = stdout.toString("latin1").split("\n").slice(0, -1);
  assert.equal(answers.length, requests.length);
  return answers;
}

/** Requests credentials through libmunge, as a user with these IDs. */
export function probeEncode(
  probe: string,
  socket: string,
  requests: readonly ProbeEncode[],
  user: { uid?: number; gid?: number } = {},
): ProbeEncoded[] {
  const lines = requests.map(({ cipher, mac, zip, ttl, uid, gid, length }) =>
    `encode ${cipher} ${mac} ${zip} ${ttl} ${uid} ${gid} ${length}`
  );
  return ask(probe, socket, lines, user).map((answer) => {
    const at = answer.indexOf(" ");
    return { errno: Number(answer.slice(0, at)), text: answer.slice(at + 1) };
  });
}

/** Opens credentials through libmunge, as a user with these IDs. */
export function probeDecode(
  probe: string,
  socket: string,
  credentials: readonly string[],
  user: { uid?: number; gid?: number } = {},
): ProbeDecoded[] {
  const lines = credentials.map((credential) => `decode ${credential}`);
  return ask(probe, socket, lines, user).map((answer) => {
    const words = answer.split(" ");
    const [errno, cipher, mac, zip, ttl, uid, gid, uidRestriction, gidRestriction] = words.slice(
      0,
      9,
    ).map(
      Number,
    );
    return {
      errno: errno!,
      cipher: cipher!,
      mac: mac!,
      zip: zip!,
      ttl: ttl!,
      uid: uid!,
      gid: gid!,
      uidRestriction: uidRestriction!,
      gidRestriction: gidRestriction!,
      address: words[9]!,
      length: Number(words[10]),
      matches: words[11] === "1",
      text: words.slice(12).join(" "),
    };
  });
}
