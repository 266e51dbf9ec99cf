// The file of removed tickets: what it remembers, and for how long.
import assert from "node:assert/strict";
import {
  appendFileSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, beforeEach, describe, it } from "node:test";
import { Removals } from "../../../daemon/auksd/removals.ts";

const NOW = Math.floor(Date.now() / 1000);
const LATER = NOW + 3600;

describe("Removals", () => {
  let directory: string;
  let file: string;
  before(() => {
    directory = mkdtempSync(join(tmpdir(), "mungebox-removals-"));
    file = join(directory, ".auksd.removals");
  });
  beforeEach(() => rmSync(file, { force: true }));
  after(() => rmSync(directory, { recursive: true }));

  it("are remembered after a crash, until the ticket would have expired or is added again", async () => {
    const removals = new Removals(directory, true);
    await Promise.all([
      removals.add(2000, { removedAt: NOW, until: LATER }),
      removals.add(2001, { removedAt: NOW, until: NOW - 1 }),
      removals.add(2002, { removedAt: NOW, until: LATER }),
      removals.forget(2002),
    ]);
    assert.equal(statSync(file).mode & 0o777, 0o600);
    const again = new Removals(directory, true); // the first one was not closed
    assert.deepEqual(again.all, [[2000, NOW]]);
    assert(again.covers(2000, NOW - 10) && again.covers(2000, NOW));
    assert(!again.covers(2000, NOW + 1) && !again.covers(2001, NOW) && !again.covers(2002, NOW));
    await removals.close();
    await again.close();
  });

  it("a line that a crash has cut off does no harm", async () => {
    const removals = new Removals(directory, false);
    await removals.add(2000, { removedAt: NOW, until: LATER });
    await removals.close();
    appendFileSync(file, "2001 17");
    const again = new Removals(directory, false);
    await again.add(2002, { removedAt: NOW, until: LATER });
    await again.close();
    assert.deepEqual(new Removals(directory, false).all, [[2000, NOW], [2002, NOW]]);
  });

  it("the file does not grow with the number of changes", async () => {
    const removals = new Removals(directory, false);
    for (let i = 0; i < 15_000; i++) {
      await removals.add(2000, { removedAt: NOW, until: LATER });
      await removals.forget(2000);
    }
    await removals.add(2000, { removedAt: NOW, until: LATER });
    await removals.close();
    assert(readFileSync(file, "utf8").split("\n").length <= 10_003);
    assert.deepEqual(new Removals(directory, false).all, [[2000, NOW]]);
  });

  it("a link in its place is replaced, never followed", async () => {
    const elsewhere = join(directory, "elsewhere");
    writeFileSync(elsewhere, "theirs");
    symlinkSync(elsewhere, file);
    const removals = new Removals(directory, false);
    await removals.add(2000, { removedAt: NOW, until: LATER });
    await removals.close();
    assert.equal(readFileSync(elsewhere, "utf8"), "theirs");
  });
});
