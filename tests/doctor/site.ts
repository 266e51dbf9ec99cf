// What doctor's tests share: a private munged, ours or the C one, with all its files in one directory, started
// in the background as an administrator would. Site.close() leaves nothing behind.
import assert from "node:assert/strict";
import { spawn, spawnSync, type SpawnSyncOptionsWithStringEncoding } from "node:child_process";
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { withClockOff } from "../harness/clock.ts";
import { installPrograms, type Outcome } from "../harness/programs.ts";

/** The fields of doctor --json that tests look at. */
export interface Report {
  readonly verdict: string;
  readonly cause:
    | {
      readonly check: string;
      readonly text: string;
      readonly fix?: string;
      readonly advice?: string;
      readonly verdict: string;
    }
    | null;
  readonly fingerprint: string | null;
  readonly checks: readonly {
    readonly check: string;
    readonly verdict: string;
    readonly text: string;
    readonly fix?: string;
  }[];
  readonly hosts: readonly {
    readonly host: string;
    readonly verdict: string;
    readonly text: string;
    readonly fix?: string;
    readonly advice?: string;
    readonly skewSeconds?: number;
    readonly fingerprint?: string;
    readonly version?: string;
  }[];
}

/** A place for munged, running or not. */
export class Site {
  readonly directory: string = mkdtempSync("/tmp/mungebox-doctor-");
  readonly bin: string = join(this.directory, "bin");
  /** munged's own files. */
  readonly state: string = join(this.directory, "state");
  readonly keyDirectory: string = join(this.directory, "etc");
  readonly keyFile: string = join(this.keyDirectory, "munge.key");
  readonly socket: string = join(this.state, "socket");
  readonly log: string = join(this.state, "log");
  /** munged's options. */
  readonly options: readonly string[] = [
    `--socket=${this.socket}`,
    `--key-file=${this.keyFile}`,
    `--seed-file=${join(this.state, "seed")}`,
    `--pid-file=${join(this.state, "pid")}`,
    `--log-file=${this.log}`,
  ];

  constructor() {
    chmodSync(this.directory, 0o755);
    for (const directory of [this.state, this.keyDirectory]) {
      mkdirSync(directory);
      chmodSync(directory, 0o755);
    }
    installPrograms(this.bin);
    this.writeKey();
  }

  /** Puts a new random key in the key file. */
  writeKey(): void {
    writeFileSync(this.keyFile, crypto.getRandomValues(new Uint8Array(128)), { mode: 0o600 });
  }

  /** Starts munged and waits until it serves. */
  start(program: string = join(this.bin, "munged")): void {
    const { status, stderr } = spawnSync(program, this.options, {
      timeout: 300_000,
      stdio: ["ignore", "ignore", "pipe"],
    });
    assert.equal(status, 0, stderr?.toString());
  }

  /** Starts munged with a clock that differs from the host's by some seconds. */
  startAt(seconds: number, program: string = join(this.bin, "munged")): void {
    const words = [...withClockOff(seconds), program, "--foreground", ...this.options];
    // The shell learns at once when munged ends; this process is busy with the commands of the test.
    spawn("sh", ["-c", '"$@"; exit', "sh", ...words], { stdio: "ignore", cwd: "/" });
    const { status, err } = this.shell(
      `for try in $(seq 1200); do
         mungebox health --socket=${this.socket} 2>/dev/null && exit; sleep 0.1
       done; exit 1`,
    );
    assert.equal(status, 0, err);
  }

  /** Runs a command with our programs in its path. */
  shell(command: string, options: Partial<SpawnSyncOptionsWithStringEncoding> = {}): Outcome {
    const { status, stdout, stderr } = spawnSync("/bin/sh", ["-c", command], {
      encoding: "utf8",
      timeout: 300_000,
      cwd: "/",
      env: { PATH: `${this.bin}:/usr/sbin:/usr/bin:/sbin:/bin`, LC_ALL: "C" },
      ...options,
    });
    return { status, out: stdout, err: stderr };
  }

  /** Runs doctor on this site with more arguments. */
  doctor(...words: string[]): { status: number | null; report: Report } {
    return this.doctorIn([], ...words);
  }

  /** Runs doctor through another program, such as `unshare`. */
  doctorIn(
    wrapper: readonly string[],
    ...words: string[]
  ): { status: number | null; report: Report } {
    const [program = "", ...args] = [
      ...wrapper,
      join(this.bin, "mungebox"),
      "doctor",
      "--json",
      ...this.options,
      ...words,
    ];
    const { status, stdout, stderr } = spawnSync(program, args, {
      encoding: "utf8",
      timeout: 300_000,
      cwd: "/",
    });
    assert(status !== null && status < 3, stderr);
    return { status, report: JSON.parse(stdout) };
  }

  /**
   * Runs a command that doctor prints, where it can do no harm: only this site can be written to. It must not
   * touch a process of its own process group, or files that don't belong to munged.
   */
  runFix(command: string): Outcome {
    const bystander = join(this.directory, "bystander");
    mkdirSync(join(bystander, "files"), { recursive: true });
    writeFileSync(join(bystander, "files/data"), "not munged's", { mode: 0o666 });
    const describe = () =>
      spawnSync("find", [bystander, "-printf", "%p %m %u %g %s %T@\\n"], { encoding: "utf8" })
        .stdout;
    const before = describe();
    const script = `
      sleep 100 & sentinel=$!
      sh -c "$1"
      status=$?
      kill -0 $sentinel || { echo "the process beside it is gone" >&2; exit 99; }
      kill $sentinel
      exit $status`;
    const readOnly = `
      mount --bind "$2" "$2" && mount -o remount,bind,ro / && exec setsid --wait sh -c "$0" - "$1"`;
    const args = process.geteuid!() === 0
      ? ["unshare", "--mount", "sh", "-c", readOnly, script, command, this.directory]
      : ["setsid", "--wait", "sh", "-c", script, "-", command];
    const { status, stdout, stderr } = spawnSync(args[0]!, args.slice(1), {
      encoding: "utf8",
      timeout: 300_000,
      cwd: "/",
      env: { PATH: `${this.bin}:/usr/sbin:/usr/bin:/sbin:/bin`, LC_ALL: "C" },
    });
    assert.equal(describe(), before, command);
    return { status, out: stdout, err: stderr };
  }

  /** Stops munged, however it was started. */
  stop(): void {
    this.shell(`munged --stop --socket=${this.socket}`);
  }

  /** Stops munged and removes everything. */
  close(): void {
    this.stop();
    rmSync(this.directory, { recursive: true, force: true });
  }
}
