import { test } from "node:test";
import assert from "node:assert/strict";
import { parseArguments } from "../../../cli/munged/munged.ts";
import { DEFAULTS } from "../../../daemon/munged/config.ts";

// Independent of the environment and of the machine's configuration file.
const parse = (...args: string[]) => parseArguments("munged", args);

test("munged without options has the defaults", () => {
  assert.deepEqual(parse(), DEFAULTS);
});

test("paths are relative to the start directory; the replay cache is beside the seed file, and realms are beside the key", () => {
  const config = parse("-S", "./sock", "--seed-file=/x/y/seed", "--key-file", "k");
  assert.equal(config.socketPath, `${process.cwd()}/./sock`);
  assert.equal(config.keyFile, `${process.cwd()}/k`);
  assert.equal(config.replayDir, "/x/y/munged.replay");
  assert.equal(config.realmDir, `${process.cwd()}/realms`);
  assert.equal(parse("--key-file=/k/key", "--realm-dir=/r").realmDir, "/r");
  assert.equal(parse("--replay-dir=/r", "--seed-file=/x/seed").replayDir, "/r");
  assert.equal(parse("--no-replay-dir").replayDir, null);
});

test("flags and numbers are accepted", () => {
  const config = parse("-fFMsv", "--max-ttl= 5", "--num-threads=+3", "--group-update-time=-1");
  const { force, foreground, mlockall, stop, verbose, maxTtl, numThreads, groupUpdateTime } =
    config;
  assert.deepEqual([force, foreground, mlockall, stop, verbose], [true, true, true, true, true]);
  assert.deepEqual([maxTtl, numThreads, groupUpdateTime], [5, 3, -1]);
  assert.equal(parse("--group-check-mtime=0").groupCheckMtime, false);
  assert.equal(parse("--group-check-mtime=-1").groupCheckMtime, true);
  assert.equal(parse("--listen-backlog=-1").listenBacklog, -1);
  assert.equal(parse("--trusted-group=0").trustedGroup, 0);
});

for (
  const [option, ...values] of [
    ["max-ttl", "", "x", "0", "3601", "-1", "10x", "99999999999999999999"],
    ["num-threads", "0", "-1", "99999999999"],
    ["group-update-time", "2147483648", "x"],
    ["group-check-mtime", "yes", ""],
    ["listen-backlog", "-2", "x"],
    ["trusted-group", "no such group", "-1", "4294967295", ""],
  ] as const
) {
  test(`a bad value for ${option} is refused`, () => {
    for (const value of values) {
      assert.throws(() => parse(`--${option}=${value}`), {
        errno: 1,
        message: `Invalid value "${value}" for ${option}`,
      });
    }
  });
}
