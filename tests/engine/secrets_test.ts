// Secrets in munged's memory: one copy of each subkey, and no trace of the key itself, however often the key files
// are read again.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { closeSync, openSync, readFileSync, readSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import { test } from "node:test";
import { BlockingClient } from "../../lib/client/blocking_client.ts";
import { isRoot } from "../harness/programs.ts";
import { Realm } from "../harness/realm.ts";
import { encodeRequest } from "../requests.ts";

const PAGE = 4096;
/** Bits 63 and 62 of a pagemap entry: the page is in memory, or in swap. */
const PRESENT = 3n << 62n;

/** Runs of resident pages of a process, as addresses. */
function* residentRuns(pid: number): Generator<[start: number, length: number]> {
  const map = openSync(`/proc/${pid}/pagemap`, "r");
  try {
    for (const line of readFileSync(`/proc/${pid}/maps`, "latin1").split("\n")) {
      const range = /^([0-9a-f]+)-([0-9a-f]+) r/.exec(line);
      if (range === null || line.includes("[v")) continue;
      const [first, end] = [parseInt(range[1]!, 16) / PAGE, parseInt(range[2]!, 16) / PAGE];
      const entries = new BigUint64Array(1 << 16);
      for (let page = first; page < end; page += entries.length) {
        const count =
          readSync(map, entries, 0, Math.min(entries.length, end - page) * 8, page * 8) / 8;
        for (let i = 0; i < count; i++) {
          let run = 0;
          while (i + run < count && (entries[i + run]! & PRESENT) !== 0n) run++;
          if (run > 0) yield [(page + i) * PAGE, run * PAGE];
          i += run;
        }
      }
    }
  } finally {
    closeSync(map);
  }
}

/** How often each secret occurs in the memory of a process. */
function countInMemory(pid: number, secrets: readonly Uint8Array[]): number[] {
  const counts = secrets.map(() => 0);
  const memory = openSync(`/proc/${pid}/mem`, "r");
  try {
    for (const [start, length] of residentRuns(pid)) {
      const bytes = Buffer.alloc(length);
      try {
        readSync(memory, bytes, 0, length, start);
      } catch {
        continue; // unmapped meanwhile
      }
      secrets.forEach((secret, which) => {
        for (let at = bytes.indexOf(secret); at >= 0; at = bytes.indexOf(secret, at + 1)) {
          counts[which]!++;
        }
      });
    }
  } finally {
    closeSync(memory);
  }
  return counts;
}

test("munged's memory has one copy of each subkey and none of the key, also after SIGHUP", {
  skip: (process.platform !== "linux" || !isRoot) && "needs root on Linux, to read munged's memory",
}, async () => {
  const realm = new Realm();
  try {
    const munged = await realm.start("ours");
    const subkey = (label: string) => createHash("sha1").update(realm.key).update(label).digest();
    const secrets = [subkey("1"), subkey("2"), realm.key.subarray(0, 32)];
    const count = () => countInMemory(munged.process.pid!, secrets);
    assert.deepEqual(count(), [1, 1, 0], "at the start");
    for (let times = 1; times <= 3; times++) {
      munged.process.kill("SIGHUP");
      await pause(300);
      assert.equal(munged.log().match(/Processing signal 1 /g)?.length, times);
      assert.deepEqual(count(), [1, 1, 0], `after SIGHUP ${times}`);
    }
    const client = new BlockingClient(munged.socket);
    for (let i = 0; i < 100; i++) {
      const { credential } = client.encode(encodeRequest());
      assert.equal(client.decode({ credential: credential.slice() }).errno, 0);
    }
    assert.deepEqual(count(), [1, 1, 0], "after requests");
    assert.equal(await munged.stop(), 0);
  } finally {
    await realm.close();
  }
});
