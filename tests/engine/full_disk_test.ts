// File systems that are full, or fill up, under a running or starting munged: it keeps answering and detecting replays, and
// no state of its files stops it. Tests of the cache itself are in tests/daemon/munged/replay/journal_test.ts.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { once } from "node:events";
import {
  chmodSync,
  closeSync,
  mkdirSync,
  openSync,
  readdirSync,
  rmSync,
  truncateSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { ERRNO } from "../../lib/errors.ts";
import { BlockingClient } from "../../lib/client/blocking_client.ts";
import { type Munged, Realm } from "../harness/realm.ts";
import { isRoot } from "../harness/programs.ts";
import { until } from "../harness/until.ts";
import { encodeRequest } from "../requests.ts";
import { suite } from "../suite.ts";

const SUCCESS = 0;
const { EMUNGE_CRED_REPLAYED } = ERRNO;

function encode(socket: string, count: number, ttl = 3600): Uint8Array[] {
  const client = new BlockingClient(socket);
  return Array.from(
    { length: count },
    () => client.encode(encodeRequest({ ttl })).credential.slice(),
  );
}

/** How many credentials had each result. */
function decodeAll(socket: string, credentials: readonly Uint8Array[]): Map<number, number> {
  const counts = new Map<number, number>();
  for (const credential of credentials) {
    const { errno } = new BlockingClient(socket).decode({ credential });
    counts.set(errno, (counts.get(errno) ?? 0) + 1);
  }
  return counts;
}

/** Uses up all space. */
function fill(directory: string): void {
  const fd = openSync(join(directory, "filler"), "w");
  for (let length = 1 << 20; length >= 512; length >>= 1) {
    try {
      for (;;) writeSync(fd, new Uint8Array(length).fill(7));
    } catch (error) {
      assert.match((error as NodeJS.ErrnoException).code ?? "", /^(ENOSPC|EDQUOT)$/);
    }
  }
  closeSync(fd);
  spawnSync("sync", ["-f", directory]);
}

/** File systems to fill up: how to make and mount each, and whether that is possible here. */
const FILE_SYSTEMS: Readonly<Record<string, (image: string, directory: string) => boolean>> = {
  tmpfs: (_image, directory) =>
    spawnSync("mount", ["-t", "tmpfs", "-o", "size=2m", "none", directory]).status === 0,
  btrfs: (image, directory) => mountImage("mkfs.btrfs", ["-q", "--mixed"], image, directory),
  ext4: (image, directory) => mountImage("mkfs.ext4", ["-q", "-m0"], image, directory),
  // The only quotas that apply to root as well.
  quota: (image, directory) =>
    mountImage("mkfs.btrfs", ["-q", "--mixed"], image, directory) &&
    spawnSync("btrfs", ["quota", "enable", directory]).status === 0 &&
    spawnSync("btrfs", ["qgroup", "limit", "2M", "0/5", directory]).status === 0,
};

function mountImage(make: string, args: readonly string[], image: string, directory: string) {
  closeSync(openSync(image, "w"));
  truncateSync(image, 24 << 20);
  return spawnSync(make, [...args, image]).status === 0 &&
    spawnSync("mount", ["-o", "loop", image, directory]).status === 0;
}

suite("full disks", { "root": isRoot, "Linux": process.platform === "linux" }, () => {
  let realm: Realm;
  before(() => {
    realm = new Realm();
  });
  after(() => realm.close());

  async function crash(munged: Munged): Promise<void> {
    const ended = once(munged.process, "exit");
    munged.process.kill("SIGKILL");
    await ended;
  }

  for (const [name, mount] of Object.entries(FILE_SYSTEMS)) {
    test(`a full ${name} prevents no decoding, hides no replay, and stops no munged`, async (t) => {
      const disk = join(realm.directory, name);
      mkdirSync(disk);
      if (!mount(join(realm.directory, `${name}.img`), disk)) return t.skip(`can't mount ${name}`);
      try {
        const directory = join(disk, "replay");
        mkdirSync(directory);
        chmodSync(disk, 0o755);
        chmodSync(directory, 0o700);
        const start = () => realm.start("ours", [`--replay-dir=${directory}`]);
        let munged = await start();
        const early = encode(munged.socket, 200);
        assert.deepEqual([...decodeAll(munged.socket, early)], [[SUCCESS, 200]]);
        fill(disk);

        // More than there is reserved space for, in this minute and in many others.
        const credentials = [
          ...encode(munged.socket, 6_000),
          ...Array.from({ length: 30 }, (_, i) => encode(munged.socket, 10, 400 + i * 60)).flat(),
        ];
        assert.deepEqual([...decodeAll(munged.socket, credentials)], [[SUCCESS, 6_300]]);
        const all = [...early, ...credentials];
        assert.deepEqual([...decodeAll(munged.socket, all)], [[EMUNGE_CRED_REPLAYED, 6_500]]);
        const warnings = () =>
          munged.log().match(/Warning: Failed to write replay journal .*/g) ?? [];
        await until("a warning", () => warnings().length > 0); // the log is read only between blocking calls
        assert.equal(warnings().length, 1, munged.log());
        const reason = name === "quota" ? /Disk quota exceeded/ : /No space left on device/;
        assert.match(warnings()[0]!, reason);

        await crash(munged);
        munged = await start();
        assert.deepEqual([...decodeAll(munged.socket, early)], [[EMUNGE_CRED_REPLAYED, 200]]);
        const more = encode(munged.socket, 300);
        assert.deepEqual([...decodeAll(munged.socket, more)], [[SUCCESS, 300]]);
        assert.equal(await munged.stop(), 0);

        rmSync(join(disk, "filler"));
        munged = await start();
        const late = encode(munged.socket, 300);
        assert.deepEqual([...decodeAll(munged.socket, late)], [[SUCCESS, 300]]);
        await crash(munged);
        munged = await start();
        assert.deepEqual([...decodeAll(munged.socket, late)], [[EMUNGE_CRED_REPLAYED, 300]]);
        for (const name of readdirSync(directory)) {
          if (/^\d+$/.test(name)) truncateSync(join(directory, name), 100);
        }
        assert.deepEqual([...decodeAll(munged.socket, late)], [[EMUNGE_CRED_REPLAYED, 300]]);
        const last = encode(munged.socket, 3_000);
        assert.deepEqual([...decodeAll(munged.socket, last)], [[SUCCESS, 3_000]]);
        assert.equal(await munged.stop(), 0);
      } finally {
        spawnSync("umount", ["--lazy", disk]);
      }
    });
  }

  test("a munged that starts on a full disk keeps its replay cache in memory, with a warning", async (t) => {
    const disk = join(realm.directory, "full");
    mkdirSync(disk);
    const mount = ["-t", "tmpfs", "-o", "size=1m,nr_inodes=3,mode=755", "none", disk];
    if (spawnSync("mount", mount).status !== 0) return t.skip("can't mount a file system here");
    try {
      fill(disk);
      mkdirSync(join(disk, "last")); // no inodes left
      const munged = await realm.start("ours", [`--replay-dir=${disk}/replay`]);
      assert.match(
        munged.log(),
        /Warning: Failed to use replay cache directory .*: No space left on device: /,
      );
      const credentials = encode(munged.socket, 100);
      assert.deepEqual([...decodeAll(munged.socket, credentials)], [[SUCCESS, 100]]);
      assert.deepEqual([...decodeAll(munged.socket, credentials)], [[EMUNGE_CRED_REPLAYED, 100]]);
      assert.equal(await munged.stop(), 0);
    } finally {
      spawnSync("umount", ["--lazy", disk]);
    }
  });
});
