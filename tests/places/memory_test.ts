// Limits on memory, as login nodes and batch systems set them: the programs run, or report in one line that they
// can't; they never crash.
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { isRunning } from "../harness/daemon.ts";
import { IDLE_MEMORY, memoryOf, MIB, settledMemory } from "../harness/memory.ts";
import { MUNGEBOX } from "../harness/programs.ts";
import { type Munged, Realm } from "../harness/realm.ts";
import { suite } from "../suite.ts";

/** The smallest limit at which the kernel can map the executable; below it, the kernel kills the process. */
const MAPPED = 128 * MIB;
const NO_MEMORY = 5;
/**
 * Whether every daemon either is refused at its first instruction or reaches its own check of limits: with an amount of data
 * in between, a busy machine decides whether the engine has threads that take it before.
 */
const isChecked = (bytes: number) => bytes < 61 * MIB || bytes >= 80 * MIB;
/** auksd's status without a configuration. */
const NOT_INITIALIZED = 63;
/** The output below that limit: nothing, or the dynamic linker's message, the same for any program. */
const UNLINKED = /^(?:\S+: error while loading shared libraries: [^\n]+\n)?$/;
const ONE_LINE = /^[a-z]+: Error: Out of memory: [^\n]+\n$/;

/** 20 MB to 4 GB in steps of 5 %. */
function* sweep(step = 1.05): Generator<number> {
  for (let bytes = 20e6; bytes < 4e9; bytes *= step) yield Math.round(bytes);
}

/** Runs a command under a memory limit in bytes: `v` for address space, `d` for data. */
function limited(limit: "v" | "d", bytes: number, command: readonly string[]) {
  const script = `ulimit -${limit} ${Math.floor(bytes / 1024)} && exec "$@"`;
  const { status, signal, stderr } = spawnSync("/bin/sh", ["-c", script, "sh", ...command], {
    encoding: "latin1",
    timeout: 300_000,
  });
  return { status, signal, stderr };
}

suite("memory limits", process.platform !== "linux" && "needs Linux", () => {
  let realm: Realm;
  let munged: Munged;

  before(async () => {
    realm = new Realm();
    munged = await realm.start("ours");
  });
  after(() => realm?.close());

  for (const [limit, enough] of [["v", 256 * MIB], ["d", 64 * MIB]] as const) {
    it(`munge works with ulimit -${limit} from ${enough / MIB} MiB on, and never crashes`, () => {
      const command = [realm.program("ours", "munge"), "-n", `--socket=${munged.socket}`];
      for (const bytes of sweep()) {
        const { status, signal, stderr } = limited(limit, bytes, command);
        const what = `${bytes} bytes: status ${status}, ${signal}, ${stderr}`;
        if (bytes >= enough) assert.equal(status, 0, what);
        else if (status === NO_MEMORY) assert.match(stderr, ONE_LINE, what);
        else if (status !== 0) assert(bytes < MAPPED && UNLINKED.test(stderr), what);
      }
    });
  }

  for (
    const [limit, least, most, enough, step] of [
      ["v", MAPPED, 4e9, 384 * MIB, 1.1],
      ["d", 0, 300e6, 160 * MIB, 1.05],
    ] as const
  ) {
    it(`munged with 2 threads works with ulimit -${limit} from ${enough / MIB} MiB on, and never crashes`, async () => {
      const directory = join(realm.directory, `limited-${limit}`);
      spawnSync("mkdir", ["-m", "755", directory]);
      const files = ["socket", "pid-file", "seed-file", "log-file"].map((name) =>
        `--${name}=${join(directory, name)}`
      );
      const config = `--config=${realm.configFile}`;
      const options = [`--key-file=${join(realm.directory, "key")}`, config, ...files];
      const program = realm.program("ours", "munged");
      for (const bytes of sweep(step)) {
        if (bytes < least || bytes > most || (limit === "d" && !isChecked(bytes))) continue;
        const { status, stderr } = limited(limit, bytes, [program, ...options]);
        const what = `${bytes} bytes: status ${status}, ${stderr}`;
        if (bytes >= enough) assert.equal(status, 0, what);
        else if (status !== 0) assert.match(stderr, ONE_LINE, what);
        if (status !== 0) continue;
        const socket = join(directory, "socket");
        assert.equal(realm.run("ours", "munge", ["-n", `--socket=${socket}`]).status, 0, what);
        const pid = Number(readFileSync(join(directory, "pid-file"), "latin1"));
        process.kill(pid, "SIGTERM"); // --stop would take a second more
        while (isRunning(pid)) await sleep(10);
      }
    });
  }

  for (
    const [limit, name, ...args] of [
      ["d", "remunge", "--num-threads=4", "--num-creds=4"],
      ["v", "remunge", "--num-threads=4", "--num-creds=4"],
      ["d", "auksd", "-F", "-f", "/no/such"], // with enough memory, it lacks its configuration
    ] as const
  ) {
    it(`${name} never crashes with ulimit -${limit}`, () => {
      const socket = name === "remunge" ? [`--socket=${munged.socket}`] : [];
      const command = [MUNGEBOX, name, ...args, ...socket];
      for (let mib = limit === "v" ? 250 : 40; mib < (limit === "v" ? 420 : 200); mib *= 1.03) {
        if (name === "auksd" && !isChecked(mib * MIB)) continue;
        const { status, signal, stderr } = limited(limit, mib * MIB, command);
        const what = `${mib} MiB: status ${status}, ${signal}, ${stderr}`;
        assert.equal(signal, null, what);
        if (status === NO_MEMORY) assert.match(stderr, ONE_LINE, what);
        else assert.equal(status, name === "remunge" ? 0 : NOT_INITIALIZED, what);
      }
    });
  }

  it("a client has at most 64 MiB of data, munged with 2 threads at most 160 MiB", async () => {
    const program = realm.program("ours", "munge");
    const client = spawn(program, [`--socket=${munged.socket}`], {
      stdio: ["pipe", "ignore", "inherit"],
    });
    await sleep(300); // by then it is waiting for input
    assert(memoryOf(client.pid!, "VmData") <= 64 * MIB);
    client.stdin!.end();
    assert.deepEqual(await once(client, "exit"), [0, null]);
    assert(memoryOf(munged.process.pid!, "VmData") <= 160 * MIB);
  });

  it(`munged with 2 threads returns memory that only its start needed: at most ${IDLE_MEMORY / MIB} MiB stay resident`, async () => {
    const idle = await realm.start("ours");
    const resident = await settledMemory(idle.process.pid!);
    assert(resident <= IDLE_MEMORY, `${resident / MIB} MiB`);
    assert.equal(realm.run("ours", "munge", ["-n", `--socket=${idle.socket}`]).status, 0);
  });
});
