// An authenticated connection whose client sends many requests at once, and one whose requests can't be answered.
import assert from "node:assert/strict";
import { it } from "node:test";
import type { Authenticator } from "../../../daemon/auksd/authenticator.ts";
import {
  Connection,
  type ConnectionFailure,
  type ConnectionHost,
} from "../../../daemon/auksd/connection.ts";
import { frame } from "../../../daemon/auksd/frames.ts";
import { ReplyTurns } from "../../../daemon/auksd/reply_turns.ts";

const VERSIONS = ["KRB5_SENDAUTH_V1.0\0", "0.1\0"].map((text) => new TextEncoder().encode(text));
const LOOPBACK = Uint8Array.of(127, 0, 0, 1);

it("a reply that can't be encrypted ends its connection, without an unhandled rejection", async () => {
  const failures: ConnectionFailure[] = [];
  let freed = 0;
  const client = {
    client: "alice@REALM.A",
    wantsReply: false,
    setAddresses() {},
    open: (message: Uint8Array) => message.slice(),
    seal() {
      throw new Error("no encryption");
    },
  };
  const host: ConnectionHost = {
    authenticator: { accept: () => client, release: () => freed++ } as unknown as Authenticator,
    nat: true,
    turns: new ReplyTurns(),
    answer: () => Promise.resolve(Uint8Array.of(1)),
    admits: () => true,
    failed: (_connection, failure) => failures.push(failure),
  };
  const ended = Promise.withResolvers<void>();
  const wire = {
    isFull: false,
    send() {},
    end: ended.resolve,
    pause() {},
    resume() {},
    awaitTurn: () => void setImmediate(() => connection.takeTurn()),
  };
  const connection = new Connection(host, wire, LOOPBACK, LOOPBACK, "127.0.0.1");
  connection.receive(frame(...VERSIONS, Uint8Array.of(1), Uint8Array.of(2)));
  await ended.promise;
  assert.deepEqual(failures, [{ kind: "bug", error: new Error("no encryption") }]);
  assert.equal(freed, 1);
});

it("a client that sends many requests at once gets one answer per turn, and is not read meanwhile", () => {
  const client = {
    client: "alice@REALM.A",
    wantsReply: false,
    setAddresses() {},
    open: (message: Uint8Array) => message.slice(),
    seal: (bytes: Uint8Array, room: number) => new Uint8Array(room + bytes.length),
  };
  const answered: number[] = [];
  const host: ConnectionHost = {
    authenticator: { accept: () => client, release() {} } as unknown as Authenticator,
    nat: true,
    turns: new ReplyTurns(),
    answer(payload) {
      answered.push(payload[0]!);
      return Uint8Array.of(1);
    },
    admits: () => true,
    failed: (_connection, failure) => assert.fail(failure.kind),
  };
  let turns = 0;
  let isRead = true;
  const wire = {
    isFull: false,
    send() {},
    end() {},
    pause: () => void (isRead = false),
    resume: () => void (isRead = true),
    awaitTurn: () => void turns++,
  };
  const connection = new Connection(host, wire, LOOPBACK, LOOPBACK, "127.0.0.1");
  connection.receive(frame(...VERSIONS, Uint8Array.of(1)));
  const long = Array.from({ length: 4 }, (_, at) => new Uint8Array(30_000).fill(at));
  connection.receive(frame(...long, Uint8Array.of(4)));
  assert.deepEqual([answered, turns], [[0], 1]);
  connection.receive(frame(Uint8Array.of(5)).subarray(0, 3));
  assert.equal(isRead, false);
  assert.equal(connection.isDue, false);
  connection.takeTurn();
  assert.deepEqual([answered, turns, isRead], [[0, 1], 2, false]);
  for (let turn = 2; turn < 5; turn++) connection.takeTurn();
  assert.deepEqual([answered, isRead], [[0, 1, 2, 3, 4], true]);
  connection.takeTurn();
  assert.deepEqual([turns, connection.isDue], [5, true]); // for the rest of the last one
});
