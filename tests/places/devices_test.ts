// Devices given as munged's files, such as /dev/null by users who want no file: ours keeps them, the C MUNGE replaces them.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { chmodSync, lstatSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { after, before, it } from "node:test";
import { isRoot } from "../harness/programs.ts";
import { Realm } from "../harness/realm.ts";
import { suite } from "../suite.ts";

/** Makes a device like /dev/null. Returns whether that is possible. */
function makeDevice(path: string): boolean {
  return spawnSync("mknod", ["-m", "666", path, "c", "1", "3"]).status === 0;
}

suite("devices as munged's files", { root: isRoot }, () => {
  let realm: Realm;
  let directory: string;
  const device = (name: string) => join(directory, name);
  const names = ["pid", "seed", "metrics", "socket", "key"];

  before(() => {
    realm = new Realm();
    directory = join(realm.directory, "devices");
    mkdirSync(directory);
    chmodSync(directory, 0o755);
    for (const name of names) assert(makeDevice(device(name)), "no devices can be made");
  });
  after(() => realm?.close());

  const assertAllThere = () => {
    for (const name of names) assert(lstatSync(device(name)).isCharacterDevice(), name);
  };

  it("munged does without a PID file, a seed file and a metrics file", () => {
    const config = `--config=${realm.configFile}`;
    const socket = `--socket=${join(realm.directory, "socket")}`;
    const files = [
      `--pid-file=${device("pid")}`,
      `--seed-file=${device("seed")}`,
      `--metrics-file=${device("metrics")}`,
      `--key-file=${join(realm.directory, "key")}`,
      `--log-file=${join(realm.directory, "log")}`,
    ];
    const { status, err } = realm.run("ours", "munged", [
      "--origin=127.0.0.1",
      config,
      socket,
      ...files,
    ]);
    try {
      assert.equal(status, 0, err);
      assertAllThere();
    } finally {
      realm.run("ours", "munged", ["--stop", socket]);
    }
    assertAllThere();
    const { stdout } = spawnSync("cat", [join(realm.directory, "log")], { encoding: "latin1" });
    for (
      const words of [
        `Failed to open PIDfile "${device("pid")}": It is a device`,
        `Ignoring PRNG seed "${device("seed")}": must be a regular file`,
        `Failed to remove insecure PRNG seed "${device("seed")}": It is a device`,
        `Failed to create PRNG seed "${device("seed")}": It is a device`,
        `Failed to write metrics file "${device("metrics")}": It is a device`,
      ]
    ) assert(stdout.includes(words), `${words}\n\n${stdout}`);
  });

  it("munged does not put its socket there", () => {
    const { status, err } = realm.run("ours", "munged", [
      "--foreground",
      "--origin=127.0.0.1",
      `--config=${realm.configFile}`,
      `--socket=${device("socket")}`,
      `--key-file=${join(realm.directory, "key")}`,
      `--pid-file=${join(realm.directory, "pid")}`,
      `--seed-file=${join(realm.directory, "seed")}`,
    ]);
    assert.equal(status, 1);
    assert(err.includes(`Failed to remove socket "${device("socket")}": It is a device\n`), err);
    assertAllThere();
  });

  it("mungekey --force does not put a key there", () => {
    const outcome = realm.run("ours", "mungekey", ["--force", `--keyfile=${device("key")}`]);
    assert.deepEqual(outcome, {
      status: 1,
      out: "",
      err: `mungekey: Error: Failed to create "${device("key")}": It is a device\n`,
    });
    assertAllThere();
  });
});
