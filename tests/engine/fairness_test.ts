// Stalling clients are disconnected in time and cost the other clients nothing; a user who floods munged with requests of
// any kind does not slow down other users.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { BlockingClient } from "../../lib/client/blocking_client.ts";
import type { MungeError } from "../../lib/errors.ts";
import { quantile } from "../../scripts/benchmarks/statistics.ts";
import { type Munged, Realm } from "../harness/realm.ts";
import { hasReference, isRoot, type Make } from "../harness/programs.ts";
import { encodeRequest } from "../requests.ts";
import { leastOf, measureRate, medianOfPairs, NOBODY, runProgram, Stallers } from "./load.ts";
import { suite } from "../suite.ts";

const TIMEOUT_MS = 2_000;
/** How much longer it may take on a busy machine. */
const LATENESS_MS = 6_000;
const PAIRS = 5;
/** As a share of the unloaded rate. */
const MIN_RATE = 0.9;
/** How long a line that would recur endlessly is not logged again. */
const LOG_LIMIT_MS = 300_000;
/** Clients of the flooding user. */
const FLOODERS = 64;

/** Milliseconds for each of many encodes by one client. */
async function encodeTimes(socket: string, duration: number): Promise<number[]> {
  const client = new BlockingClient(socket);
  const times: number[] = [];
  const end = performance.now() + duration;
  while (performance.now() < end) {
    const start = performance.now();
    try {
      assert.equal(client.encode(encodeRequest()).errno, 0);
    } catch (error) {
      assert.equal((error as MungeError).code, "EMUNGE_SOCKET"); // after which the client counts as waiting
    }
    times.push(performance.now() - start);
    await pause(1);
  }
  return times;
}

