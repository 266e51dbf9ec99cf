// The asynchronous client against servers that answer, fail and lie, and against the C munged if it is installed.
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import type { Socket } from "node:net";
import { it, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { MungeClient } from "../../../lib/client/protocol.ts";
import {
  ANY_ID,
  formatEncodeResponse,
  HEADER_LENGTH,
  parseDecodeRequest,
  parseEncodeRequest,
} from "../../../lib/protocol/message.ts";
import { Munged, REFERENCE } from "../../mod/daemons.ts";
import { suite } from "../../suite.ts";
import { ANSWER, answerWith, CREDENTIAL, REQUEST, retriesOf, withServer } from "./fake_munged.ts";

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

test("a success without a credential is an error", async () => {
  const empty = formatEncodeResponse({ errno: 0, errorText: "", credential: new Uint8Array() }, 0);
  await withServer((socket) => socket.end(empty), async (path) => {
    await assert.rejects(new MungeClient(path).encode(REQUEST), {
      code: "EMUNGE_SNAFU",
      message: "Client received invalid data length 0",
    });
  });
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

suite("the asynchronous client with the reference's munged", REFERENCE.skip, () => {
  it("encodes and decodes payloads of any length, and reports errors in the response", async () => {
    const munged = new Munged(REFERENCE);
    await munged.start();
    try {
      const client = new MungeClient(munged.socketPath);
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
      await munged.stop();
    }
  });
});
