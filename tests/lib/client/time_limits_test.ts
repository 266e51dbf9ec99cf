// When the asynchronous client gives up on a server that does not answer: time limits and abort signals. It leaves no
// descriptor open.
import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { MungeClient } from "../../../lib/client/protocol.ts";
import { withDirectory } from "../../harness/scratch.ts";
import { until } from "../../harness/until.ts";
import { openSockets } from "../../mod/daemons.ts";
import {
  ANSWER,
  answerWith,
  leaveSocket,
  REQUEST,
  retriesOf,
  withServer,
  withSocket,
} from "./fake_munged.ts";

test("a stalling server is given up on after five timeouts, and the error names the step", async () => {
  const messageTimeoutMs = 200; // what the server sends has arrived by then, even on a busy machine
  for (const [part, answer] of [["header", 0], ["header", 6], ["body", 13]] as const) {
    await withServer(
      (socket) => socket.write(ANSWER.subarray(0, answer)),
      async (path, received) => {
        const started = performance.now();
        await assert.rejects(new MungeClient(path).encode(REQUEST, { messageTimeoutMs }), {
          code: "EMUNGE_SOCKET",
          message: `Failed to receive message ${part}: Timed-out`,
        });
        assert.ok(performance.now() - started >= 5 * (messageTimeoutMs - 1) + 95);
        assert.deepEqual(retriesOf(received), [0, 1, 2, 3, 4]);
      },
    );
  }
});

test("a server that does not read the request is given up on as well", async () => {
  const payload = new Uint8Array(1_048_576);
  await withSocket(
    () => {},
    (path) =>
      assert.rejects(
        new MungeClient(path).encode({ ...REQUEST, payload }, { messageTimeoutMs: 40 }),
        { code: "EMUNGE_SOCKET", message: "Failed to send message: Timed-out" },
      ),
    { pauseOnConnect: true },
  );
});

test("a time limit may have any length", async () => {
  await withServer((socket) => setTimeout(() => socket.end(ANSWER), 30), async (path) => {
    const client = new MungeClient(path);
    for (const option of ["timeoutMs", "messageTimeoutMs"] as const) {
      for (const limit of [2 ** 31 - 1, 2 ** 31, 2 ** 32 + 5, Infinity, undefined]) {
        assert.equal((await client.encode(REQUEST, { [option]: limit })).errno, 0);
      }
      for (const limit of [NaN, -1]) {
        await assert.rejects(client.encode(REQUEST, { [option]: limit }), {
          code: "EMUNGE_BAD_ARG",
          message: `Invalid time limit ${limit}`,
        });
      }
    }
    await assert.rejects(new MungeClient(path).encode(REQUEST, { timeoutMs: 1 }), {
      code: "EMUNGE_TIMEOUT",
    });
  });
});

test("an aborted signal ends the transaction with its reason at any point", async () => {
  const reason = new Error("enough");
  const client = (path: string, signal: AbortSignal) =>
    assert.rejects(new MungeClient(path).encode(REQUEST, { signal }), (error) => error === reason);
  await withServer(() => {}, async (path, received) => {
    await client(path, AbortSignal.abort(reason));
    assert.equal(received.length, 0);
    for (const delay of [0, 1, 30]) {
      const controller = new AbortController();
      setTimeout(() => controller.abort(reason), delay);
      await client(path, controller.signal);
    }
  });
  await withDirectory(async (folder) => {
    const path = join(folder, "stale");
    await leaveSocket(path);
    const controller = new AbortController();
    const started = performance.now();
    setTimeout(() => controller.abort(reason), 120);
    await client(path, controller.signal);
    assert.ok(performance.now() - started < 2000, "not at the end of the pauses");
  });
});

test("no descriptor is left after success, failure, timeout and abort", async (context) => {
  const before = openSockets();
  if (before === undefined) return context.skip("there is no /proc/self/fd");
  await withServer((socket) => socket.end(ANSWER), async (path) => {
    for (let i = 0; i < 30; i++) await new MungeClient(path).encode(REQUEST);
  });
  await withServer((socket) => socket.end(answerWith(0, 9)), async (path) => {
    for (let i = 0; i < 3; i++) await assert.rejects(new MungeClient(path).encode(REQUEST));
  });
  await withServer(() => {}, async (path) => {
    await assert.rejects(new MungeClient(path).encode(REQUEST, { messageTimeoutMs: 5 }));
    for (let i = 0; i < 30; i++) {
      const signal = AbortSignal.timeout(i % 5);
      await assert.rejects(new MungeClient(path).encode(REQUEST, { signal }));
    }
    // Sockets of earlier tests may be closed meanwhile.
    await until("only the listening socket is left", () => openSockets()! <= before + 1);
  });
  await until("no socket is left", () => openSockets()! <= before);
});