suite("fairness", process.platform !== "linux" && "needs epoll", () => {
  let realm: Realm;
  let munged: Munged;
  let begun = 0;
  before(async () => {
    realm = new Realm();
    begun = performance.now();
    munged = await realm.start("ours");
  });
  after(() => realm.close());

  test("clients that stall in any way are disconnected after 2,000 ms", async () => {
    const stallers = new Stallers(munged.socket, 30);
    await stallers.start();
    await pause(TIMEOUT_MS + LATENESS_MS);
    const { cut, shortest, longest } = await stallers.pause();
    await stallers.stop();
    assert(cut >= 30, `${cut} were cut off`);
    assert.equal(Object.keys(shortest).length, 5);
    for (const [kind, time] of Object.entries(shortest)) {
      assert(time > TIMEOUT_MS - 50, `${kind}: ${time} ms`);
      assert(longest[kind]! < TIMEOUT_MS + LATENESS_MS, `${kind}: ${longest[kind]} ms`);
    }
  });

  test("500 stalling clients, which reconnect when disconnected, leave the others their rate", async () => {
    const stallers = new Stallers(munged.socket, 500);
    const ratio = await medianOfPairs(PAIRS, { least: MIN_RATE }, async () => {
      const unloaded = await measureRate(realm, munged.socket, 1);
      await stallers.start();
      await pause(TIMEOUT_MS);
      const loaded = await measureRate(realm, munged.socket, 1);
      const { cut } = await stallers.pause();
      return cut >= 500 ? loaded / unloaded : 0; // without reconnecting clients, a pair proves nothing
    });
    await stallers.stop();
    console.log(`rate beside 500 stalling clients: ${ratio.toFixed(2)} of the unloaded one`);
  });

  test("100 stalling clients stop the C daemon completely, but not ours", {
    skip: !hasReference && "MUNGE is not installed",
  }, async () => {
    const reference = await realm.start("reference");
    const served: Record<string, number> = {};
    for (const { make, socket } of [reference, munged]) {
      const stallers = new Stallers(socket, 100, "nothing");
      await stallers.start();
      const clients = Array.from(
        { length: 4 },
        () => runProgram(realm, "reference", "munge", ["-n", "-S", socket], { timeout: 8_000 }),
      );
      const outcomes = await Promise.all(clients);
      served[make] = outcomes.filter(({ status }) => status === 0).length;
      await stallers.stop();
    }
    await reference.stop();
    assert.deepEqual(served, { reference: 0, ours: 4 });
  });

  /** The 99th percentile of another user's waits, in ms, while a user floods munged with requests of 1 MiB. */
  async function waitBesideFlood(make: Make, ...options: string[]): Promise<number> {
    const daemon = await realm.start(make);
    const flood = runProgram(realm, "ours", "remunge", [
      `--socket=${daemon.socket}`,
      "--length=1048000",
      `--num-threads=${FLOODERS}`,
      "--duration=5",
      ...options,
    ], { ...NOBODY });
    await pause(1_500);
    const times = await encodeTimes(daemon.socket, 3_000);
    await flood;
    await daemon.stop();
    return quantile(Float64Array.from(times).sort(), 0.99);
  }

  for (const options of [["--zip=bzlib"], ["--zip=bzlib", "--decode"], ["--zip=zlib"]]) {
    test(`a flooding user (${options.join(" ")}) slows down no other user`, {
      skip: (!isRoot && "needs root, to be two users") ||
        (!hasReference && "MUNGE is not installed"),
    }, async () => {
      await leastOf({ most: 0.1 }, async () => {
        const reference = await waitBesideFlood("reference", ...options);
        const ours = await waitBesideFlood("ours", ...options);
        console.log(
          `p99 beside a flood: ${ours.toFixed(1)} ms, reference ${reference.toFixed(1)} ms`,
        );
        return ours / reference;
      });
    });
  }

  test(
    "a user who floods munged with bad credentials slows down others no more than the C daemon's",
    {
      skip: (!isRoot && "needs root, to be two users") ||
        (!hasReference && "MUNGE is not installed"),
    },
    async () => {
      const wait = async (make: Make) => {
        const daemon = await realm.start(make);
        const file = join(import.meta.dirname, "bad_flood.ts");
        const flood = spawn(process.execPath, [file, daemon.socket, `${FLOODERS}`], {
          stdio: ["pipe", "pipe", "inherit"],
          ...NOBODY,
        });
        await once(flood.stdout, "data");
        const times = await encodeTimes(daemon.socket, 1_500);
        flood.stdin.end();
        await once(flood, "exit");
        await daemon.stop();
        return quantile(Float64Array.from(times).sort(), 0.99);
      };
      await leastOf({ most: 5 }, async () => {
        const [reference, ours] = [await wait("reference"), await wait("ours")];
        const shown = [ours, reference].map((time) => time.toFixed(1));
        console.log(`p99 beside bad credentials: ${shown[0]} ms, reference ${shown[1]} ms`);
        return ours - 2 * reference;
      });
    },
  );

  test(
    "a user who floods munged over kept connections slows down others no more than over new ones",
    {
      skip: !isRoot && "needs root, to be two users",
    },
    async () => {
      const { socket } = munged;
      const p99 = (times: number[]) => quantile(Float64Array.from(times).sort(), 0.99);
      await medianOfPairs(3, { most: 5 }, async () => {
        const args = [`--socket=${socket}`, `--num-threads=${FLOODERS}`, "--duration=2", "--quiet"];
        const flood = runProgram(realm, "ours", "remunge", args, { ...NOBODY });
        await pause(400);
        const besideNew = p99(await encodeTimes(socket, 1_000));
        await flood;
        const floods = [1, 2].map(() => {
          const file = join(import.meta.dirname, "kept_flood.ts");
          return spawn(process.execPath, [file, socket], {
            stdio: ["pipe", "pipe", "inherit"],
            ...NOBODY,
          });
        });
        await Promise.all(floods.map(({ stdout }) => once(stdout, "data")));
        const besideKept = p99(await encodeTimes(socket, 1_000));
        const ended = floods.map((each) => once(each, "exit"));
        for (const { stdin } of floods) stdin.end();
        await Promise.all(ended);
        const shown = [besideKept, besideNew].map((time) => time.toFixed(1));
        console.log(`p99 beside kept connections: ${shown[0]} ms, beside new ones ${shown[1]} ms`);
        return besideKept - 2 * besideNew;
      });
    },
  );

  test("the daemon logs all that once in five minutes, and stops cleanly", async () => {
    const lines = munged.log().split("\n").filter((line) => /Timed-out/.test(line));
    const kinds = new Set(lines.map((line) => line.replace(/ \(.*/, "")));
    assert.equal(kinds.size, 3, lines.join("\n"));
    const times = 1 + Math.floor((performance.now() - begun) / LOG_LIMIT_MS);
    assert(lines.length <= times * kinds.size, lines.join("\n"));
    assert.equal(await munged.stop(), 0);
  });
});
