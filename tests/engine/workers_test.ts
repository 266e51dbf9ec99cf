// Dying and late workers: dead ones are replaced, no client waits for an answer that will not come, and munged gives up if
// they keep dying.
import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import { after, before, beforeEach, describe, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { createCounters } from "../../daemon/munged/observe/counters.ts";
import { DEFAULTS } from "../../daemon/munged/config.ts";
import { resolvePolicy } from "../../daemon/munged/policy/policy.ts";
import { Engine } from "../../daemon/munged/serve/engine.ts";
import type { EngineSettings } from "../../daemon/munged/serve/worker_messages.ts";
import { NO_GROUPS } from "../../daemon/munged/groups/map.ts";
import { stderrLog } from "../../daemon/process/log_target.ts";
import { createRecentMessages } from "../../daemon/process/recent_messages.ts";
import { primitives } from "../../lib/primitives/library.ts";
import { ERRNO } from "../../lib/errors.ts";
import { MAX_PAYLOAD_LENGTH } from "../../lib/credential/fields.ts";
import { deriveSubkeys } from "../../lib/credential/subkeys.ts";
import { shareSubkeys } from "../../daemon/munged/keys/shared_subkeys.ts";
import { formatEncodeRequest } from "../../lib/protocol/message.ts";
import { listenUnix } from "../../lib/os/socket.ts";
import { memoryLogger } from "../daemon/memory_logger.ts";
import { exchangeRaw } from "../interop/raw.ts";
import { encodeRequest } from "../requests.ts";
import { until } from "../harness/until.ts";

const THREADS = 2;

function requestWith(length: number): Uint8Array {
  return formatEncodeRequest(encodeRequest({ payload: new Uint8Array(length) }), 0);
}

const request = requestWith(10);

describe("workers", () => {
  /** Makes a thread die (mortal_globals.ts). */
  const flag = `/tmp/munged-mortal-${process.pid}`;
  let directory: string;
  let socketPath: string;
  let log: ReturnType<typeof memoryLogger>;
  let count = 0;

  before(() => {
    directory = mkdtempSync("/tmp/munged-engine-");
  });
  after(() => rmSync(directory, { recursive: true }));
  beforeEach(() => {
    socketPath = join(directory, `socket${++count}`);
    log = memoryLogger();
  });

  /** Starts an engine, and waits for all its threads. */
  async function start(workerFile = "mortal_worker.ts"): Promise<Engine> {
    const engine = await startFirst(workerFile);
    await engine.complete();
    return engine;
  }

  /** Starts an engine, and waits for its first thread. */
  function startFirst(workerFile: string): Promise<Engine> {
    const subkeys = deriveSubkeys(new Uint8Array(128).fill(7), primitives);
    const secret = shareSubkeys(subkeys, () => {});
    const key = { secret, role: "active", since: 0, expiry: null } as const;
    const settings: EngineSettings = {
      listener: listenUnix(socketPath, 64),
      threads: THREADS,
      maxPayload: MAX_PAYLOAD_LENGTH,
      parkedBytes: 32 * 1024 * 1024,
      maxTtl: 3600,
      defaultTtl: 300,
      timestampDriftMax: null,
      originAddress: new Uint8Array(4),
      realms: new Map([["", { ring: [key], policy: resolvePolicy(DEFAULTS, "") }]]),
      groups: NO_GROUPS,
      overflow: { uid: null, gid: null },
      replay: null,
      store: null,
      log: stderrLog(DEFAULTS),
      status: {
        startTime: 0,
        maxPayload: MAX_PAYLOAD_LENGTH,
        counters: createCounters(THREADS),
        recent: createRecentMessages(),
        replay: null,
        socket: { held_by_manager: false, taken_over_from: null },
        store: null,
      },
      accepting: true,
      handoverListener: null,
    };
    return Engine.start(settings, log, new URL(workerFile, import.meta.url));
  }

  /** A client that has had time to send some bytes, and what it received by the time the daemon hung up. */
  async function stall(bytes: Uint8Array): Promise<{ socket: Socket; answer: Promise<Buffer> }> {
    const socket = connect(socketPath);
    const pieces: Buffer[] = [];
    const answer = new Promise<Buffer>((resolve) => {
      socket.on("data", (piece) => pieces.push(piece));
      socket.on("error", () => {});
      socket.on("close", () => resolve(Buffer.concat(pieces)));
    });
    socket.write(bytes);
    await pause(100);
    return { socket, answer };
  }

  const deaths = () =>
    log.lines.filter((line) => /^error: Worker thread \d ended(?:: \S| unexpectedly$)/.test(line));
  const descriptors = () => readdirSync("/proc/self/fd").length;

  for (const death of ["throw", "exit"]) {
    test(`are replaced (${death}), their clients disconnected, and the others served`, async () => {
      const engine = await start();
      assert.equal((await exchangeRaw(socketPath, request))!.errno, 0);
      const half = await Promise.all(
        Array.from({ length: 8 }, () => stall(request.subarray(0, 20))),
      );
      writeFileSync(flag, death);
      const victim = await stall(request.subarray(0, 1));
      assert.equal((await victim.answer).length, 0);
      await until("a death", () => deaths().length === 1);
      // Other clients finish their requests; those of the dead worker were disconnected.
      for (const { socket } of half) socket.write(request.subarray(20));
      const lengths = (await Promise.all(half.map(({ answer }) => answer))).map(({ length }) =>
        length
      );
      assert(lengths.every((length) => length === 0 || length > 100), String(lengths));
      const served = await Promise.all(
        Array.from({ length: 20 }, () => exchangeRaw(socketPath, request)),
      );
      assert(served.every((answer) => answer?.errno === 0));
      await engine.stop();
    });
  }

  test("don't die if there is no memory for a request, which is refused or disconnected", async () => {
    const engine = await start("poor_worker.ts");
    const large = await Promise.all(
      Array.from({ length: 4 }, () => exchangeRaw(socketPath, requestWith(1_000_000))),
    );
    for (const answer of large) {
      assert(answer === null || answer.errno === ERRNO.EMUNGE_NO_MEMORY, String(answer?.errno));
    }
    for (let i = 0; i < 10; i++) assert.equal((await exchangeRaw(socketPath, request))!.errno, 0);
    // Memory that was refused does not count as used, so no client is disconnected for it.
    const refused = requestWith(600_000);
    for (let i = 0; i < 1000; i++) await exchangeRaw(socketPath, refused);
    const served = requestWith(100_000);
    const halves = await Promise.all(
      Array.from({ length: 8 }, () => stall(served.subarray(0, 50_000))),
    );
    for (const { socket } of halves) socket.write(served.subarray(50_000));
    for (const { answer } of halves) assert((await answer).length > 100);
    assert.deepEqual(deaths(), []);
    await engine.stop();
  });

  test("leave no descriptors behind", async () => {
    const engine = await start();
    const die = async () => {
      const before = deaths().length;
      writeFileSync(flag, "throw");
      await (await stall(request.subarray(0, 1))).answer;
      await until("a death", () => deaths().length > before);
      await exchangeRaw(socketPath, request);
      await engine.complete();
    };
    await die();
    const before = descriptors();
    for (let i = 0; i < 3; i++) await die();
    await until("closed descriptors", () => descriptors() <= before + 1);
    await engine.stop();
  });

  test("do not hold up the engine's end or a change of keys if they hang", async () => {
    const engine = await start("stuck_worker.ts");
    const change = engine.updateRealms(
      new Map([["", { ring: [], policy: resolvePolicy(DEFAULTS, "") }]]),
    );
    const begun = performance.now();
    await engine.stop();
    await change;
    const took = performance.now() - begun;
    assert(took > 2_000 && took < 30_000, `${took} ms`);
    assert(log.lines.includes("error: Worker thread 1 did not stop in time"), log.lines.join("\n"));
  });

  test("other than the first start when a client comes", async () => {
    const { Worker } = globalThis;
    let started = 0;
    globalThis.Worker = class extends Worker {
      constructor(...args: ConstructorParameters<typeof Worker>) {
        super(...args);
        started++;
      }
    };
    try {
      const engine = await startFirst("mortal_worker.ts");
      await pause(300);
      assert.equal(started, 1);
      assert.equal((await exchangeRaw(socketPath, request))!.errno, 0);
      await until("all threads", () => started === THREADS);
      await engine.complete();
      assert.deepEqual(deaths(), []);
      await engine.stop();
    } finally {
      globalThis.Worker = Worker;
    }
  });

  test("that can't be started for lack of processes are started later", async () => {
    const { Worker } = globalThis;
    const engine = await startFirst("mortal_worker.ts");
    const failure = "error: Failed to start worker thread 2: Failed to spawn worker thread";
    globalThis.Worker = class {
      constructor() {
        throw new TypeError("Failed to spawn worker thread"); // as the runtime does after EAGAIN
      }
    } as unknown as typeof Worker;
    try {
      const before = descriptors();
      assert.equal((await exchangeRaw(socketPath, request))!.errno, 0);
      await until("a failure", () => log.lines.includes(failure));
      assert.equal((await exchangeRaw(socketPath, request))!.errno, 0);
      await until("closed descriptors", () => descriptors() <= before);
      let started = 0;
      globalThis.Worker = class extends Worker {
        constructor(...args: ConstructorParameters<typeof Worker>) {
          super(...args);
          started++;
        }
      };
      await engine.complete();
      await pause(1_500); // until it would have been tried again
      assert.equal(started, 1);
    } finally {
      globalThis.Worker = Worker;
    }
    await engine.stop();
  });

  test("that start late hold up neither the engine's start nor its clients", async () => {
    const late = `/tmp/munged-late-${process.pid}`;
    try {
      const engine = await startFirst("late_worker.ts");
      let isComplete = false;
      const complete = engine.complete().then(() => isComplete = true);
      for (let i = 0; i < 20; i++) {
        assert.equal((await exchangeRaw(socketPath, request))!.errno, 0);
      }
      assert(!isComplete);
      writeFileSync(`${late}/go`, "");
      await complete;
      assert.deepEqual(deaths(), []);
      await engine.stop();
    } finally {
      rmSync(late, { recursive: true, force: true });
    }
  });

  test("repeatedly end the engine", async () => {
    const engine = await start();
    const failed = Promise.race([engine.failed, pause(60_000)]);
    let isOver = false;
    failed.finally(() => isOver = true);
    while (!isOver) {
      writeFileSync(flag, "throw");
      const { socket } = await stall(request.subarray(0, 1));
      await pause(100);
      socket.destroy();
    }
    assert.equal((await failed as Error).message, "Worker threads keep ending");
    rmSync(flag, { force: true });
    await engine.stop();
  });
});
