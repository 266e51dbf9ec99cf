// Several requests over one connection: each speaks for the process that sent it, no matter who else has the descriptor.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { after, afterEach, before, it } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { MungeClient } from "../../lib/client/protocol.ts";
import { ready, sendFrom } from "../../lib/os/unix_stream.ts";
import {
  formatDecodeRequest,
  formatEncodeRequest,
  formatKeepRequest,
  HEADER_LENGTH,
  MESSAGE_TYPE,
  parseDecodeResponse,
  parseEncodeResponse,
} from "../../lib/protocol/message.ts";
import { isRoot } from "../harness/programs.ts";
import { type Munged, Realm } from "../harness/realm.ts";
import { until } from "../harness/until.ts";
import { HangUps } from "../engine/connection.ts";
import { encodeRequest } from "../requests.ts";
import { suite } from "../suite.ts";
import { closeAll, Connection, kept, sendAs, TERMS } from "./kept_connection.ts";

const NOBODY = 65_534;
const ENCODE = formatEncodeRequest(encodeRequest({}), 0);
suite("kept connections", { "root": isRoot }, () => {
  let realm: Realm;
  let munged: Munged;
  before(async () => {
    realm = new Realm();
    munged = await realm.start("ours", ["--num-threads=2"]);
  });
  after(() => realm?.close());
  afterEach(closeAll);

  const uidOf = (credential: Uint8Array) => {
    const connection = kept(munged.socket);
    connection.send(formatDecodeRequest({ credential }, 0));
    const answer = connection.next();
    assert.ok(answer !== "closed");
    const { errno, uid } = parseDecodeResponse(answer.body);
    return errno === 0 ? uid : `error ${errno}`;
  };

  const said = (line: RegExp) => until(`${line}`, () => line.test(munged.log()));

  it("many requests get their answers in order, also when they come in pieces", () => {
    const connection = kept(munged.socket);
    const retries = Array.from({ length: 64 }, (_, i) => i % 6);
    const requests = retries.map((retry) => formatEncodeRequest(encodeRequest({}), retry));
    connection.send(...requests);
    const credentials = retries.map((retry) => {
      const answer = connection.next();
      assert.ok(answer !== "closed");
      assert.equal(answer.retry, retry);
      return parseEncodeResponse(answer.body).credential;
    });
    for (const byte of formatDecodeRequest({ credential: credentials[0]! }, 0)) {
      connection.send(Uint8Array.of(byte));
    }
    const answer = connection.next();
    assert.ok(answer !== "closed");
    const { errno, uid } = parseDecodeResponse(answer.body);
    assert.deepEqual({ errno, uid }, { errno: 0, uid: 0 });
    assert.equal(new Set(credentials.map((each) => Buffer.from(each).toString())).size, 64);
  });

  for (
    const [who, uid] of [["another user", NOBODY], ["another process of the same user", 0]] as const
  ) {
    it(`${who} who has inherited a connection is refused`, async () => {
      const connection = kept(munged.socket);
      connection.send(ENCODE);
      assert.equal(uidOf(connection.credential()), 0);
      sendAs(uid, connection, ENCODE);
      assert.equal(connection.next(), "closed");
      await said(new RegExp(`Refused request of PID=\\d+ UID=${uid} `));
    });

    it(`a request begun by its client and completed by ${who} is refused`, () => {
      for (const at of [1, HEADER_LENGTH, ENCODE.length - 1]) {
        const connection = kept(munged.socket);
        connection.send(ENCODE.subarray(0, at));
        sendAs(uid, connection, ENCODE.subarray(at));
        assert.equal(connection.next(), "closed");
      }
    });

    it(`a request begun by ${who} and completed by its client is refused`, () => {
      const connection = kept(munged.socket);
      sendAs(uid, connection, ENCODE.subarray(0, 5));
      try {
        connection.send(ENCODE.subarray(5));
      } catch { /* munged has hung up already */ }
      assert.equal(connection.next(), "closed");
    });
  }

  it("a keep request followed by another request is refused, because that one's sender is unknown", async () => {
    const connection = new Connection(munged.socket);
    connection.send(formatKeepRequest(0), ENCODE);
    assert.equal(connection.next(), "closed");
    await said(/Received more than a keep request before its answer/);
  });

  /** Sends a request byte by byte, for three times as long as a message may take; munged must hang up meanwhile. */
  async function assertEndedWhenSlow(client: ReturnType<typeof kept>): Promise<void> {
    client.send(ENCODE.subarray(0, 5));
    const bytes = [...ENCODE.subarray(5, 5 + 12)];
    try {
      for (const byte of bytes) {
        await pause(500);
        client.send(Uint8Array.of(byte));
      }
    } catch {
      assert.equal(client.next(), "closed");
      return;
    }
    assert.fail("each byte gave the client more time");
  }

  it("a client that exceeds the limits of a kept connection is disconnected", async () => {
    const tooMany = kept(munged.socket);
    tooMany.send(...Array.from({ length: 200 }, () => ENCODE));
    let answers = 0;
    while (tooMany.next() !== "closed") answers++;
    assert.ok(answers < 200, `${answers} answers`);
    const tooLong = kept(munged.socket);
    const payload = new Uint8Array(TERMS.maxLength);
    tooLong.send(formatEncodeRequest(encodeRequest({ payload }), 0).subarray(0, HEADER_LENGTH));
    assert.equal(tooLong.next(), "closed");
    const [idle, slow] = [kept(munged.socket), kept(munged.socket)];
    const begun = performance.now();
    await assertEndedWhenSlow(slow);
    assert.equal(idle.next(), "closed");
    assert.ok(performance.now() - begun > TERMS.idleMs - 1_000, "idle");
  });

  for (
    const [what, length] of [["a long answer", 8_000_000 / 64], [
      "one of many answers",
      6_000,
    ]] as const
  ) {
    it(`a client that stops reading in ${what} is disconnected, and can decode again what it has not read`, () => {
      const credentials: Uint8Array[] = [];
      const payload = new Uint8Array(length);
      for (let i = 0; i < 64; i++) {
        // Compressed, so that the request is short and the answer is long.
        const own = new Connection(munged.socket);
        own.send(formatEncodeRequest(encodeRequest({ payload, zip: 3 }), 0));
        credentials.push(own.credential());
        own.close();
      }
      assert.ok(credentials[0]!.length < 1_000, `${credentials[0]!.length}`);
      const lazy = kept(munged.socket);
      lazy.send(...credentials.map((credential) => formatDecodeRequest({ credential }, 0)));
      const watch = new HangUps();
      watch.add(lazy.fd);
      assert.deepEqual(watch.wait(60_000), [lazy.fd], "munged does not hang up");
      let read = 0;
      for (;;) {
        const answer = lazy.next();
        if (answer === "closed") break;
        assert.equal(parseDecodeResponse(answer.body).errno, 0);
        read++;
      }
      assert.ok(read > 0 && read < 64, `${read} answers`);
      const again = kept(munged.socket);
      for (const [i, credential] of credentials.entries()) {
        again.send(formatDecodeRequest({ credential }, 0));
        const answer = again.next();
        assert.ok(answer !== "closed");
        const { errno } = parseDecodeResponse(answer.body);
        assert.equal(errno, i < read ? 17 : 0, `${i} of ${read}`);
      }
      // Its descriptor is free for others.
      for (let i = 0; i < 20; i++) {
        const next = kept(munged.socket);
        next.send(ENCODE);
        next.credential();
      }
    });
  }

  it("a client's requests that take long wait for their turn, one by one", async () => {
    const slow = await realm.start("ours", ["--num-threads=1"]);
    const maker = new Connection(slow.socket);
    // Expensive to decode, and the answer is short, because this client may not decode it.
    const request = encodeRequest({ payload: new Uint8Array(1 << 20), zip: 2, uidRestriction: 1 });
    maker.send(formatEncodeRequest(request, 0));
    const decode = formatDecodeRequest({ credential: maker.credential() }, 0);
    const [flood, other] = [kept(slow.socket), kept(slow.socket)];
    flood.send(...Array.from({ length: 64 }, () => decode));
    const early = flood.waiting();
    other.send(ENCODE);
    other.credential();
    const before = flood.waiting() - early;
    assert.ok(before < 16, `${before} answers before that of another connection`);
    for (let i = 0; i < 64; i++) {
      const answer = flood.next();
      assert.ok(answer !== "closed");
      assert.equal(parseDecodeResponse(answer.body).errno, 18);
    }
    await assertEndedWhenSlow(other); // although it waits for its turn with each byte, as its user's requests take long
    await slow.stop();
  });

  it("requests of any kind, in pieces, with answers that nobody reads, do munged no harm", async () => {
    const other = await realm.start("ours", ["--num-threads=2"]);
    const maker = new Connection(other.socket);
    const payload = new Uint8Array(5_000);
    maker.send(formatEncodeRequest(encodeRequest({ payload }), 0));
    const credential = maker.credential();
    const random = (below: number) => Math.floor(Math.random() * below);
    const anyRequest = () =>
      [
        () => formatDecodeRequest({ credential }, random(6)),
        () => formatEncodeRequest(encodeRequest({ payload: payload.subarray(random(5_000)) }), 0),
        () => ENCODE,
      ][random(3)]!();
    for (const end = performance.now() + 6_000; performance.now() < end;) {
      const connections = Array.from({ length: 4 }, () => kept(other.socket, other.log));
      for (let i = 0; i < 20; i++) {
        const connection = connections[random(4)]!;
        const bytes = Uint8Array.from(
          Array.from({ length: [1, 3, 20][random(3)]! }, () => [...anyRequest()]).flat(),
        );
        for (let at = 0; at < bytes.length;) {
          const piece = bytes.subarray(at, at + [1, 100, 5_000][random(3)]!);
          const count = ready(connection.fd, "write", 0) ? sendFrom(connection.fd, piece, 0) : 0;
          if (typeof count !== "number" || count === 0) break;
          at += count;
        }
        if (random(2) === 0) connection.waiting();
      }
      connections.forEach((connection) => connection.close());
    }
    const status = ["--status", "--json", `--socket=${other.socket}`];
    const left = () => JSON.parse(realm.run("ours", "munged", status).out).kept_connections;
    await until("no connection is left", () => left().connections === 0);
    assert.equal(await other.stop(), 0);
    assert.doesNotMatch(other.log(), /Failed to serve|Worker thread/);
  });

  it("a user's connections are limited, and leave room for others", () => {
    const connections = Array.from({ length: 600 }, () => {
      const connection = new Connection(munged.socket);
      connection.send(formatKeepRequest(0));
      return connection;
    });
    const count = connections.filter((connection) => connection.next() !== "closed").length;
    assert.ok(count >= 64 && count <= 2 * 128, `${count} kept`);
    const program = "import { connect } from 'node:net'; " +
      `connect(${JSON.stringify(munged.socket)}, function () { this.write(Buffer.from(` +
      `"${Buffer.from(formatKeepRequest(0)).toString("hex")}", "hex")); })` +
      ".on('data', (d) => { console.log(d[5]); process.exit(); })";
    const other = ["setpriv", "--reuid", `${NOBODY}`, "--clear-groups"];
    const command = [...other.slice(1), process.execPath, "-e", program];
    const { stdout, stderr } = spawnSync(other[0]!, command, {
      encoding: "utf8",
      env: { ...process.env, HOME: "/", TMPDIR: "/tmp" },
    });
    assert.equal(stdout.trim(), `${MESSAGE_TYPE.keepResponse}`, stderr);
    const { status, out } = realm.run("ours", "munge", ["-n", "-S", munged.socket]);
    assert.equal(status, 0, out);
    const shown = realm.run("ours", "munged", ["--status", `--socket=${munged.socket}`]).out;
    assert.match(shown, /CONNECTIONS: +\d+ kept, \d+ requests over kept ones, [1-9]\d* not kept/);
  });

  it("a decode is repeated by a process with an idle connection, and by nobody else", async () => {
    const connection = kept(munged.socket);
    connection.send(ENCODE);
    const credential = connection.credential();
    const client = new MungeClient(munged.socket);
    assert.equal((await client.decode({ credential }, { messageTimeoutMs: 2000 })).errno, 0);
    const again = new Connection(munged.socket);
    again.send(formatDecodeRequest({ credential }, 1));
    const answer = again.next();
    assert.ok(answer !== "closed");
    assert.equal(parseDecodeResponse(answer.body).errno, 0, "its first answer may have been lost");
    assert.equal(uidOf(credential), "error 17", "but not without a retry byte");
  });

  it("SIGHUP leaves connections alone; a stop ends them once it has answered what was sent", async () => {
    const other = await realm.start("ours");
    const [idle, busy] = [kept(other.socket), kept(other.socket)];
    other.process.kill("SIGHUP");
    await pause(300);
    idle.send(ENCODE);
    idle.credential();
    busy.send(...Array.from({ length: 50 }, () => ENCODE));
    const stopped = other.stop();
    for (let i = 0; i < 50; i++) busy.credential();
    assert.equal(busy.next(), "closed");
    assert.equal(idle.next(), "closed");
    assert.equal(await stopped, 0);
    assert.doesNotMatch(other.log(), /did not stop in time/);
  });
});
