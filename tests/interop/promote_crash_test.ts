// mungekey --promote, killed at every system call: what is left is always a valid ring, and the next --promote completes
// the promotion.
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { MUNGEBOX } from "../harness/programs.ts";
import { withDirectory } from "../harness/scratch.ts";

const hasStrace = spawnSync("strace", ["-V"]).status === 0;
const KILLS = 200;
/** System calls that read and change files. */
const CALLS = [
  "openat,read,write,pwrite64,fsync,rename,renameat,renameat2,link,linkat,unlink,unlinkat,fchmod,close",
  "stat,lstat,newfstatat,statx,getdents64",
].join(",").split(",").map((name) => `?${name}`).join(",");

const ACTIVE = new Uint8Array(64).fill(1);
const NEXT = new Uint8Array(64).fill(2);

/** A key file with a staged key beside it. */
function prepare(directory: string): string {
  rmSync(directory, { recursive: true, force: true });
  const keyFile = join(mkdtempSync(`${directory}-`), "munge.key");
  writeFileSync(keyFile, ACTIVE, { mode: 0o600 });
  writeFileSync(`${keyFile}.next`, NEXT, { mode: 0o600 });
  return keyFile;
}

function promote(keyFile: string, wrapper: readonly string[] = []): Promise<number | null> {
  const [command, ...args] = [...wrapper, MUNGEBOX, "mungekey", "-k", keyFile, "--promote"];
  return new Promise((done) =>
    spawn(command!, args, { stdio: "ignore" }).once("exit", (status) => done(status))
  );
}

/** The keys that munged would find: `active next old`, by number, or `-` for none. */
function ring(keyFile: string): string {
  return ["", ".next", ".old"].map((suffix) => {
    if (!existsSync(keyFile + suffix)) return "-";
    const bytes = readFileSync(keyFile + suffix);
    assert.equal(bytes.length, 64, `${keyFile}${suffix} is not whole`);
    return `${bytes[0]}`;
  }).join(" ");
}

const BEFORE = "1 2 -";
/** The active key's copy has no effect. */
const BETWEEN = "1 2 1";
const AFTER = "2 - 1";

test("--promote leaves a valid ring whenever it is killed", { skip: !hasStrace }, async () => {
  await withDirectory(async (directory) => {
    const trace = join(directory, "trace");
    const keyFile = prepare(join(directory, "count"));
    assert.equal(await promote(keyFile, ["strace", "-f", "-o", trace, `--trace=${CALLS}`]), 0);
    assert.equal(ring(keyFile), AFTER);
    const lines = readFileSync(trace, "latin1").split("\n").filter((line) => / \w+\(/.test(line));
    const mine = lines.filter((line) => line.split(" ")[0] === lines[0]!.split(" ")[0]);
    const first = mine.findIndex((line) => line.includes("munge.key"));
    assert(first > 0 && mine.some((line) => line.includes("rename")));

    const names = mine.map((line) => / (\w+)\(/.exec(line)![1]!);
    const seen = new Map<string, number>();
    const killAt = async (index: number) => {
      const at = first + index % (mine.length - first);
      const call = names[at]!;
      const ordinal = names.slice(0, at + 1).filter((name) => name === call).length;
      const keyFile = prepare(join(directory, `run${index}`));
      const kill = `--inject=${call}:signal=KILL:when=${ordinal}`;
      await promote(keyFile, ["strace", "-f", "-o", "/dev/null", `--trace=${CALLS}`, kill]);
      const left = ring(keyFile);
      assert([BEFORE, BETWEEN, AFTER].includes(left), `killed at ${call} ${ordinal}: ${left}`);
      seen.set(left, (seen.get(left) ?? 0) + 1);
      const status = await promote(keyFile);
      assert.equal(status, left === AFTER ? 1 : 0, "there is something to promote, or not");
      assert.equal(ring(keyFile), AFTER);
      const leftovers = readdirSync(join(keyFile, "..")).filter((name) => name.endsWith(".tmp"));
      assert.deepEqual(leftovers, []);
    };
    let next = 0;
    const killInTurn = async () => {
      while (next < KILLS) await killAt(next++);
    };
    await Promise.all(Array.from({ length: availableParallelism() * 2 }, killInTurn));
    assert.deepEqual([...seen.keys()].sort(), [BEFORE, BETWEEN, AFTER].sort());
  });
});
