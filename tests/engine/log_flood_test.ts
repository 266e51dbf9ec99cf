// A user who tries to fill the log's disk: every line that a client can cause, as often as it can.
import assert from "node:assert/strict";
import { mkdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { BlockingClient } from "../../lib/client/blocking_client.ts";
import { fixedMemory, ptr } from "../../lib/os/libc.ts";
import { close, receive } from "../../lib/os/socket.ts";
import { formatDecodeRequest, formatEncodeRequest } from "../../lib/protocol/message.ts";
import { Realm } from "../harness/realm.ts";
import { encodeRequest } from "../requests.ts";
import { connect, endSending, sendSome } from "./connection.ts";

const SECONDS = 4;
/** So many requests that their log lines must be limited, also on a busy machine. */
const ENOUGH = 1_000;

describe("a log that clients try to fill", () => {
  let realm: Realm;
  before(() => {
    realm = new Realm();
  });
  after(() => realm.close());

  test("grows by at most 10 kB a second, and reports what was suppressed", () => {
    const directory = join(realm.directory, "flood");
    mkdirSync(directory);
    const socket = join(directory, "socket");
    const log = join(directory, "log");
    const { status, err } = realm.run("ours", "munged", [
      `--socket=${socket}`,
      `--key-file=${join(realm.directory, "key")}`,
      `--config=${realm.configFile}`,
      `--pid-file=${join(directory, "pid")}`,
      `--seed-file=${join(directory, "seed")}`,
      `--log-file=${log}`,
      "--origin=127.0.0.1",
    ]);
    assert.equal(status, 0, err);
    const credential = new BlockingClient(socket).encode(encodeRequest()).credential.slice();
    const altered = credential.slice();
    altered[60]! ^= 1;
    const text = new TextEncoder();
    const whole = formatDecodeRequest({ credential }, 0);
    const unknownType = whole.slice();
    unknownType[5] = 99;
    const tooLong = whole.slice();
    tooLong.fill(0x7f, 7, 11);
    const messages = [
      whole, // a replay, except the first
      formatDecodeRequest({ credential }, 1),
      formatDecodeRequest({ credential }, 6),
      formatDecodeRequest({ credential: altered }, 0),
      formatDecodeRequest({ credential: text.encode("MUNGE:nonsense:") }, 0),
      formatDecodeRequest({ credential: new Uint8Array(0) }, 0),
      formatEncodeRequest(encodeRequest({ realm: "\u001b[2J".repeat(30) }), 1),
      formatEncodeRequest(encodeRequest({ cipher: 77 }), 0),
      whole.subarray(0, 5),
      whole.subarray(0, 40),
      whole.slice().fill(9, 0, 4),
      unknownType,
      tooLong,
    ];
    const answer = new Uint8Array(fixedMemory(4096));
    const address: number = ptr(answer);
    const before = statSync(log).size;
    const begun = performance.now();
    let requests = 0;
    while (performance.now() - begun < SECONDS * 1000 || requests < ENOUGH) {
      for (const message of messages) {
        const fd = connect(socket, 0);
        sendSome(fd, message);
        endSending(fd);
        receive(fd, address, answer.length);
        close(fd);
        requests++;
      }
    }
    const grown = statSync(log).size - before;
    const seconds = (performance.now() - begun) / 1000;
    assert.ok(grown <= 10_000 * seconds, `${grown} bytes in ${seconds} s`);
    // Every cause still appears.
    const lines = readFileSync(log, "utf8");
    for (
      const cause of [
        /Info: {6}Replayed credential from 127\.0\.0\.1/,
        /cause=cred_replayed/,
        /Info: {6}Invalid credential/,
        /Decode retry #1 /,
        /Received incomplete message header/,
        /Invalid message type 99/,
      ]
    ) assert.match(lines, cause);
    assert.equal(realm.run("ours", "munged", ["--stop", `--socket=${socket}`]).status, 0);
  });
});
