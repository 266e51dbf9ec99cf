// What happens to an authenticated connection if answering a request fails.
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
  const wire = { isFull: false, send() {}, end: ended.resolve, pause() {}, resume() {} };
  const connection = new Connection(host, wire, LOOPBACK, LOOPBACK, "127.0.0.1");
  connection.receive(frame(...VERSIONS, Uint8Array.of(1), Uint8Array.of(2)));
  await ended.promise;
  assert.deepEqual(failures, [{ kind: "bug", error: new Error("no encryption") }]);
  assert.equal(freed, 1);
});
