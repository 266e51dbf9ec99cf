// The library's kept connection against servers that keep it, and then stall, lie or hang up.
import assert from "node:assert/strict";
import type { Socket } from "node:net";
import { test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { MungeClient } from "../../../lib/client/protocol.ts";
import {
  formatDecodeResponse,
  formatEncodeResponse,
  formatKeepResponse,
  HEADER_LENGTH,
  MESSAGE_TYPE,
  parseHeader,
  RESET_DECODE_RESPONSE,
} from "../../../lib/protocol/message.ts";
import { encodeRequest } from "../../requests.ts";
import { CREDENTIAL, withSocket } from "./fake_munged.ts";

const TERMS = { idleMs: 10_000, maxLength: 1_000, maxInFlight: 4 };

/** A request as a server got it. */
interface Received {
  readonly type: number;
  readonly retry: number;
  readonly length: number;
  /** Whether it came over a kept connection, and how many had come over that one before. */
  readonly place: number | "own connection";
}

/** What a server does about a request over a kept connection. */
type Reaction = (socket: Socket, request: Received) => void;

function answer(socket: Socket, { type, retry }: Received): void {
  socket.write(
    type === MESSAGE_TYPE.encodeRequest
      ? formatEncodeResponse({ errno: 0, errorText: "", credential: CREDENTIAL }, retry)
      : formatDecodeResponse({ ...RESET_DECODE_RESPONSE, errno: 0, errorText: "" }, retry),
  );
}

/** Runs `use` with a client of a server that keeps connections, has been asked for one, and answers all other requests. */
async function withKeeper(
  react: Reaction,
  use: (client: MungeClient, received: Received[], opened: () => number) => Promise<void>,
): Promise<void> {
  const received: Received[] = [];
  let opened = 0;
  const serve = (socket: Socket) => {
    let bytes = Buffer.alloc(0);
    let place: number | undefined;
    socket.on("data", (piece) => {
      bytes = Buffer.concat([bytes, piece]);
      while (bytes.length >= HEADER_LENGTH) {
        const { type, length, retry } = parseHeader(bytes);
        if (bytes.length < HEADER_LENGTH + length) return;
        bytes = bytes.subarray(HEADER_LENGTH + length);
        if (type === MESSAGE_TYPE.keepRequest) {
          opened++;
          place = 0;
          socket.write(formatKeepResponse(TERMS, retry));
          continue;
        }
        const request = { type, retry, length, place: place ?? "own connection" } as const;
        received.push(request);
        if (place === undefined) {
          answer(socket, request);
          socket.end();
        } else {
          place++;
          react(socket, request);
        }
      }
    });
  };
  await withSocket(serve, async (path) => {
    const client = new MungeClient(path);
    for (let i = 0; i < 100 && opened === 0; i++) await client.encode(encodeRequest());
    assert.equal(opened, 1, "asked from the second request on");
    for (let turn = 0; turn < 5; turn++) await pause(5); // in one of them, the client reads the answer
    received.length = 0;
    await use(client, received, () => opened);
  });
}

test("requests share a connection, no more in flight than the server allows, in order", async () => {
  let waiting: (() => void)[] = [];
  let most = 0;
  const react: Reaction = (socket, request) => {
    waiting.push(() => answer(socket, request));
    most = Math.max(most, waiting.length);
    setTimeout(() => {
      waiting.forEach((each) => each());
      waiting = [];
    }, 2);
  };
  await withKeeper(react, async (client, received) => {
    const calls = Array.from({ length: 50 }, async (_, i) => {
      if (i % 2 === 0) assert.ok("credential" in await client.encode(encodeRequest()));
      else assert.ok("uid" in await client.decode({ credential: CREDENTIAL }));
    });
    await Promise.all(calls);
    assert.equal(most, TERMS.maxInFlight);
    assert.deepEqual(received.map(({ place }) => place), Array.from({ length: 50 }, (_, i) => i));
    assert.deepEqual(
      received.map(({ type }) => type),
      Array.from({ length: 50 }, (_, i) => i % 2 === 0 ? 2 : 4),
    );
  });
});

test("a long request, a decode with a time limit, and one with its own timeout have connections of their own", async () => {
  await withKeeper(answer, async (client, received) => {
    await client.encode(encodeRequest({ payload: new Uint8Array(TERMS.maxLength) }));
    await client.decode({ credential: CREDENTIAL }, { timeoutMs: 5_000 });
    await client.decode({ credential: CREDENTIAL }, { signal: new AbortController().signal });
    await client.encode(encodeRequest(), { messageTimeoutMs: 1_000 });
    assert.deepEqual(received.map(({ place }) => place), Array(4).fill("own connection"));
    await client.encode(encodeRequest(), { timeoutMs: 5_000 });
    assert.equal(received[4]!.place, 0);
  });
});

for (
  const [what, react] of [
    ["hangs up", (socket) => socket.destroy()],
    ["answers half, then hangs up", (socket) => socket.end(Uint8Array.of(0, 0x60, 0x6d))],
    ["sends something else", (socket) => socket.write(new Uint8Array(100))],
    ["sends the wrong answer", (socket) => socket.write(formatKeepResponse(TERMS, 0))],
    ["does not answer", () => {}],
  ] satisfies [string, Reaction][]
) {
  test(`when munged ${what}, a request that was sent is retried, and one that was not is sent for the first time`, async () => {
    await withKeeper(react, async (client, received, opened) => {
      const calls = Array.from({ length: 10 }, () => client.decode({ credential: CREDENTIAL }));
      for (const { errno } of await Promise.all(calls)) assert.equal(errno, 0);
      const kept = received.filter(({ place }) => place !== "own connection");
      const own = received.filter(({ place }) => place === "own connection");
      assert.equal(own.length, 10);
      assert.ok(kept.length <= TERMS.maxInFlight);
      assert.deepEqual(own.map(({ retry }) => retry).sort(), [0, 0, 0, 0, 0, 0, 1, 1, 1, 1]);
      await client.encode(encodeRequest());
      assert.equal(opened(), 1, "a connection that was of no use is not asked for again at once");
    });
  });
}

test("an aborted encode gives up its own answer, and no other", async () => {
  const react: Reaction = (socket, request) => setTimeout(() => answer(socket, request), 30);
  await withKeeper(react, async (client, received) => {
    const controller = new AbortController();
    const aborted = client.encode(encodeRequest(), { signal: controller.signal });
    const other = client.decode({ credential: CREDENTIAL });
    await pause(5);
    controller.abort(new Error("enough"));
    await assert.rejects(aborted, { message: "enough" });
    assert.ok("uid" in await other);
    assert.deepEqual(received.map(({ place }) => place), [0, 1]);
  });
});

test("an idle connection is closed before munged would close it", async () => {
  const closed = Promise.withResolvers<number>();
  const begun = performance.now();
  const react: Reaction = (socket, request) => {
    socket.on("close", () => closed.resolve(performance.now() - begun));
    answer(socket, request);
  };
  await withKeeper(react, async (client) => {
    await client.encode(encodeRequest());
    const idleMs = await closed.promise;
    assert.ok(idleMs > 4_000 && idleMs < TERMS.idleMs, `${idleMs} ms`);
  });
});
