// What the interop tests share: a directory with a key, daemons of ours and of the C MUNGE in it, and the programs of
// both. Realm.close() leaves nothing behind.
import {
  type ChildProcess,
  spawnSync,
  type SpawnSyncOptionsWithBufferEncoding,
} from "node:child_process";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { startDaemon } from "./daemon.ts";
import { installPrograms, type Make, type Outcome } from "./programs.ts";

/** A running munged. */
export interface Munged {
  readonly make: Make;
  readonly socket: string;
  readonly process: ChildProcess;
  /** Everything it has written to standard error. */
  log(): string;
  /** Stops it as an administrator would. Returns its exit status. */
  stop(): Promise<number | null>;
}

/** One security realm: everything in it has the same key. */
export class Realm {
  /** All users may enter it. */
  readonly directory: string = mkdtempSync("/tmp/munge-interop-");
  readonly key: Uint8Array;
  /** An empty configuration file for our munged, instead of the system's. */
  readonly configFile: string = join(this.directory, "munge.conf");
  readonly #daemons = new Set<Munged>();
  #count = 0;

  constructor(key: Uint8Array = crypto.getRandomValues(new Uint8Array(128))) {
    this.key = key;
    chmodSync(this.directory, 0o755);
    writeFileSync(join(this.directory, "key"), key, { mode: 0o600 });
    writeFileSync(this.configFile, "");
    installPrograms(join(this.directory, "bin"));
  }

  /** The path of a program, ours or the C one. */
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
      timeout: 300_000,
      maxBuffer: 2 ** 28,
      cwd: "/",
      ...options,
    });
    return { status, out: stdout.toString("latin1"), err: stderr.toString("latin1") };
  }

  /**
   * Starts a daemon and waits until it serves.
   *
   * @param wrapper a command that runs it, such as `env A=1`, and ends when it does.
   */
  async start(make: Make, args: readonly string[] = [], wrapper: readonly string[] = []) {
    const base = join(this.directory, `${make}-${++this.#count}`);
    mkdirSync(base);
    chmodSync(base, 0o755);
    const socket = join(base, "socket");
    const pidFile = join(base, "pid");
    const command = [
      ...wrapper,
      this.program(make, "munged"),
      "--foreground",
      `--socket=${socket}`,
      `--key-file=${join(this.directory, "key")}`,
      `--pid-file=${pidFile}`,
      `--seed-file=${join(base, "seed")}`,
      "--origin=127.0.0.1",
      ...(make === "ours" ? [`--config=${this.configFile}`] : []),
      ...args,
    ];
    let pid = 0;
    const { process: child, log, ended } = await startDaemon(command, (log) => {
      if (existsSync(pidFile)) pid = Number(readFileSync(pidFile, "utf8"));
      return pid > 0 && /Created \d+ work thread/.test(log);
    });
    const daemon: Munged = {
      make,
      socket,
      process: child,
      log,
      stop: () => {
        this.#daemons.delete(daemon);
        // Not the child, which may be a wrapper that does not forward the signal.
        if (child.exitCode === null && child.signalCode === null) process.kill(pid, "SIGTERM");
        return ended;
      },
    };
    this.#daemons.add(daemon);
    return daemon;
  }

  /** Starts our daemon and the C one, with the defaults. */
  async startBoth(): Promise<Readonly<Record<Make, Munged>>> {
    const [ours, reference] = await Promise.all([this.start("ours"), this.start("reference")]);
    return { ours, reference };
  }

  /** Stops everything still running and removes all files. */
  async close(): Promise<void> {
    for (const daemon of [...this.#daemons]) await daemon.stop();
    rmSync(this.directory, { recursive: true, force: true });
  }
}
