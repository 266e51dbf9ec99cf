// Jobs don't notice a restart: munge and unmunge wait for a munged that has no socket for a moment.
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { processState } from "../../daemon/process/process_state.ts";
import { type Daemon, startDaemon } from "../harness/daemon.ts";
import { hasReference, type Make, MAKES } from "../harness/programs.ts";
import { Realm } from "../harness/realm.ts";

const hasStrace = spawnSync("strace", ["-V"]).status === 0;
const RESTARTS = 4;
/** At most this many restarts; {@linkcode RESTARTS} of them must be quick enough. */
const MOST_TRIES = 16;
/** As long as a busy host takes from the end of one munged to the start of the next. */
const GAP_MS = 200;
/** How many stops and starts, of which the fastest counts: at least, and at most on a busy host. */
const STOPS = 4;
const MOST_STOPS = 40;
/** Programs that a stop and a start in the background run: three on the way there, and each thread is about one more. */
const PROGRAMS = 5;
/** They may take this many times as long as the reference and as these programs in a row, which a busy host delays, too. */
const SLACK = 3;
/** Clients wait for 2.25 s: a restart that takes longer, on a host that is that busy, proves nothing. */
const LONGEST_RESTART_MS = 2_000;

describe("munge and unmunge during restarts of munged", () => {
  let realm: Realm;
  before(() => {
    realm = new Realm();
  });
  after(() => realm.close());

  /** Runs munge, and unmunge on its credential; what failed, or "". */
  async function roundTrip(socket: string): Promise<string> {
    const option = `--socket=${socket}`;
    const stdio = ["ignore", "pipe", "pipe"] as const;
    const munge = spawn(realm.program("ours", "munge"), ["-n", option], { stdio: [...stdio] });
    const unmunge = spawn(realm.program("ours", "unmunge"), ["-n", option], {
      stdio: ["pipe", "ignore", "pipe"],
    });
    munge.stdout!.pipe(unmunge.stdin!);
    let said = "";
    for (const { stderr } of [munge, unmunge]) stderr!.on("data", (text) => said += text);
    await Promise.all([once(munge, "close"), once(unmunge, "close")]);
    const statuses = `${munge.exitCode} ${unmunge.exitCode}`;
    return statuses === "0 0" ? "" : `${statuses}: ${said}`;
  }

  /** The option that keeps our munged from reading the system's configuration file. */
  const configOf = (make: Make) => make === "ours" ? [`--config=${realm.configFile}`] : [];

  async function start(make: Make, socket: string): Promise<Daemon> {
    const file = (name: string) => `--${name}-file=${join(socket, "..", name)}`;
    return await startDaemon([
      realm.program(make, "munged"),
      "--foreground",
      `--socket=${socket}`,
      `--key-file=${join(realm.directory, "key")}`,
      file("pid"),
      file("seed"),
      "--origin=127.0.0.1",
      ...configOf(make),
    ], (log) => /Created \d+ work thread/.test(log));
  }

  test(
    "libmunge finds no socket, or none that it may use, for no longer than it takes to bind one",
    {
      skip: !hasStrace && "strace is not installed",
    },
    async () => {
      const killed = await realm.start("ours");
      killed.process.kill("SIGKILL");
      await once(killed.process, "exit");
      const trace = join(realm.directory, "trace");
      const calls = "?unlink,?unlinkat,bind,listen,umask,?write,?openat,?stat,?newfstatat,?statx";
      const munged = await startDaemon(
        ["strace", "-f", "-o", trace, `--trace=${calls}`, realm.program("ours", "munged")].concat(
          "--foreground",
          `--socket=${killed.socket}`,
          `--key-file=${join(realm.directory, "key")}`,
          ...configOf("ours"),
          ...["pid", "seed"].map((name) => `--${name}-file=${join(killed.socket, "..", name)}`),
        ),
        (log) => /Created \d+ work thread/.test(log),
      );
      assert.equal(statSync(killed.socket).mode & 0o777, 0o777);
      process.kill(Number(readFileSync(join(killed.socket, "..", "pid"), "latin1")));
      await munged.ended;
      const lines = readFileSync(trace, "latin1").split("\n");
      const removed = lines.findIndex((line) =>
        line.includes(" unlink") && line.includes(`"${killed.socket}"`)
      );
      const thread = lines[removed]!.split(" ")[0]!;
      // strace splits a call's line where another thread comes in between.
      const own = lines.slice(removed).filter((line) =>
        line.startsWith(`${thread} `) && !line.includes(" resumed>")
      );
      assert.match(own[1]!, / bind\(/);
      assert.match(own[2]!, / listen\(/);
      const umask = lines.slice(0, removed).findLast((line) => line.includes(" umask("));
      assert.match(umask!, /umask\(0+\b/, "bound with its final mode");
    },
  );

  test("a stop and a start take little longer than their programs", {
    skip: !hasReference && "the reference is not installed",
  }, () => {
    const options = Object.fromEntries(MAKES.map((make) => {
      const directory = join(realm.directory, `stopped-${make}`);
      mkdirSync(directory, { mode: 0o755 });
      const file = (name: string) => `--${name}-file=${join(directory, name)}`;
      return [make, {
        socket: `--socket=${join(directory, "socket")}`,
        others: [
          `--key-file=${join(realm.directory, "key")}`,
          file("pid"),
          file("seed"),
          file("log"),
          "--origin=127.0.0.1",
          ...configOf(make),
        ],
      }];
    })) as Record<Make, { socket: string; others: string[] }>;
    const shortest = { ours: Infinity, reference: Infinity, programs: Infinity };
    const time = (name: keyof typeof shortest, action: () => void) => {
      const begin = performance.now();
      action();
      shortest[name] = Math.min(shortest[name], performance.now() - begin);
    };
    const run = (make: Make, name: string, ...args: string[]) => {
      const { status, err } = realm.run(make, name, args);
      assert.equal(status, 0, err);
    };
    // Not by --stop, which waits until init has reaped the process.
    const stop = (make: Make) => {
      const pid = Number(readFileSync(join(realm.directory, `stopped-${make}`, "pid"), "latin1"));
      process.kill(pid);
      while (![undefined, "Z"].includes(processState(pid)?.state)) {
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 0.2);
      }
    };
    for (const make of MAKES) run(make, "munged", options[make].socket, ...options[make].others);
    const isQuick = () => shortest.ours <= SLACK * (shortest.reference + shortest.programs);
    for (let round = 0; round < STOPS || (round < MOST_STOPS && !isQuick()); round++) {
      for (const make of MAKES) {
        const { socket, others } = options[make];
        time(make, () => {
          stop(make);
          run(make, "munged", socket, ...others);
        });
        run("ours", "munge", "-n", socket);
      }
      time("programs", () => {
        for (let i = 0; i < PROGRAMS; i++) run("ours", "munged", "--version");
      });
    }
    MAKES.forEach(stop);
    const { ours, reference, programs } = shortest;
    const text = `${ours.toFixed(0)} ms, the reference ${reference.toFixed(0)} ms, ` +
      `${PROGRAMS} programs ${programs.toFixed(0)} ms`;
    console.log(`stop and start: ${text}`);
    assert(isQuick(), text);
  });

  for (const make of MAKES) {
    const skip = make === "reference" && !hasReference && "the reference is not installed";
    test(`never fail with ${make} munged`, { skip }, async (context) => {
      const directory = join(realm.directory, `restarted-${make}`);
      mkdirSync(directory, { mode: 0o755 });
      const socket = join(directory, "socket");
      let daemon = await start(make, socket);

      /** Restarts munged while four callers use it. */
      async function restart(): Promise<{ took: number; count: number; failures: string[] }> {
        let running = true;
        let took = 0;
        let count = 0;
        const failures: string[] = [];
        const callers = Promise.all(Array.from({ length: 4 }, async () => {
          for (; running; count++) {
            const failure = await roundTrip(socket);
            if (failure !== "") failures.push(failure);
          }
        }));
        try {
          await pause(100);
          const stopped = performance.now();
          daemon.process.kill("SIGTERM");
          await daemon.ended;
          assert.equal(existsSync(socket), false);
          await pause(GAP_MS);
          daemon = await start(make, socket);
          took = performance.now() - stopped;
        } finally {
          running = false;
          await callers;
        }
        return { took, count, failures };
      }

      try {
        let proofs = 0;
        for (let tries = 0; proofs < RESTARTS && tries < MOST_TRIES; tries++) {
          const { took, count, failures } = await restart();
          if (took > LONGEST_RESTART_MS) continue;
          proofs++;
          assert.deepEqual(failures, [], `a restart of ${Math.round(took)} ms`);
          assert.ok(count > 0);
        }
        if (proofs === 0) context.skip("each restart took too long: this host is too busy");
      } finally {
        daemon.process.kill("SIGTERM");
        await daemon.ended;
      }
    });
  }
});
