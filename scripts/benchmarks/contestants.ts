// The daemons that scripts/bench compares: our munged, the reference's, and the floor, with their files in one directory.
import { mkdtempSync, readFileSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";

/** Our executable. */
export const BOX: string = resolve("dist/mungebox");
/** The reference's programs. */
export const REFERENCE = { munged: "/usr/sbin/munged", remunge: "/usr/bin/remunge" } as const;
/** Threads of each daemon. */
export const THREADS = 2;
/** The directory of all files. */
export const directory: string = mkdtempSync(join(tmpdir(), "munge-bench-"));

/** A daemon under measurement. */
export interface Contestant {
  readonly name: "ours" | "reference" | "floor";
  readonly socket: string;
  readonly pid: number;
}

/** Runs a command to its end. @returns what it prints. @throws {Error} if it fails. */
export function run(command: readonly string[]): string {
  const result = Bun.spawnSync([...command], { stdio: ["ignore", "pipe", "pipe"] });
  if (!result.success) throw new Error(`${command.join(" ")}: ${result.stderr}`);
  return result.stdout.toString();
}

function mungedArguments(name: string, threads = THREADS): string[] {
  const home = join(directory, name);
  return [
    `--socket=${home}.sock`,
    `--key-file=${join(directory, "key")}`,
    `--log-file=${home}.log`,
    `--pid-file=${home}.pid`,
    `--seed-file=${home}.seed`,
    `--num-threads=${threads}`,
    "--force",
  ];
}

/** Starts our munged. @param more options. */
export function startOurs(
  name = "ours",
  threads = THREADS,
  ...more: readonly string[]
): Contestant {
  const replays = `--replay-dir=${join(directory, name)}.replay`;
  run([BOX, "munged", ...mungedArguments(name, threads), replays, ...more]);
  return contestant("ours", name);
}

/** Starts the reference's munged. */
export function startReference(): Contestant {
  run([REFERENCE.munged, ...mungedArguments("reference")]);
  return contestant("reference", "reference");
}

function contestant(name: Contestant["name"], file: string): Contestant {
  const pid = Number(readFileSync(join(directory, `${file}.pid`), "utf8"));
  return { name, socket: join(directory, `${file}.sock`), pid };
}

/** Starts the floor. */
export function startFloor(): Contestant {
  const program = join(directory, "floor");
  run(["cc", "-O2", "scripts/benchmarks/munged_floor.c", "-o", program]);
  const socket = join(directory, "floor.sock");
  const { pid } = Bun.spawn([program, socket], { stdio: ["ignore", "ignore", "ignore"] });
  while (statSync(socket, { throwIfNoEntry: false }) === undefined) Bun.sleepSync(1);
  return { name: "floor", socket, pid };
}
