// How both clients reach munged's socket: what they say about one that is missing or not munged's, and how long they wait for
// it.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { BlockingClient } from "../../../lib/client/blocking_client.ts";
import { MungeClient } from "../../../lib/client/protocol.ts";
import { MAX_PAYLOAD_LENGTH } from "../../../lib/credential/fields.ts";
import { withDirectory } from "../../harness/scratch.ts";
import { ANSWER, leaveSocket, REQUEST } from "./fake_munged.ts";

test("a file that is not munged's socket is named", async () => {
  await withDirectory(async (folder) => {
    const file = join(folder, "file");
    writeFileSync(file, "");
    const cases: readonly [path: string, message: string, code: string][] = [
      ["", "MUNGE socket name is undefined", "EMUNGE_SOCKET"],
      [
        join(folder, "none"),
        `Failed to access "${folder}/none": No such file or directory (Did you start munged?)`,
        "EMUNGE_SOCKET",
      ],
      [
        join(file, "x"),
        `Failed to access "${file}/x": Not a directory`,
        "EMUNGE_SOCKET",
      ],
      [file, `Invalid file type for socket "${file}"`, "EMUNGE_SOCKET"],
    ];
    for (const [path, message, code] of cases) {
      await assert.rejects(new MungeClient(path).encode(REQUEST), { message, code });
    }
  });
});

test("a path too long for a socket address is refused, never truncated", async () => {
  await withDirectory(async (folder) => {
    const path = join(folder, "s".repeat(108 - folder.length - 1));
    await leaveSocket(path);
    await assert.rejects(new MungeClient(path).encode(REQUEST), {
      code: "EMUNGE_OVERFLOW",
      message: /^Exceeded maximum length of 10[48] bytes for socket pathname$/,
    });
  });
});

test("a socket without a listener is tried ten times, then named", async () => {
  await withDirectory(async (folder) => {
    const path = join(folder, "stale");
    await leaveSocket(path);
    const started = performance.now();
    await assert.rejects(new MungeClient(path).encode(REQUEST), {
      code: "EMUNGE_SOCKET",
      message: `Failed to connect to "${path}": Connection refused`,
    });
    const took = performance.now() - started;
    assert.ok(took >= 2240, `${took} ms, of which 2250 are pauses`);
  });
});

test("a daemon that starts while the client waits is found", async () => {
  await withDirectory(async (folder) => {
    const path = join(folder, "socket");
    await leaveSocket(path);
    const answer = new MungeClient(path).encode(REQUEST);
    await pause(100);
    rmSync(path);
    const server = createServer((socket) => socket.on("error", () => {}).resume().end(ANSWER));
    server.listen(path);
    try {
      assert.equal((await answer).errno, 0);
    } finally {
      await new Promise((resolve) => server.close(resolve));
    }
  });
});

test("both clients wait for a socket that is missing for a moment", async () => {
  await withDirectory(async (folder) => {
    const path = join(folder, "socket");
    const answer = Buffer.from(ANSWER).toString("hex");
    // The blocking client blocks this thread, so another process creates the socket.
    const program = `
      const { createServer } = require("node:net");
      const answer = Buffer.from("${answer}", "hex");
      setTimeout(() => {
        const server = createServer((socket) => {
          socket.on("error", () => {}).resume().end(answer);
        });
        server.listen(${JSON.stringify(path)});
      }, 400);
      setTimeout(() => process.exit(), 20_000);
      console.log("started");
    `;
    for (
      const ask of [
        () => new MungeClient(path).encode(REQUEST),
        () => new BlockingClient(path).encode(REQUEST),
      ]
    ) {
      const server = spawn(process.execPath, ["-e", program], {
        stdio: ["ignore", "pipe", "inherit"],
      });
      try {
        await once(server.stdout, "data"); // a start alone may take as long as clients wait
        assert.equal((await ask()).errno, 0);
      } finally {
        server.kill("SIGKILL");
        await once(server, "exit");
        rmSync(path, { force: true });
      }
    }
  });
});

test("a socket that never appears is waited for no longer than one that refuses", async () => {
  const path = "/tmp/munge-client-none/socket";
  const error = {
    code: "EMUNGE_SOCKET",
    message: `Failed to access "${path}": No such file or directory (Did you start munged?)`,
  };
  for (
    const [ask, least, most] of [
      [() => new MungeClient(path).encode(REQUEST), 2240, 10_000],
      [
        () => new Promise((resolve) => resolve(new BlockingClient(path).encode(REQUEST))),
        2240,
        10_000,
      ],
      [() => new MungeClient(path).encode(REQUEST, { waitForSocket: false }), 0, 2000],
      [
        () =>
          new Promise((resolve) =>
            resolve(new BlockingClient(path, { waitForSocket: false }).encode(REQUEST))
          ),
        0,
        2000,
      ],
      // What kept it waiting says more than that time ran out.
      [() => new MungeClient(path).encode(REQUEST, { timeoutMs: 200 }), 190, 2000],
    ] as const
  ) {
    const started = performance.now();
    await assert.rejects(ask, error);
    const took = performance.now() - started;
    assert.ok(took >= least && took < most, `${took} ms, not ${least} to ${most}`);
  }
});

test("a long request without a munged is a socket error", async () => {
  const payload = new Uint8Array(MAX_PAYLOAD_LENGTH + 1);
  const options = { waitForSocket: false };
  for (
    const encode of [
      () => new MungeClient("/nonexistent/socket").encode({ ...REQUEST, payload }, options),
      // deno-lint-ignore require-await -- a promise, so that the error is a rejection
      async () =>
        new BlockingClient("/nonexistent/socket", options).encode({ ...REQUEST, payload }),
    ]
  ) {
    await assert.rejects(encode, { code: "EMUNGE_SOCKET", message: /Did you start munged/ });
  }
});
