// Requests longer than every munged accepts: the asynchronous client asks for munged's limits, and refuses what exceeds them.
import assert from "node:assert/strict";
import type { Socket } from "node:net";
import { test } from "node:test";
import { MungeClient } from "../../../lib/client/protocol.ts";
import { LARGEST_PAYLOAD_LENGTH, MAX_PAYLOAD_LENGTH } from "../../../lib/credential/fields.ts";
import {
  formatLimitsResponse,
  HEADER_LENGTH,
  MAX_REQUEST_LENGTH,
  MESSAGE_TYPE,
  parseEncodeRequest,
  parseHeader,
} from "../../../lib/protocol/message.ts";
import { ANSWER, type Received, REQUEST, withServer } from "./fake_munged.ts";

/** Answers the question for munged's limits, and any other request with a credential. */
const munged = (maxPayload: number) => (socket: Socket, received: readonly Received[]) => {
  const { type } = parseHeader(received.at(-1)!.message);
  const isQuestion = type === MESSAGE_TYPE.limitsRequest;
  socket.end(isQuestion ? formatLimitsResponse(maxPayload, 0) : ANSWER);
};
/** What a munged that does not know the question does. */
const SILENT = {
  "that hangs up": (socket: Socket) => socket.end(),
  "that answers something else": (socket: Socket) => socket.end(ANSWER),
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
