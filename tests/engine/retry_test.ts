// The retry byte, by which a client indicates that an earlier answer may have been lost: when munged believes it, and
// the two attacks it invites. Tests of the entries are in tests/daemon/munged/replay/cache_test.ts.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { connect as connectStream, type Socket } from "node:net";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { after, afterEach, before, beforeEach, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { ERRNO } from "../../lib/errors.ts";
import { close } from "../../lib/os/socket.ts";
import { BlockingClient } from "../../lib/client/blocking_client.ts";
import { formatDecodeRequest, formatKeepRequest } from "../../lib/protocol/message.ts";
import { rawDecode } from "../interop/raw.ts";
import { type Munged, Realm } from "../harness/realm.ts";
import { hasReference } from "../harness/programs.ts";
import { until } from "../harness/until.ts";
import { compileProbe } from "../interop/libmunge_probe.ts";
import { encodeRequest } from "../requests.ts";
import { suite } from "../suite.ts";
import { connect, HangUps, sendSome } from "./connection.ts";

const SUCCESS = 0;
const { EMUNGE_CRED_REPLAYED } = ERRNO;

/** How often clients have connected to a socket without being accepted: the kernel shows those without an inode. */
function pendingConnections(socket: string): number {
  return readFileSync("/proc/net/unix", "latin1").split("\n")
    .filter((line) => line.endsWith(` 0 ${socket}`)).length;
}

/** Stops munged, and waits until all its threads have stopped: until then, one that runs may serve clients. */
async function freeze({ process: { pid } }: Munged): Promise<void> {
  process.kill(pid!, "SIGSTOP");
  const tasks = `/proc/${pid}/task`;
  const isRunning = (thread: string) => {
    try {
      return !/\) T /.test(readFileSync(join(tasks, thread, "stat"), "latin1"));
    } catch {
      return false; // it has ended
    }
  };
  while (readdirSync(tasks).some(isRunning)) await pause(2);
}

/** A connection that munged keeps. */
async function keep(path: string): Promise<Socket> {
  const socket = connectStream({ path });
  socket.write(formatKeepRequest(0));
  await once(socket, "data");
  return socket;
}

