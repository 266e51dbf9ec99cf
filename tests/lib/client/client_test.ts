// The asynchronous client against servers that answer, stall, lie and disappear, and against the C munged if it is
// installed.
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import {
  chmodSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readlinkSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { join } from "node:path";
import { once } from "node:events";
import { test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { BlockingClient } from "../../../lib/client/blocking_client.ts";
import { MungeClient } from "../../../lib/client/protocol.ts";
import { LARGEST_PAYLOAD_LENGTH, MAX_PAYLOAD_LENGTH } from "../../../lib/credential/fields.ts";
import {
  ANY_ID,
  formatEncodeResponse,
  formatLimitsResponse,
  HEADER_LENGTH,
  MAX_REQUEST_LENGTH,
  MESSAGE_TYPE,
  parseDecodeRequest,
  parseEncodeRequest,
  parseHeader,
} from "../../../lib/protocol/message.ts";
import { encodeRequest } from "../../requests.ts";
import { until } from "../../harness/until.ts";

const REQUEST = encodeRequest({ payload: new Uint8Array([1, 2, 3]) });
const CREDENTIAL = new TextEncoder().encode("MUNGE:x:");
const ANSWER = formatEncodeResponse({ errno: 0, errorText: "", credential: CREDENTIAL }, 0);

/** The answer with its bytes from `at` replaced. */
function answerWith(at: number, ...bytes: number[]): Uint8Array {
  const answer = ANSWER.slice();
  answer.set(bytes, at);
  return answer;
}

/** What a server received: one complete request per connection. */
interface Received {
  readonly retry: number;
  readonly message: Uint8Array;
}

/**
 * Runs `use` with a server that calls `answer` for each complete request and keeps the requests in `received`. As the C
 * munged, it hangs up on a client that asks to keep the connection.
 */
async function withServer(
  answer: (socket: Socket, received: readonly Received[]) => void,
  use: (path: string, received: readonly Received[]) => Promise<void>,
): Promise<void> {
  const folder = mkdtempSync("/tmp/munge-client-");
  const path = join(folder, "socket");
  const received: Received[] = [];
  const sockets = new Set<Socket>();
  const server: Server = createServer((socket) => {
    sockets.add(socket);
    let bytes = Buffer.alloc(0);
    socket.on("error", () => {});
    socket.on("data", (piece) => {
      bytes = Buffer.concat([bytes, piece]);
      if (bytes.length < HEADER_LENGTH) return;
      const { type, length, retry } = parseHeader(bytes);
      if (bytes.length < HEADER_LENGTH + length) return;
      if (type === MESSAGE_TYPE.keepRequest) {
        socket.destroy();
        return;
      }
      received.push({ retry, message: bytes });
      answer(socket, received);
    });
  });
  await new Promise<void>((resolve) => server.listen(path, resolve));
  try {
    await use(path, received);
  } finally {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
    rmSync(folder, { recursive: true });
  }
}

const retriesOf = (received: readonly Received[]) => received.map(({ retry }) => retry);

test("encode() returns the response, and sends the request unchanged", async () => {
  await withServer((socket) => socket.end(ANSWER), async (path, received) => {
    const response = await new MungeClient(path).encode(REQUEST);
    assert.equal(response.errno, 0);
    assert.equal(Buffer.from(response.credential).toString(), "MUNGE:x:");
    assert.deepEqual(retriesOf(received), [0]);
    const sent = parseEncodeRequest(received[0]!.message.subarray(HEADER_LENGTH));
    assert.deepEqual([...sent.payload], [1, 2, 3]);
    assert.equal(sent.uidRestriction, ANY_ID);
  });
});

test("decode() sends the credential and accepts only a decode response", async () => {
  await withServer((socket) => socket.end(ANSWER), async (path, received) => {
    await assert.rejects(new MungeClient(path).decode({ credential: CREDENTIAL }), {
      message: "Received unexpected message type: wanted 5, got 3",
    });
    const sent = parseDecodeRequest(received[0]!.message.subarray(HEADER_LENGTH));
    assert.equal(Buffer.from(sent.credential).toString(), "MUNGE:x:");
  });
});

test("an error of the daemon is a response, and is not retried", async () => {
  const failure = { errno: 3, errorText: "too long", credential: new Uint8Array() };
  await withServer(
    (socket) => socket.end(formatEncodeResponse(failure, 0)),
    async (path, received) => {
      const response = await new MungeClient(path).encode(REQUEST);
      assert.equal(response.errno, 3);
      assert.equal(response.errorText, "too long");
      assert.deepEqual(retriesOf(received), [0]);
    },
  );
});

test("a response may arrive byte by byte, and be followed by other bytes", async () => {
  const byteByByte = async (socket: Socket) => {
    for (const byte of [...ANSWER, 1, 2, 3]) {
      if (socket.destroyed) return;
      socket.write(Uint8Array.of(byte));
      await pause(1);
    }
  };
  await withServer((socket) => void byteByByte(socket), async (path, received) => {
    const response = await new MungeClient(path).encode(REQUEST);
    assert.equal(response.credential.length, 8);
    assert.deepEqual(retriesOf(received), [0]);
  });
});

test("a large request arrives whole", async () => {
  const payload = new Uint8Array(randomBytes(1_048_576));
  await withServer((socket) => socket.end(ANSWER), async (path, received) => {
    await new MungeClient(path).encode({ ...REQUEST, payload });
    const sent = parseEncodeRequest(received[0]!.message.subarray(HEADER_LENGTH));
    assert.ok(Buffer.from(payload).equals(sent.payload));
  });
});

test("a failed transaction is sent again with the retry byte counting up", async () => {
  await withServer(
    (socket, received) => received.length < 4 ? socket.destroy() : socket.end(ANSWER),
    async (path, received) => {
      const started = performance.now();
      assert.equal((await new MungeClient(path).encode(REQUEST)).errno, 0);
      assert.deepEqual(retriesOf(received), [0, 1, 2, 3]);
      assert.ok(performance.now() - started >= 55, "pauses of 10, 20 and 30 ms");
    },
  );
});

test("a persistent failure is an error after five tries", async () => {
  const cases: readonly [message: string, answer: Uint8Array][] = [
    ["Received incomplete message header: 0 of 11 bytes", new Uint8Array()],
    ["Received incomplete message header: 5 of 11 bytes", ANSWER.subarray(0, 5)],
    ["Received incomplete message body: 2 of 15 bytes", ANSWER.subarray(0, HEADER_LENGTH + 2)],
    ["Received invalid message magic 157314379", answerWith(0, 9)],
    ["Received invalid message version 9", answerWith(4, 9)],
    ["Received unexpected message type: wanted 3, got 2", answerWith(5, 2)],
    ["Failed to unpack message type 3", answerWith(HEADER_LENGTH + 2, 9)],
  ];
  for (const [message, answer] of cases) {
    await withServer((socket) => socket.end(answer), async (path, received) => {
      await assert.rejects(new MungeClient(path).encode(REQUEST), {
        name: "MungeError",
        code: "EMUNGE_SOCKET",
        message,
      });
      assert.deepEqual(retriesOf(received), [0, 1, 2, 3, 4], message);
    });
  }
});

test("a response that claims to be too long is refused at once", async () => {
  const answer = answerWith(7, 0x7f, 0xff, 0xff, 0xff);
  await withServer((socket) => socket.end(answer), async (path, received) => {
    await assert.rejects(new MungeClient(path).encode(REQUEST), { code: "EMUNGE_BAD_LENGTH" });
    assert.deepEqual(retriesOf(received), [0]);
  });
});

/** Answers the question for munged's limits, and any other request with a credential. */
const munged = (maxPayload: number) => (socket: Socket, received: readonly Received[]) => {
  const { type } = parseHeader(received.at(-1)!.message);
  const isQuestion = type === MESSAGE_TYPE.limitsRequest;
  socket.end(isQuestion ? formatLimitsResponse(maxPayload, 0) : ANSWER);
};
/** What a munged that does not know the question does. */
const SILENT = {
  closing: (socket: Socket) => socket.end(),
  "answering something else": (socket: Socket) => socket.end(ANSWER),
} as const;
const typesOf = (received: readonly Received[]) =>
  received.map(({ message }) => parseHeader(message).type);

const BAD_LENGTH = "EMUNGE_BAD_LENGTH";

for (
  const [what, answer] of [
    ["with the protocol's limits", munged(MAX_PAYLOAD_LENGTH)],
    ...Object.entries(SILENT),
  ] as const
) {
  test(`a request that is too long for a munged ${what} is refused without being sent`, async () => {
    const payload = new Uint8Array(MAX_PAYLOAD_LENGTH + 1);
    const credential = new Uint8Array(MAX_REQUEST_LENGTH - 4);
    const longer = new Uint8Array(MAX_REQUEST_LENGTH);
    await withServer(answer, async (path, received) => {
      const client = new MungeClient(path);
      await assert.rejects(client.encode({ ...REQUEST, payload }), {
        code: BAD_LENGTH,
        message: "Payload size 1048577 exceeded maximum of 1048576",
      });
      await assert.rejects(client.decode({ credential }), {
        code: BAD_LENGTH,
        message: "Failed to send message: Size 2097153 exceeded maximum of 2097152",
      });
      await assert.rejects(client.decode({ credential: longer }), {
        code: BAD_LENGTH,
        message: "Credential size 2097153 exceeded maximum of 2097152",
      });
      assert.deepEqual([...new Set(typesOf(received))], [MESSAGE_TYPE.limitsRequest]);
    });
  });
}

test("a request may be as long as munged says, and only a long one asks", async () => {
  const { encodeRequest: encode, limitsRequest: ask } = MESSAGE_TYPE;
  await withServer(munged(3_000_000), async (path, received) => {
    const client = new MungeClient(path);
    await client.encode({ ...REQUEST, payload: new Uint8Array(MAX_PAYLOAD_LENGTH) });
    assert.deepEqual(typesOf(received), [encode]);
    const payload = new Uint8Array(3_000_000).fill(1);
    const encoding = client.encode({ ...REQUEST, payload });
    payload.fill(2); // the caller's buffer, which it may use again
    await encoding;
    assert.deepEqual(typesOf(received), [encode, ask, encode]);
    const sent = parseEncodeRequest(received[2]!.message.subarray(HEADER_LENGTH));
    assert(sent.payload.length === 3_000_000 && sent.payload.every((byte) => byte === 1));
    for (const length of [3_000_001, 70_000_000]) {
      await assert.rejects(client.encode({ ...REQUEST, payload: new Uint8Array(length) }), {
        code: BAD_LENGTH,
        message: `Payload size ${length} exceeded maximum of 3000000`,
      });
    }
    await assert.rejects(client.decode({ credential: new Uint8Array(6_000_000) }), {
      code: BAD_LENGTH,
      message: "Credential size 6000001 exceeded maximum of 6000000",
    });
  });
});

test("a munged that claims more than any munged accepts is not believed", async () => {
  await withServer(munged(0xffff_ffff), async (path) => {
    const payload = new Uint8Array(LARGEST_PAYLOAD_LENGTH + 1);
    await assert.rejects(new MungeClient(path).encode({ ...REQUEST, payload }), {
      code: BAD_LENGTH,
      message: "Payload size 67108865 exceeded maximum of 67108864",
    });
  });
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

test("a success without a credential is an error", async () => {
  const empty = formatEncodeResponse({ errno: 0, errorText: "", credential: new Uint8Array() }, 0);
  await withServer((socket) => socket.end(empty), async (path) => {
    await assert.rejects(new MungeClient(path).encode(REQUEST), {
      code: "EMUNGE_SNAFU",
      message: "Client received invalid data length 0",
    });
  });
});

test("a stalling server is given up on after five timeouts, and the error names the step", async () => {
  for (const [part, answer] of [["header", 0], ["header", 6], ["body", 13]] as const) {
    await withServer(
      (socket) => socket.write(ANSWER.subarray(0, answer)),
      async (path, received) => {
        const started = performance.now();
        await assert.rejects(new MungeClient(path).encode(REQUEST, { messageTimeoutMs: 40 }), {
          code: "EMUNGE_SOCKET",
          message: `Failed to receive message ${part}: Timed-out`,
        });
        assert.ok(performance.now() - started >= 5 * 39 + 95);
        assert.deepEqual(retriesOf(received), [0, 1, 2, 3, 4]);
      },
    );
  }
});

test("a server that does not read the request is given up on as well", async () => {
  const folder = mkdtempSync("/tmp/munge-client-");
  const path = join(folder, "socket");
  const sockets: Socket[] = [];
  const server = createServer({ pauseOnConnect: true }, (socket) => sockets.push(socket));
  await new Promise<void>((resolve) => server.listen(path, resolve));
  try {
    const payload = new Uint8Array(1_048_576);
    await assert.rejects(
      new MungeClient(path).encode({ ...REQUEST, payload }, { messageTimeoutMs: 40 }),
      {
        code: "EMUNGE_SOCKET",
        message: "Failed to send message: Timed-out",
      },
    );
  } finally {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
    rmSync(folder, { recursive: true });
  }
});

test("a file that is not munged's socket is named", async () => {
  const folder = mkdtempSync("/tmp/munge-client-");
  try {
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
  } finally {
    rmSync(folder, { recursive: true });
  }
});

/** Leaves a socket at `path` without a listener. */
async function leaveSocket(path: string): Promise<void> {
  const folder = mkdtempSync("/tmp/munge-client-");
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(join(folder, "socket"), resolve));
  renameSync(join(folder, "socket"), path);
  await new Promise((resolve) => server.close(resolve));
  rmSync(folder, { recursive: true });
}

test("a socket without a listener is tried ten times, then named", async () => {
  const folder = mkdtempSync("/tmp/munge-client-");
  try {
    const path = join(folder, "stale");
    await leaveSocket(path);
    const started = performance.now();
    await assert.rejects(new MungeClient(path).encode(REQUEST), {
      code: "EMUNGE_SOCKET",
      message: `Failed to connect to "${path}": Connection refused`,
    });
    const took = performance.now() - started;
    assert.ok(took >= 2240, `${took} ms, of which 2250 are pauses`);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("a daemon that starts while the client waits is found", async () => {
  const folder = mkdtempSync("/tmp/munge-client-");
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
    rmSync(folder, { recursive: true });
  }
});

test("both clients wait for a socket that is missing for a moment", async () => {
  const folder = mkdtempSync("/tmp/munge-client-");
  const path = join(folder, "socket");
  // The blocking client blocks this thread, so another process creates the socket.
  const program = `
    const { createServer } = require("node:net");
    setTimeout(() => {
      const server = createServer((socket) => {
        socket.on("error", () => {}).resume().end(Buffer.from("${
    Buffer.from(ANSWER).toString("hex")
  }", "hex"));
      });
      server.listen(${JSON.stringify(path)});
    }, 400);
    setTimeout(() => process.exit(), 20_000);
  `;
  try {
    for (
      const ask of [
        () => new MungeClient(path).encode(REQUEST),
        () => new BlockingClient(path).encode(REQUEST),
      ]
    ) {
      const server = spawn(process.execPath, ["-e", program], { stdio: "inherit" });
      try {
        assert.equal((await ask()).errno, 0);
      } finally {
        server.kill("SIGKILL");
        await once(server, "exit");
        rmSync(path, { force: true });
      }
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
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

test("a payload is what its buffer held at the call, whatever becomes of the buffer", async () => {
  await withServer((socket) => setTimeout(() => socket.end(ANSWER), 5), async (path, received) => {
    const client = new MungeClient(path);
    const payload = new Uint8Array(8);
    // More than can be in flight: the last ones wait for their turn.
    const calls = Array.from({ length: 100 }, (_, i) => {
      payload.fill(i);
      return client.encode({ ...REQUEST, payload });
    });
    payload.fill(255);
    await Promise.all(calls);
    const sent = received.map(({ message }) =>
      parseEncodeRequest(message.subarray(HEADER_LENGTH)).payload[0]!
    );
    assert.deepEqual(sent.sort((a, b) => a - b), calls.map((_, i) => i));
  });
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

test("a path too long for a socket address is refused, never truncated", async () => {
  const folder = mkdtempSync("/tmp/munge-client-");
  try {
    const path = join(folder, "s".repeat(108 - folder.length - 1));
    await leaveSocket(path);
    await assert.rejects(new MungeClient(path).encode(REQUEST), {
      code: "EMUNGE_OVERFLOW",
      message: /^Exceeded maximum length of 10[48] bytes for socket pathname$/,
    });
  } finally {
    rmSync(folder, { recursive: true });
  }
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
  const folder = mkdtempSync("/tmp/munge-client-");
  const path = join(folder, "stale");
  await leaveSocket(path);
  const controller = new AbortController();
  const started = performance.now();
  setTimeout(() => controller.abort(reason), 120);
  await client(path, controller.signal);
  assert.ok(performance.now() - started < 2000, "not at the end of the pauses");
  rmSync(folder, { recursive: true });
});

test("no descriptor is left after success, failure, timeout and abort", async (context) => {
  if (!existsSync("/proc/self/fd")) return context.skip("there is no /proc/self/fd");
  const openSockets = () =>
    readdirSync("/proc/self/fd").filter((fd) => {
      try {
        return readlinkSync(`/proc/self/fd/${fd}`).startsWith("socket:");
      } catch {
        return false; // the descriptor of this directory listing
      }
    }).length;
  const before = openSockets();
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
    await until("only the listening socket is left", () => openSockets() === before + 1);
  });
  assert.equal(openSockets(), before);
});

/** Starts the C munged in a folder of its own; undefined if it is not installed. */
async function startMunged(folder: string): Promise<ChildProcess | undefined> {
  const program = ["/usr/sbin/munged", "/usr/local/sbin/munged"].find((path) => existsSync(path));
  if (program === undefined) return undefined;
  const path = (name: string) => join(folder, name);
  writeFileSync(path("key"), randomBytes(128), { mode: 0o400 });
  const options = ["key-file", "log-file", "pid-file", "seed-file"].map((option) =>
    `--${option}=${path(option.split("-")[0]!)}`
  );
  const socket = path("socket");
  // --force, because a folder below /tmp is writable by others, though with the sticky bit.
  const munged = spawn(program, ["-F", "--force", `--socket=${socket}`, ...options], {
    stdio: "ignore",
  });
  await until("munged listens", () => existsSync(socket));
  return munged;
}

test("the reference's munged encodes and decodes", async (context) => {
  const folder = mkdtempSync("/tmp/munge-client-");
  chmodSync(folder, 0o755);
  const munged = await startMunged(folder);
  if (munged === undefined) return context.skip("munged is not installed");
  try {
    const client = new MungeClient(join(folder, "socket"));
    for (const length of [0, 1, 1000, 500_000]) {
      const payload = new Uint8Array(randomBytes(length));
      const encoded = await client.encode({ ...REQUEST, payload });
      assert.equal(encoded.errno, 0, encoded.errorText);
      const decoded = await client.decode(encoded);
      assert.equal(decoded.errno, 0, decoded.errorText);
      assert.ok(Buffer.from(payload).equals(decoded.payload));
      assert.equal(decoded.uid, process.getuid?.());
      const again = await client.decode(encoded);
      assert.equal(again.errno, 17);
      assert.equal(again.errorText, "Replayed credential");
      assert.ok(Buffer.from(payload).equals(again.payload));
    }
    const spoiled = await client.decode({ credential: CREDENTIAL });
    assert.equal(spoiled.errno, 8);
    assert.equal(spoiled.uid, ANY_ID);
  } finally {
    const ended = new Promise((resolve) => munged.once("exit", resolve));
    munged.kill("SIGTERM");
    await ended;
    rmSync(folder, { recursive: true, force: true });
  }
});
