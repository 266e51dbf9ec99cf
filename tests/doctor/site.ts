// What doctor's tests share: a private munged, ours or the C one, with all its files in one directory, started
// in the background as an administrator would. Site.close() leaves nothing behind.
import assert from "node:assert/strict";
import { spawn, spawnSync, type SpawnSyncOptionsWithStringEncoding } from "node:child_process";
import {
  chmodSync,
  copyFileSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { join, resolve } from "node:path";

export const MUNGEBOX = resolve(process.env["MUNGEBOX"] ?? "dist/mungebox");
export const REFERENCE_MUNGED = "/usr/sbin/munged";

/** How a program ended. */
export interface Outcome {
  readonly status: number | null;
  readonly out: string;
  readonly err: string;
}

/** The fields of doctor --json that tests look at. */
export interface Report {
  readonly verdict: string;
  readonly cause:
    | { readonly check: string; readonly text: string; readonly fix?: string; verdict: string }
    | null;
  readonly fingerprint: string | null;
  readonly checks: readonly { readonly check: string; readonly verdict: string; text: string }[];
  readonly hosts: readonly {
    readonly host: string;
    readonly verdict: string;
    readonly text: string;
    readonly fix?: string;
    readonly skewSeconds?: number;
    readonly fingerprint?: string;
    readonly version?: string;
  }[];
}

/** Puts the executable and its links into `directory`. */
export function installPrograms(directory: string): void {
  mkdirSync(directory, { recursive: true });
  const mungebox = join(directory, "mungebox");
  try {
    linkSync(MUNGEBOX, mungebox);
  } catch {
    copyFileSync(MUNGEBOX, mungebox);
  }
  const { status, stderr } = spawnSync(mungebox, ["--install", directory]);
  assert.equal(status, 0, stderr?.toString());
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
      timeout: 60_000,
      stdio: ["ignore", "ignore", "pipe"],
    });
    assert.equal(status, 0, stderr?.toString());
  }

  /** Starts munged with a clock that differs from the host's. */
  startAt(offset: string, program: string = join(this.bin, "munged")): void {
    const words = ["-f", offset, program, "--foreground", ...this.options];
    spawn("faketime", words, { stdio: "ignore", cwd: "/" });
    const { status, err } = this.shell(
      `for try in $(seq 300); do
         mungebox health --socket=${this.socket} 2>/dev/null && exit; sleep 0.1
       done; exit 1`,
    );
    assert.equal(status, 0, err);
  }

  /** Runs a command with our programs in its path. */
  shell(command: string, options: Partial<SpawnSyncOptionsWithStringEncoding> = {}): Outcome {
    const { status, stdout, stderr } = spawnSync("/bin/sh", ["-c", command], {
      encoding: "utf8",
      timeout: 60_000,
      cwd: "/",
      env: { PATH: `${this.bin}:/usr/sbin:/usr/bin:/sbin:/bin`, LC_ALL: "C" },
      ...options,
    });
    return { status, out: stdout, err: stderr };
  }

  /** Runs doctor on this site with more arguments. */
  doctor(...words: string[]): { status: number | null; report: Report; text: string } {
    const run = (...more: string[]) => {
      const { status, stdout, stderr } = spawnSync(
        join(this.bin, "mungebox"),
        ["doctor", ...more, ...this.options, ...words],
        { encoding: "utf8", timeout: 120_000, cwd: "/" },
      );
      assert(status !== null && status < 3, stderr);
      return { status, out: stdout };
    };
    const json = run("--json");
    return { status: json.status, report: JSON.parse(json.out), text: json.out };
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