suite("retries", { "the reference": hasReference }, () => {
  let realm: Realm;
  let munged: Munged;
  before(() => {
    realm = new Realm();
  });
  beforeEach(async () => {
    munged = await realm.start("ours"); // with a log in which nothing was suppressed
  });
  afterEach(() => munged.stop());
  after(() => realm.close());

  const encode = () => new BlockingClient(munged.socket).encode(encodeRequest()).credential.slice();
  /** Decodes a credential with a program of the reference. Returns its status, which is the error number. */
  function unmunge(credential: Uint8Array): number | null {
    const args = [`--socket=${munged.socket}`];
    return realm.run("reference", "unmunge", args, { input: credential }).status;
  }
  /** Keeps munged from answering a client's first try until it makes the second, as a user who takes all CPU time can. */
  async function stall<T>(ask: () => T): Promise<T> {
    await freeze(munged);
    try {
      const client = ask();
      await until("a second try", () => pendingConnections(munged.socket) > 1);
      return client;
    } finally {
      munged.process.kill("SIGCONT");
    }
  }

  test("a used credential is a replay for any other process that sends a retry byte", async () => {
    for (let i = 0; i < 40; i++) {
      const credential = encode();
      assert.equal(unmunge(credential), SUCCESS);
      for (const retry of [1 + i % 5, 1, 2, 3, 4, 5]) {
        const { errno } = await rawDecode(munged.socket, { credential }, retry);
        assert.equal(errno, EMUNGE_CRED_REPLAYED, `retry ${retry}`);
      }
    }
  });

  test("a service whose first try is made to fail does not accept a replay on its next one", async () => {
    const probe = spawn(compileProbe(realm), [munged.socket], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    const answers = createInterface({ input: probe.stdout })[Symbol.asyncIterator]();
    const ask = async (credential: Uint8Array) => {
      probe.stdin.write(`decode ${new TextDecoder().decode(credential)}\n`);
      return Number((await answers.next()).value.split(" ")[0]);
    };
    for (let i = 0; i < 3; i++) {
      const credential = encode();
      assert.equal(await ask(credential), SUCCESS);
      const replay = await stall(() => ({ answer: ask(credential) }));
      assert.equal(await replay.answer, EMUNGE_CRED_REPLAYED);
    }
    await until("a line about a retry", () => /Decode retry #1 /.test(munged.log()));
    probe.stdin.end();
    await once(probe, "exit");
  });

  test("nor does one that starts unmunge for each credential", async () => {
    const credential = encode();
    assert.equal(unmunge(credential), SUCCESS);
    const before = munged.log().length;
    const child = await stall(() => {
      const args = [`--socket=${munged.socket}`];
      const child = spawn(realm.program("reference", "unmunge"), args, {
        stdio: ["pipe", "ignore", "ignore"],
      });
      child.stdin.end(credential);
      return child;
    });
    const [status] = child.exitCode === null ? await once(child, "exit") : [child.exitCode];
    assert.equal(status, EMUNGE_CRED_REPLAYED);
    await until("a line about a retry", () => /Decode retry #1 /.test(munged.log().slice(before)));
  });

  test("a retry never overtakes the try before it", async () => {
    const { socket } = munged;
    for (let round = 0; round < 100; round++) {
      const credentials = Array.from({ length: 10 }, encode);
      for (const credential of credentials) {
        assert.equal((await rawDecode(socket, { credential }, 0)).errno, SUCCESS);
      }
      await freeze(munged);
      const retries = credentials.map((credential) => {
        const client = connect(socket, 0);
        sendSome(client, formatDecodeRequest({ credential }, 0));
        close(client);
        return rawDecode(socket, { credential }, 1);
      });
      await pause(5); // until all are sent
      munged.process.kill("SIGCONT");
      const outcomes = (await Promise.all(retries)).map(({ errno }) => errno);
      assert.deepEqual(outcomes, credentials.map(() => EMUNGE_CRED_REPLAYED));
    }
  });

  test("a client that lost two answers gets the third", async () => {
    const watch = new HangUps();
    for (let i = 0; i < 200; i++) {
      const credential = encode();
      for (const retry of [0, 1]) {
        const client = connect(munged.socket, 0);
        sendSome(client, formatDecodeRequest({ credential }, retry));
        watch.add(client);
        assert.deepEqual(watch.wait(20_000), [client]); // answered, but not read
        close(client);
      }
      assert.equal((await rawDecode(munged.socket, { credential }, 2)).errno, SUCCESS);
      assert.equal((await rawDecode(munged.socket, { credential }, 0)).errno, EMUNGE_CRED_REPLAYED);
    }
  });

  test("a retry is believed whatever else its process has sent, or has yet to send", async () => {
    const { socket } = munged;
    const unsent = connect(socket, 0);
    const half = connect(socket, 0);
    const message = formatDecodeRequest({ credential: encode() }, 0);
    sendSome(half, message.subarray(0, message.length / 2));
    const kept = await keep(socket);
    try {
      for (let i = 0; i < 20; i++) {
        const credentials = Array.from({ length: 20 }, encode);
        for (const credential of credentials) {
          assert.equal((await rawDecode(socket, { credential }, 0)).errno, SUCCESS);
        }
        // All at once: munged reads some while others wait to be read.
        const retries = credentials.map((credential) => rawDecode(socket, { credential }, 1));
        const outcomes = (await Promise.all(retries)).map(({ errno }) => errno);
        assert.deepEqual(outcomes, credentials.map(() => SUCCESS));
      }
    } finally {
      close(unsent);
      close(half);
      kept.destroy();
    }
  });

  test("a retry is believed by a munged that was killed and restarted", async () => {
    const args = [`--replay-dir=${realm.directory}/replay`];
    const first = await realm.start("ours", args);
    const credential = encode();
    assert.equal((await rawDecode(first.socket, { credential }, 0)).errno, SUCCESS);
    first.process.kill("SIGKILL");
    await once(first.process, "exit");
    const second = await realm.start("ours", args);
    assert.equal((await rawDecode(second.socket, { credential }, 1)).errno, SUCCESS);
    assert.equal((await rawDecode(second.socket, { credential }, 0)).errno, EMUNGE_CRED_REPLAYED);
    assert.equal((await rawDecode(second.socket, { credential }, 1)).errno, EMUNGE_CRED_REPLAYED);
    await second.stop();
  });
});
