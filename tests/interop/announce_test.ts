// mungekey --stage and --promote with a running munged: they return when it uses the new key.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { lockPath } from "../../daemon/process/lock_file.ts";
import { deriveSubkeys } from "../../lib/credential/subkeys.ts";
import { keyFingerprint } from "../../lib/keys/ring.ts";
import { lockFile } from "../../lib/os/file_lock.ts";
import { primitives } from "../../lib/primitives/executable.ts";
import { formatStatusResponse } from "../../lib/protocol/message.ts";
import { hasReference, type Make } from "../harness/programs.ts";
import { type Munged, Realm } from "../harness/realm.ts";

describe("a key staged and promoted while munged is running", () => {
  let realm: Realm;
  before(() => {
    realm = new Realm();
  });
  after(() => realm.close());

  const keyFile = () => join(realm.directory, "key");
  /** Runs mungekey as on a host with this munged. */
  function mungekey({ socket }: Munged, ...args: string[]) {
    const env = { ...process.env, MUNGEBOX_SOCKET: socket, MUNGEBOX_KEY_FILE: keyFile() };
    return realm.run("ours", "mungekey", [...args, `--keyfile=${keyFile()}`], { env });
  }
  function ring({ socket }: Munged): string[] {
    const { out } = realm.run("ours", "munged", ["--status", "--json", `--socket=${socket}`]);
    const { keys } = JSON.parse(out).realms[0] as { keys: { role: string; fingerprint: string }[] };
    return keys.map(({ role, fingerprint }) => `${role} ${fingerprint}`);
  }
  const fingerprint = (suffix = "") =>
    keyFingerprint(deriveSubkeys(readFileSync(keyFile() + suffix), primitives));
  const start = (make: Make) => realm.start(make);

  test("is in force when mungekey returns, long before munged would check its files", async () => {
    const munged = await start("ours");
    for (let times = 0; times < 3; times++) {
      const active = fingerprint();
      const staged = mungekey(munged, "--stage");
      assert.equal(staged.status, 0, staged.err);
      const next = fingerprint(".next");
      assert.ok(ring(munged).includes(`next ${next}`));
      const promoted = mungekey(munged, "--promote", "--force");
      assert.equal(promoted.status, 0, promoted.err);
      assert.deepEqual(ring(munged), [`active ${next}`, `old ${active}`]);
    }
    assert.equal(await munged.stop(), 0);
    assert.match(munged.log(), /Processing signal 1/);
  });

  test("is waited for until munged reports it", async () => {
    const socket = join(realm.directory, "slow");
    const lock = openSync(lockPath(socket), "w");
    assert(lockFile(lock));
    const ignore = () => {};
    process.on("SIGHUP", ignore);
    let asked = 0;
    const server = createServer((client) => {
      client.once("data", () => {
        const keys = ++asked < 4 ? [] : [{ role: "next", fingerprint: fingerprint(".next") }];
        client.end(formatStatusResponse(JSON.stringify({ realms: [{ keys }] }), 0));
      });
    });
    try {
      await once(server.listen(socket), "listening");
      const env = { ...process.env, MUNGEBOX_SOCKET: socket, MUNGEBOX_KEY_FILE: keyFile() };
      const args = ["--stage", "--force", `--keyfile=${keyFile()}`];
      const program = spawn(realm.program("ours", "mungekey"), args, { env, stdio: "inherit" });
      assert.deepEqual([await once(program, "exit"), asked], [[0, null], 4]);
    } finally {
      server.close();
      process.off("SIGHUP", ignore);
      closeSync(lock);
    }
  });

  test("needs no running munged, and does not wait for one that reads other keys", async () => {
    const munged = await start("ours");
    await munged.stop();
    assert.equal(mungekey(munged, "--stage", "--force").status, 0);
    const other = await start("ours");
    const elsewhere = join(realm.directory, "elsewhere");
    assert.equal(realm.run("ours", "mungekey", ["-k", elsewhere]).status, 0);
    const env = { ...process.env, MUNGEBOX_SOCKET: other.socket, MUNGEBOX_KEY_FILE: keyFile() };
    const args = ["--stage", "-k", elsewhere];
    assert.equal(realm.run("ours", "mungekey", args, { env }).status, 0);
    assert.doesNotMatch(other.log(), /Processing signal/);
    rmSync(`${keyFile()}.next`);
    await other.stop();
  });

  test("is not confirmed by a C munged, which reads its key only when it starts", {
    skip: !hasReference && "needs the reference",
  }, async () => {
    const munged = await start("reference");
    const begun = performance.now();
    const staged = mungekey(munged, "--stage", "--force");
    assert.equal(staged.status, 1, staged.err);
    assert.match(staged.err, /^mungekey: Error: .*closed the connection without an answer/);
    assert.ok(performance.now() - begun < 12_000, "it would wait for 15 s");
    await munged.stop();
  });
});
