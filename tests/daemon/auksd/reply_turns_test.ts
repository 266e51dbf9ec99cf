// Large replies are made one after another, and none waits for a client that has gone or does not read.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import type { Authenticator } from "../../../daemon/auksd/authenticator.ts";
import { Connection, type ConnectionHost } from "../../../daemon/auksd/connection.ts";
import { frame } from "../../../daemon/auksd/frames.ts";
import { ReplyTurns } from "../../../daemon/auksd/reply_turns.ts";
import type { LargeAnswer } from "../../../daemon/auksd/requests.ts";

const VERSIONS = ["KRB5_SENDAUTH_V1.0\0", "0.1\0"].map((text) => new TextEncoder().encode(text));
const LOOPBACK = Uint8Array.of(127, 0, 0, 1);

describe("turns", () => {
  it("come in order, one at a time", async () => {
    const turns = new ReplyTurns();
    const order: number[] = [];
    let busy = 0;
    await Promise.all([1, 2, 3].map(async (number) => {
      const end = await turns.take();
      assert.equal(++busy, 1);
      order.push(number);
      await pause(5);
      busy--;
      end();
      end(); // a second time changes nothing
    }));
    assert.deepEqual(order, [1, 2, 3]);
    (await turns.take())();
  });

  it("end by themselves after a while, if a client does not read", async () => {
    const turns = new ReplyTurns(50);
    const endFirst = await turns.take();
    const begin = performance.now();
    const endSecond = await turns.take();
    assert(performance.now() - begin > 40);
    endFirst(); // too late to end the second one's
    let waited = Infinity;
    const granted = performance.now();
    const third = turns.take().then((end) => {
      waited = performance.now() - granted;
      return end;
    });
    await pause(10);
    assert(waited > 40, "the second one's turn goes on"); // on a busy machine it may be over by now
    endSecond();
    (await third)();
  });
});

describe("a connection's large reply", () => {
  /** A connection that has asked for one. */
  function connect(
    turns: ReplyTurns,
    make: LargeAnswer | Promise<Uint8Array>,
    seal = (bytes: Uint8Array) => bytes.slice(),
  ) {
    const client = {
      client: "admin@REALM.A",
      wantsReply: false,
      setAddresses() {},
      open: (message: Uint8Array) => message.slice(),
      seal: (bytes: Uint8Array, room: number) =>
        new Uint8Array([...new Uint8Array(room), ...seal(bytes)]),
    };
    const host: ConnectionHost = {
      authenticator: { accept: () => client, release() {} } as unknown as Authenticator,
      nat: true,
      turns,
      answer: () => make,
      admits: () => true,
      failed() {},
    };
    const sent: { bytes: Uint8Array; done: (() => void) | undefined }[] = [];
    const wire = {
      isFull: false,
      send: (bytes: Uint8Array, done?: () => void) => void sent.push({ bytes, done }),
      end() {},
      pause() {},
      resume() {},
      awaitTurn: () => void setImmediate(() => connection.takeTurn()),
    };
    const connection = new Connection(host, wire, LOOPBACK, LOOPBACK, "127.0.0.1");
    connection.receive(frame(...VERSIONS, Uint8Array.of(1), Uint8Array.of(2)));
    return { connection, sent };
  }

  it("is made once the one before it has been sent", async () => {
    const turns = new ReplyTurns();
    const first = connect(turns, () => Uint8Array.of(1, 1));
    const second = connect(turns, () => Uint8Array.of(2, 2));
    await pause(10);
    assert.deepEqual(first.sent.at(-1)?.bytes, Uint8Array.of(0, 0, 0, 2, 1, 1));
    assert.equal(second.sent.length, 2); // of the handshake
    first.sent.at(-1)?.done?.();
    await pause(10);
    assert.deepEqual(second.sent.at(-1)?.bytes, Uint8Array.of(0, 0, 0, 2, 2, 2));
  });

  it("is the only kind that takes a turn", async () => {
    const ordinary = connect(new ReplyTurns(), Promise.resolve(Uint8Array.of(1)));
    await pause(10);
    assert.deepEqual(ordinary.sent.at(-1)?.bytes, Uint8Array.of(0, 0, 0, 1, 1));
    assert.equal(ordinary.sent.at(-1)?.done, undefined);
  });

  it("is not made for a client that is gone, and never keeps the next one waiting", async () => {
    const turns = new ReplyTurns();
    const end = await turns.take();
    let made = 0;
    const gone = connect(turns, () => Uint8Array.of(++made));
    connect(turns, () => Uint8Array.of(2), () => {
      throw new Error("no encryption");
    });
    connect(turns, () => {
      throw new Error("no reply");
    });
    gone.connection.close();
    end();
    (await turns.take())();
    assert.equal(made, 0);
  });
});
