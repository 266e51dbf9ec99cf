// The order in which a daemon undoes its start.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Teardown } from "../../../daemon/process/teardown.ts";
import { memoryLogger } from "../memory_logger.ts";

test("steps are undone in reverse order, each even if others fail", async () => {
  const log = memoryLogger();
  const taken: number[] = [];
  const teardown = new Teardown(log);
  teardown.add(() => void taken.push(1));
  teardown.add(() => {
    taken.push(2);
    throw new Error("Second");
  });
  teardown.add(async () => {
    await Promise.resolve();
    taken.push(3);
    throw new Error("Third");
  });
  await teardown.disposeAsync();
  assert.deepEqual(taken, [3, 2, 1]);
  assert.deepEqual(log.lines, ["error: Third", "error: Second"]);
});
