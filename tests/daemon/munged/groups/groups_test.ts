// The table of groups that all threads share, and its updates.
import { test } from "node:test";
import assert from "node:assert/strict";
import { DEFAULTS } from "../../../../daemon/munged/config.ts";
import {
  type GroupMap,
  isGroupMember,
  NO_GROUPS,
  packGroups,
} from "../../../../daemon/munged/groups/map.ts";
import { GroupUpdater } from "../../../../daemon/munged/groups/groups.ts";
import { memoryLogger } from "../../memory_logger.ts";

test("isGroupMember() finds exactly what packGroups() was given", () => {
  const groups = new Map([[1000, [30, 4]], [0, [0xffff_fffe]], [7, []]]);
  const map = packGroups(groups);
  for (const uid of [0, 1, 7, 1000, 1001]) {
    for (const gid of [0, 4, 5, 30, 0xffff_fffe]) {
      assert.equal(isGroupMember(map, uid, gid), groups.get(uid)?.includes(gid) ?? false);
    }
  }
  assert.equal(isGroupMember(NO_GROUPS, 0, 0), false);
});

test("a GroupUpdater hands on the system's groups and logs how many it found", async () => {
  const logger = memoryLogger();
  const updater = new GroupUpdater(DEFAULTS, logger);
  updater.announce();
  assert.equal(updater.current, NO_GROUPS);
  const updated = new Promise<GroupMap>((resolve) => updater.onUpdate = resolve);
  await updater.start();
  updater.stop();
  const map = await updated;
  assert.equal(updater.current, map);
  assert.equal(map.offsets.length, map.uids.length + 1);
  assert.deepEqual(logger.lines.slice(0, 2), [
    "info: Updating supplementary group mapping every 3600 seconds",
    'info: Enabled supplementary group mtime check of "/etc/group"',
  ]);
  assert.match(
    logger.lines[2]!,
    /^info: Found \d+ users? with supplementary groups in \d+\.\d{3} seconds$/,
  );
});

for (
  const [change, lines] of [
    [{ groupUpdateTime: -1 }, ["info: Disabled supplementary group mapping"]],
    [{ benchmark: true }, ["info: Disabled supplementary group mapping"]],
    [{ groupUpdateTime: 0, groupCheckMtime: false }, [
      "info: Disabled updates to supplementary group mapping",
      'info: Disabled supplementary group mtime check of "/etc/group"',
    ]],
  ] as const
) {
  test(`a GroupUpdater with ${JSON.stringify(change)} logs its settings`, () => {
    const logger = memoryLogger();
    new GroupUpdater({ ...DEFAULTS, ...change }, logger).announce();
    assert.deepEqual(logger.lines, lines);
  });
}
