// What a munged reads of the replay cache when it starts: the journals of an earlier one, with any damage.
import assert from "node:assert/strict";
import { ftruncateSync, mkdtempSync, openSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterReplay, isForgotten, liveEntry } from "../../daemon/munged/replay/entry.ts";
import { readJournal, recordsIn } from "../../daemon/munged/replay/journal.ts";
import { SLOT_WORDS } from "../../daemon/munged/replay/segments.ts";
import type { ReplayTable } from "../../daemon/munged/replay/table.ts";
import { Random } from "./mutate.ts";
import type { Target } from "./target.ts";

const NOW = 1_800_000_000;
const MINUTE = NOW / 60;
const HEADER_WORDS = 8;
const NOBODY = { pid: 0, uid: 0 };

/** A file that is not a journal of its minute, which munged sets aside. */
class NoJournal extends Error {}

const folder = mkdtempSync(join(tmpdir(), "fuzz-replay-"));
process.on("exit", () => rmSync(folder, { recursive: true, force: true }));
let file: number | undefined;
/** The last table, whose memory the next one takes over. */
let used: ReplayTable | undefined;

/** A journal with this many records: credentials decoded once, twice, or not at all in the end. */
function journal(records: number): Uint8Array {
  const random = new Random(records);
  const word = () => random.below(2 ** 31) + 1;
  const words = [0x4a50_524d, 1, MINUTE, word(), word(), 0, 0, 0];
  for (let i = 0; i < records; i++) {
    const live = liveEntry(word(), NOW);
    words.push(word(), word(), word(), [live, afterReplay(live), 0][i % 3]!);
  }
  return new Uint8Array(Int32Array.from(words).buffer);
}

function read(bytes: Uint8Array): void {
  file ??= openSync(join(folder, "journal"), "w+", 0o600);
  ftruncateSync(file, 0);
  writeSync(file, bytes, 0, bytes.length, 0);
  used?.clear();
  const found = readJournal(file, MINUTE, used?.address ?? 0, "ended");
  if (found === null) throw new NoJournal();
  const { table, records, complete } = found;
  used = table;
  const count = Math.max(0, recordsIn(bytes.length));
  assert(0 <= complete && complete <= records && records <= count);
  for (const key of presented(bytes, count)) {
    const verdict = table.remember({ key, requester: NOBODY, isRetry: false, now: NOW });
    assert.equal(verdict, "replayed", "a decoded credential is new again");
  }
}

/** The credentials whose records say that they were decoded, unless another record says that they were forgotten. */
function presented(bytes: Uint8Array, count: number): Uint8Array[] {
  const words = new Int32Array(bytes.buffer, 0, HEADER_WORDS + count * SLOT_WORDS);
  const keys = new Map<string, Uint8Array>();
  const forgotten = new Set<string>();
  for (let at = HEADER_WORDS; at < words.length; at += SLOT_WORDS) {
    const [w0, w1, w2, state] = words.subarray(at, at + SLOT_WORDS);
    if (w0 === 0 || state === 0) continue;
    const key = Buffer.alloc(12);
    [w0!, w1!, w2!].forEach((word, index) => key.writeInt32BE(word, index * 4));
    keys.set(key.toString("hex"), key);
    if (isForgotten(state!)) forgotten.add(key.toString("hex"));
  }
  return [...keys].filter(([name]) => !forgotten.has(name)).map(([, key]) => key);
}

/** Formats of munged's state. */
export const REPLAY_TARGETS: readonly Target[] = [{
  name: "replay-journal",
  corpus: () => [journal(0), journal(3), journal(40), new Uint8Array(4096)],
  tokens: ["MRPJ", "\0\0\0\0", "\x01\0\0\0", "\xff\xff\xff\xff"],
  read,
  isRefusal: (error) => error instanceof NoJournal,
}];
