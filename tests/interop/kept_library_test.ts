// The library's kept connections: for whom it speaks, and what happens to its calls when munged ends or keeps none.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, it } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { MungeClient } from "../../lib/client/protocol.ts";
import { startDaemon } from "../harness/daemon.ts";
import { withShortOutages } from "../harness/outage.ts";
import { hasReference, isRoot } from "../harness/programs.ts";
import { type Munged, Realm } from "../harness/realm.ts";
import { encodeRequest } from "../requests.ts";
import { suite } from "../suite.ts";

const NOBODY = 65_534;

suite("the library's kept connections", { "root": isRoot }, () => {
  let realm: Realm;
  let munged: Munged;
  before(async () => {
    realm = new Realm();
    munged = await realm.start("ours", ["--num-threads=2"]);
  });
  after(() => realm?.close());

  it("the library speaks for the effective IDs of each request", () => {
    const module = (name: string) =>
      JSON.stringify(new URL(`../../${name}`, import.meta.url).pathname);
    const program = `
      import { decode, encode } from ${module("mod.ts")};
      const socketPath = process.argv[1];
      const made = async () => {
        const uids = new Set();
        for (let i = 0; i < 20; i++) {
          uids.add((await decode(await encode("", { socketPath }), { socketPath })).uid);
          await new Promise((resolve) => setTimeout(resolve, 5));
        }
        return [...uids];
      };
      const all = [await made()];
      process.seteuid(${NOBODY});
      all.push(await made());
      process.stdout.write(JSON.stringify(all));`;
    for (
      const [wrapper, expected] of [
        [[], [[0], [NOBODY]]],
        [["setpriv", "--ruid", `${NOBODY}`], [[0], [NOBODY]]],
      ] as const
    ) {
      const [command, ...args] = [...wrapper, process.execPath, "-e", program, munged.socket];
      const { stdout, stderr, status } = spawnSync(command!, args, { encoding: "utf8" });
      assert.equal(status, 0, stderr);
      assert.deepEqual(JSON.parse(stdout), expected);
    }
  });

  it("a Deno program that can't read its IDs works without a kept connection", () => {
    const mod = new URL("../../mod.ts", import.meta.url).pathname;
    const program = join(realm.directory, "many.ts");
    writeFileSync(
      program,
      `import { encodeMany } from ${JSON.stringify(mod)};
      const socketPath = ${JSON.stringify(munged.socket)};
      console.log((await encodeMany(300, { socketPath })).length);`,
    );
    const over = () => {
      const status = ["--status", "--json", `--socket=${munged.socket}`];
      return JSON.parse(realm.run("ours", "munged", status).out).kept_connections.requests;
    };
    const run = (...permissions: string[]) => {
      const args = ["run", "--no-check", "--no-prompt", "--quiet", ...permissions, program];
      const { stdout, stderr } = spawnSync("node_modules/.bin/deno", args, { encoding: "utf8" });
      assert.equal(stdout, "300\n", stderr);
    };
    const before = over();
    run("--allow-read", "--allow-write", "--allow-net");
    assert.equal(over(), before);
    run("--allow-all");
    assert.ok(over() > before);
  });

  for (
    const [how, options] of [["stopped and started", []], ["replaced", ["--replace"]]] as const
  ) {
    it(`no call of the library fails while munged is ${how}, whatever is in flight`, async () => {
      const base = join(realm.directory, how.replaceAll(" ", "-"));
      mkdirSync(base, { mode: 0o755 });
      const socket = join(base, "socket");
      const files = ["pid", "seed"].map((name) => `--${name}-file=${join(base, name)}`);
      const key = `--key-file=${join(realm.directory, "key")}`;
      const own = ["-F", `--socket=${socket}`, key, `--config=${realm.configFile}`];
      const command = [realm.program("ours", "munged"), ...own, ...files];
      const start = () =>
        startDaemon(
          [...command, "--origin=127.0.0.1", ...options],
          (log) => /Created \d+ work thread/.test(log),
        );
      let current = await start();
      await withShortOutages(async (outage) => {
        const client = new MungeClient(socket);
        let isOver = false;
        let calls = 0;
        const callers = Array.from({ length: 32 }, async () => {
          while (!isOver) {
            const { errno, credential } = await client.encode(encodeRequest({}));
            assert.equal(errno, 0);
            assert.equal((await client.decode({ credential })).errno, 0);
            calls++;
          }
        });
        const load = Promise.all(callers);
        try {
          for (let i = 0; i < 3; i++) {
            await pause(150);
            const before = calls;
            const last = current;
            await outage(async () => {
              if (options.length === 0) {
                last.process.kill("SIGTERM");
                await last.ended;
              }
              current = await start();
              await last.ended;
            });
            while (calls === before) await Promise.race([load, pause(5)]);
          }
        } finally {
          isOver = true;
        }
        await load;
      });
      current.process.kill("SIGTERM");
      await current.ended;
    });
  }
});

suite("the library's kept connections and the C munged", { "the reference": hasReference }, () => {
  it("munged is asked once, and serves every request as before", async () => {
    const realm = new Realm();
    try {
      const munged = await realm.start("reference");
      const client = new MungeClient(munged.socket);
      for (let i = 0; i < 50; i++) {
        const { errno, credential } = await client.encode(encodeRequest({}));
        assert.equal(errno, 0);
        assert.equal((await client.decode({ credential })).errno, 0);
      }
      assert.equal(munged.log().match(/message type 68/g)?.length ?? 0, 1, munged.log());
    } finally {
      await realm.close();
    }
  });
});
