// Secrets in munged's memory: one copy of each subkey, and no trace of the key itself, however often the key files
// are read again.
import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { isDeepStrictEqual } from "node:util";
import { BlockingClient } from "../../lib/client/blocking_client.ts";
import { findInMemory } from "../harness/memory_search.ts";
import { isRoot } from "../harness/programs.ts";
import { Realm } from "../harness/realm.ts";
import { until } from "../harness/until.ts";
import { encodeRequest } from "../requests.ts";

/** The kernel's flags of the mapping with this address (proc_pid_smaps(5)). */
function mappingFlags(pid: number, address: number): string[] {
  let inside = false;
  for (const line of readFileSync(`/proc/${pid}/smaps`, "latin1").split("\n")) {
    const range = /^([0-9a-f]+)-([0-9a-f]+) /.exec(line);
    if (range !== null) {
      inside = parseInt(range[1]!, 16) <= address && address < parseInt(range[2]!, 16);
    } else if (inside && line.startsWith("VmFlags:")) return line.split(/\s+/).slice(1);
  }
  return [];
}

test("munged's memory has one copy of each subkey and none of the key, also after SIGHUP", {
  skip: (process.platform !== "linux" || !isRoot) && "needs root on Linux, to read munged's memory",
}, async () => {
  const realm = new Realm();
  try {
    const munged = await realm.start("ours");
    const pid = munged.process.pid!;
    const secretsOf = (key: Uint8Array) => {
      const subkey = (label: string) => createHash("sha1").update(key).update(label).digest();
      return [subkey("1"), subkey("2"), key.subarray(0, 32)];
    };
    const count = (key: Uint8Array = realm.key) =>
      findInMemory(pid, secretsOf(key)).map(({ length }) => length);
    const hasOneCopy = (key?: Uint8Array) => isDeepStrictEqual(count(key), [1, 1, 0]);
    assert.deepEqual(count(), [1, 1, 0], "at the start");
    for (let times = 1; times <= 3; times++) {
      munged.process.kill("SIGHUP");
      await until("SIGHUP", () => munged.log().match(/Processing signal 1 /g)?.length === times);
      await pause(300); // for what it does about the keys
      await until(`one copy of each after SIGHUP ${times}`, () => hasOneCopy());
    }
    const client = new BlockingClient(munged.socket);
    for (let i = 0; i < 100; i++) {
      const { credential } = client.encode(encodeRequest());
      assert.equal(client.decode({ credential: credential.slice() }).errno, 0);
    }
    assert.deepEqual(count(), [1, 1, 0], "after requests");
    const [[address]] = findInMemory(pid, secretsOf(realm.key)) as [[number]];
    const flags = mappingFlags(pid, address);
    // Not in core dumps, wiped in children, locked.
    for (const flag of ["dd", "wf", "lo"]) assert(flags.includes(flag), `${flag} of ${flags}`);

    const keyFile = join(realm.directory, "key");
    const newKey = randomBytes(128);
    writeFileSync(`${keyFile}.new`, newKey, { mode: 0o600 });
    renameSync(`${keyFile}.new`, keyFile);
    munged.process.kill("SIGHUP");
    await until("one copy of the new key's", () => hasOneCopy(newKey));
    await until("none of the old key's", () => isDeepStrictEqual(count(), [0, 0, 0]));
    assert.equal(await munged.stop(), 0);
  } finally {
    await realm.close();
  }
});
