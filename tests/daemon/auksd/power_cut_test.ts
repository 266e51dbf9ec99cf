// A power cut while auksd writes CacheDir: a copy of the disk at a random moment, with only what the system had written to it
// by then, has every acknowledged change.
import assert from "node:assert/strict";
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import {
  closeSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { CacheDirectory } from "../../../daemon/auksd/cache_directory.ts";
import { until } from "../../harness/until.ts";
import { suite } from "../../suite.ts";
import { contentOf, USERS } from "./power_cut_content.ts";

const WRITER = join(import.meta.dirname, "power_cut_writer.ts");
const CUTS = 6;
const VERSIONS_OF_A_RUN = 1_000_000;

/** Commands that make each file system. */
const FILE_SYSTEMS: Readonly<Record<string, readonly string[]>> = {
  ext4: ["mkfs.ext4", "-q"],
  btrfs: ["mkfs.btrfs", "-q", "--mixed"],
};

/** The system itself writes nothing meanwhile, so that only what is flushed is on the disk. */
function mount(image: string, disk: string): boolean {
  return spawnSync("mount", ["-o", "loop,commit=300", image, disk]).status === 0;
}

/** Stops a process, and waits until none of its threads is in the middle of a system call. */
async function freeze(child: ChildProcess): Promise<void> {
  child.kill("SIGSTOP");
  const folder = `/proc/${child.pid}/task`;
  const isStopped = (task: string) => {
    try {
      return /\) T /.test(readFileSync(join(folder, task, "stat"), "utf8"));
    } catch {
      return true; // it has ended
    }
  };
  while (!readdirSync(folder).every(isStopped)) await pause(1);
}

async function kill(child: ChildProcess): Promise<void> {
  const ended = once(child, "exit");
  child.kill("SIGKILL");
  await ended;
}

const NEEDS = { root: process.getuid!() === 0, Linux: process.platform === "linux" };

suite("a power cut", NEEDS, () => {
  for (const [name, [program = "", ...args]] of Object.entries(FILE_SYSTEMS)) {
    test(`${name} has every acknowledged change afterwards`, async (t) => {
      // In memory, where the disk is fast.
      const place = existsSync("/dev/shm") ? "/dev/shm" : tmpdir();
      const directory = mkdtempSync(join(place, "mungebox-power-"));
      const disk = join(directory, "disk");
      const notes = join(directory, "notes");
      let image = join(directory, "image0");
      mkdirSync(disk);
      closeSync(openSync(image, "w"));
      truncateSync(image, 64 << 20);
      let child: ChildProcess | undefined;
      try {
        if (spawnSync(program, [...args, image]).status !== 0 || !mount(image, disk)) {
          return t.skip(`can't mount ${name} here`);
        }
        const cacheDir = join(disk, "cache");
        mkdirSync(cacheDir, { mode: 0o700 });
        spawnSync("sync", ["-f", disk]);
        /** What is in each user's file. */
        const found = new Map<number, number>();
        for (let cut = 1; cut <= CUTS; cut++) {
          const first = cut * VERSIONS_OF_A_RUN + 1;
          rmSync(notes, { force: true });
          child = spawn(process.execPath, [WRITER, cacheDir, notes, String(first)], {
            stdio: "inherit",
          });
          await until("some changes", () => changesIn(notes).length > 2 * USERS);
          await pause(20 + Math.random() * 400);
          await freeze(child);
          const copy = join(directory, `image${cut}`);
          copyFileSync(image, copy);
          await kill(child);
          const acknowledged = new Map<number, number>();
          for (const [uid, version] of changesIn(notes)) acknowledged.set(uid, version);
          assert.equal(spawnSync("umount", [disk]).status, 0);
          rmSync(image);
          image = copy;
          assert(mount(image, disk), "the copy can be mounted");

          const names = new Set(new CacheDirectory(cacheDir, true).names());
          assert.deepEqual(readdirSync(cacheDir).sort(), [...names].sort());
          for (let uid = 0; uid < USERS; uid++) {
            const file = `aukscc_${uid}`;
            const bytes = names.has(file)
              ? new Uint8Array(readFileSync(join(cacheDir, file)))
              : undefined;
            const last = acknowledged.get(uid);
            // The change that was not yet acknowledged may or may not be there.
            const possible = [last ?? found.get(uid) ?? 0, last === undefined ? first : last + 1];
            const version = possible.find((each) => areEqual(contentOf(uid, each), bytes));
            const head = bytes?.subarray(0, 8).join(" ");
            assert(version !== undefined, `cut ${cut}, user ${uid}, not ${possible}: ${head}`);
            found.set(uid, version);
          }
        }
      } finally {
        if (child !== undefined && child.exitCode === null && child.signalCode === null) {
          await kill(child);
        }
        spawnSync("umount", [disk]);
        rmSync(directory, { recursive: true });
      }
    });
  }
});

/** The acknowledged changes that the writer has noted. */
function changesIn(notes: string): (readonly [uid: number, version: number])[] {
  if (!existsSync(notes)) return [];
  return readFileSync(notes, "utf8").split("\n").slice(0, -1).map((line) => {
    const [uid, version] = line.split(" ").map(Number);
    return [uid!, version!] as const;
  });
}

function areEqual(one: Uint8Array | undefined, other: Uint8Array | undefined): boolean {
  if (one === undefined || other === undefined) return one === other;
  return Buffer.compare(one, other) === 0;
}
