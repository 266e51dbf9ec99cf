// Memory passed to libc, with a garbage collection at every slow allocation: nothing that is still to be read may be
// collected.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { resolve } from "node:path";
import { test } from "node:test";

const OS = resolve("lib/os");
const PROGRAM = `
import { hostName, lookUpHost } from "${OS}/hosts.ts";
import { formatLocalTime } from "${OS}/local_time.ts";
import { realPath } from "${OS}/real_path.ts";
import { groupById, groupByName, userById, userByName } from "${OS}/users.ts";

for (let i = 0; i < 20; i++) {
  console.log(JSON.stringify([
    userById(0), userByName("daemon"), groupById(0), groupByName("daemon"), userByName("no such user") ?? null,
    formatLocalTime(86400, "%Y-%m-%d %H:%M:%S"),
    realPath("/proc/../usr"),
    [...lookUpHost("192.0.2.7").address],
  ]));
}
`;
const named = (name: string) => ({ name, nameBytes: new TextEncoder().encode(name) });
const EXPECTED = JSON.stringify([
  { ...named("root"), uid: 0, gid: 0 },
  { ...named("daemon"), uid: 1, gid: 1 },
  { ...named("root"), gid: 0 },
  { ...named("daemon"), gid: 1 },
  null,
  "1970-01-02 00:00:00",
  "/usr",
  [192, 0, 2, 7],
]);

test("what libc wrote is read before it is collected", () => {
  const { stdout, stderr } = spawnSync(process.execPath, ["-e", PROGRAM], {
    env: { ...process.env, TZ: "UTC", BUN_JSC_slowPathAllocsBetweenGCs: "1" },
    encoding: "utf8",
    timeout: 300_000,
  });
  assert.equal(stderr, "");
  const lines = stdout.trim().split("\n");
  assert.equal(lines.length, 20);
  for (const line of lines) assert.equal(line, EXPECTED);
});
