// munged --replace: a new munged takes the place of a running one under constant load from libmunge, and whatever goes wrong
// on the way, one of the two serves. For what happens at one moment of a replacement, the test plays one of the mungeds.
import assert from "node:assert/strict";
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import {
  chmodSync,
  closeSync,
  constants,
  copyFileSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join, resolve } from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { Channel } from "../../daemon/munged/handover/channel.ts";
import { PROTOCOLS } from "../../daemon/munged/handover/messages.ts";
import { lockSocket, seizeLock } from "../../daemon/process/lock_file.ts";
import { lockHolder } from "../../lib/os/file_lock.ts";
import { connectForPackets, listenForPackets } from "../../lib/os/packet_socket.ts";
import { acceptConnection, close, listenUnix } from "../../lib/os/socket.ts";
import { unixAddress } from "../../lib/os/unix_address.ts";
import { closeStream, connectStream } from "../../lib/os/unix_stream.ts";
import { isRunning } from "../harness/daemon.ts";
import { hasReference, installPrograms, MUNGEBOX, type Outcome } from "../harness/programs.ts";
import { VERSION } from "../../lib/version.ts";
import { Realm } from "../harness/realm.ts";
import { makePlace, pidIn, type Place } from "./place.ts";
import { rawDecode } from "./raw.ts";
import { suite } from "../suite.ts";

/** More of them, and another version to alternate with, when run by hand. */
const REPLACEMENTS = Number(process.env["REPLACEMENTS"] ?? 10);
const OTHER = process.env["OTHER_MUNGEBOX"] ?? MUNGEBOX;
const skip = process.platform !== "linux" ? "needs Linux" : false;
const PAIRS_OF_CLIENTS = 2;
const PATIENCE_MS = 120_000;

/** A new munged that may serve, and prints a line, but never says that it does. */
const COMMITTED = `
import { Channel } from "./daemon/munged/handover/channel.ts";
import { PROTOCOLS } from "./daemon/munged/handover/messages.ts";
import { connectForPackets } from "./lib/os/packet_socket.ts";
const channel = new Channel(connectForPackets(process.env.HANDOVER_SOCKET));
channel.send({ kind: "hello", ...PROTOCOLS, version: "test", socket: process.env.SOCKET });
await channel.expect("welcome", 20000);
channel.send({ kind: "rest" });
await channel.expect("resting", 20000);
channel.send({ kind: "ready" });
await channel.expect("go", 20000);
console.log("committed");
setInterval(() => {}, 1000);
`;

suite("munged --replace", skip, () => {
  let realm: Realm;
  const running = new Set<Place>();
  const children = new Set<ChildProcess>();
  before(() => {
    realm = new Realm();
    installPrograms(join(realm.directory, "other"));
    copyFileSync(OTHER, join(realm.directory, "other/copy"));
    spawnSync("mv", [join(realm.directory, "other/copy"), join(realm.directory, "other/mungebox")]);
  });
  after(async () => {
    for (const { socket } of running) munged("bin", ["--stop", `--socket=${socket}`]);
    for (const child of children) child.kill("SIGKILL");
    await realm.close();
  });

  function place(name: string): Place {
    const made = makePlace(realm, name);
    running.add(made);
    return made;
  }

  /** Runs munged of one of the two versions until it ends or is in the background. */
  function munged(version: "bin" | "other", args: readonly string[]): Outcome {
    const { status, stdout, stderr } = spawnSync(join(realm.directory, version, "munged"), args, {
      cwd: "/",
      timeout: PATIENCE_MS,
    });
    return { status, out: stdout.toString(), err: stderr.toString() };
  }

  function start({ args }: Place, ...more: string[]): void {
    const { status, err } = munged("bin", [...args, ...more]);
    assert.equal(status, 0, err);
  }

  const logOf = ({ log }: Place) => readFileSync(log, "utf8");

  /** A credential, made by the munged of a place. */
  function encode({ socket }: Place): string {
    const { status, out, err } = realm.run("ours", "munge", ["-n", `--socket=${socket}`]);
    assert.equal(status, 0, err);
    return out;
  }

  /** The exit status of unmunge: 0, or 17 for a replay. */
  function decode({ socket }: Place, credential: string): number | null {
    return realm.run("ours", "unmunge", ["-n", `--socket=${socket}`], { input: credential }).status;
  }

  /** Fails unless the munged of a place serves, is the one with this process ID, and remembers a credential. */
  async function serves(at: Place, pid: number, used: string): Promise<void> {
    const isNamed = () => existsSync(join(at.base, "pid")) && pidIn(at) === pid;
    await until("the PID file names it", isNamed); // one that keeps serving writes it again
    assert.equal(decode(at, used), 17, "a replay was accepted");
    assert.equal(decode(at, encode(at)), 0);
    const fd = openSync(`${at.socket}.lock`, constants.O_WRONLY);
    assert.equal(lockHolder(fd), pid);
    closeSync(fd);
    process.kill(pid, "SIGTERM");
    await until("munged ends", () => !isRunning(pid));
    assert.equal(existsSync(at.socket), false);
    assert.equal(existsSync(`${at.socket}.lock`), false);
    running.delete(at);
  }

  async function until(what: string, isTrue: () => boolean): Promise<void> {
    for (const deadline = performance.now() + PATIENCE_MS; !isTrue(); await pause(5)) {
      assert(performance.now() < deadline, what);
    }
  }

  test(`${REPLACEMENTS} replacements refuse no client and accept no replay`, {
    skip: !hasReference && "needs libmunge",
  }, async () => {
    const at = place("load");
    const program = join(realm.directory, "replace_load");
    const compiled = spawnSync("cc", [
      ..."-std=c11 -D_GNU_SOURCE -O2 -Wall -Wextra -Werror -pthread".split(" "),
      "-o",
      program,
      join(import.meta.dirname, "replace_load.c"),
      "-lmunge",
    ]);
    assert.equal(compiled.status, 0, compiled.stderr?.toString());
    start(at);
    const { ino } = statSync(at.socket);
    const load = spawn(program, [at.socket, `${PAIRS_OF_CLIENTS}`], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    let result = "";
    load.stdout.on("data", (text) => result += text);
    await pause(200);
    for (let count = 0; count < REPLACEMENTS; count++) {
      const before = pidIn(at);
      const replacing = spawn(
        join(realm.directory, count % 2 === 0 ? "other" : "bin", "munged"),
        [...at.args, "--replace"],
        { stdio: ["ignore", "ignore", "pipe"] },
      );
      let said = "";
      replacing.stderr.on("data", (text) => said += text);
      await once(replacing, "close");
      assert.equal(replacing.exitCode, 0, said);
      assert.notEqual(pidIn(at), before);
      await until("the old munged ends", () => !isRunning(before));
    }
    load.stdin.end();
    await once(load, "close");
    const [requests, failed, replayed, ...first] = result.trim().split(" ");
    assert.deepEqual({ failed, replayed, first: first.join(" ") }, {
      failed: "0",
      replayed: "0",
      first: "",
    });
    assert(Number(requests) > 100 * REPLACEMENTS, `${requests} requests`);
    assert.equal(statSync(at.socket).ino, ino);
    let gaps: number[] = [];
    await until("a line about each replacement", () => {
      gaps = [...logOf(at).matchAll(/clients waited for (\d+) ms/g)].map(([, ms]) => Number(ms));
      return gaps.length === REPLACEMENTS;
    });
    gaps.sort((a, b) => a - b);
    const note = `${requests} requests; clients waited ${gaps[gaps.length >> 1]} ms (median), ` +
      `${gaps.at(-1)} ms (longest)`;
    if (process.env["REPLACEMENTS"] !== undefined) console.log(note);
  });

  test("in the foreground, the old munged ends with status 0, and the new one has everything", async () => {
    const at = place("foreground");
    const daemons = [[], ["--replace"]].map((more) => async (): Promise<ChildProcess> => {
      const child = spawn(realm.program("ours", "munged"), ["-F", ...at.args, ...more], {
        stdio: ["ignore", "ignore", "pipe"],
      });
      children.add(child);
      let log = "";
      child.stderr.on("data", (text) => log += text);
      const isServing = () => existsSync(join(at.base, "pid")) && pidIn(at) === child.pid;
      await until("a munged serves", () => isServing() && /Created/.test(log));
      return child;
    });
    const old = await daemons[0]!();
    const used = encode(at);
    assert.equal(decode(at, used), 0);
    const ended = once(old, "exit");
    const next = await daemons[1]!();
    await ended;
    assert.equal(old.exitCode, 0);
    const { out } = munged("bin", ["--status", "--json", `--socket=${at.socket}`]);
    const from = `pid ${old.pid} (mungebox ${VERSION})`;
    assert.deepEqual(JSON.parse(out).socket, { held_by_manager: false, taken_over_from: from });
    await serves(at, next.pid!, used);
  });

  test("a retry by the process that decoded a credential before is not believed after it", async () => {
    const at = place("retry");
    start(at);
    const credentials = [0, 1].map(() => new TextEncoder().encode(encode(at).trim()));
    const decodeIn = async (index: number, retry: number) =>
      (await rawDecode(at.socket, { credential: credentials[index]! }, retry)).errno;
    assert.deepEqual([await decodeIn(0, 0), await decodeIn(1, 0)], [0, 0]);
    assert.equal(await decodeIn(0, 1), 0, "the old munged can't know that its answer arrived");
    const { status, err } = munged("other", [...at.args, "--replace"]);
    assert.equal(status, 0, err);
    assert.deepEqual([await decodeIn(0, 1), await decodeIn(1, 1)], [17, 17]);
    await serves(at, pidIn(at), new TextDecoder().decode(credentials[1]));
  });

  test("clients that send nothing delay a replacement by a tenth of a second at most", async () => {
    const at = place("silent");
    start(at);
    const pid = pidIn(at);
    const address = unixAddress(at.socket)!;
    const clients = Array.from({ length: 20 }, () => connectStream(address));
    const { status, err } = munged("other", [...at.args, "--replace"]);
    assert.equal(status, 0, err);
    const gap = Number(/clients waited for (\d+) ms/.exec(logOf(at))?.[1]);
    assert(gap >= 100 && gap < 1_900, `${gap} ms`); // their time limit would be two seconds
    assert.notEqual(pidIn(at), pid);
    for (const client of clients) closeStream(client as number);
    const used = encode(at);
    assert.equal(decode(at, used), 0);
    await serves(at, pidIn(at), used);
  });

  test("without a munged to replace, one starts", async () => {
    const at = place("none");
    start(at, "--replace");
    const used = encode(at);
    assert.equal(decode(at, used), 0);
    assert.match(logOf(at), /Found no daemon bound to socket ".*" to replace/);
    await serves(at, pidIn(at), used);
  });

  describe("leaves the old munged serving", () => {
    /** A munged that has decoded a credential. */
    function begin(name: string, ...more: string[]) {
      const at = place(name);
      start(at, ...more);
      const used = encode(at);
      assert.equal(decode(at, used), 0);
      return { at, used, pid: pidIn(at) };
    }

    for (
      const [name, more, expected] of [
        ["a bad key", ["--key-file=/dev/null"], /Keyfile is insecure|should be a regular file/],
        ["no replay cache", ["--no-replay-dir"], /without a replay cache on disk/],
        ["another replay cache", ["--replay-dir=BASE/other"], /has another --replay-dir/],
        ["no place for its PID file", ["--pid-file=BASE/missing/pid"], /missing/],
        ["no memory for the replay cache", ["--benchmark"], /without a replay cache on disk/],
      ] as const
    ) {
      test(`if the new one has ${name}`, async () => {
        const { at, used, pid } = begin(name.replaceAll(" ", "-"));
        const args = more.map((arg) => arg.replace("BASE", at.base));
        const { ino } = statSync(at.socket);
        const { status, err } = munged("other", [...at.args, ...args, "--replace"]);
        assert.equal(status, 1);
        assert.match(err, expected);
        assert.equal(statSync(at.socket).ino, ino);
        await serves(at, pid, used);
      });
    }

    test("if it is the C one", { skip: !hasReference && "needs the C munged" }, async () => {
      const c = await realm.start("reference");
      const base = join(c.socket, "..");
      const { status, err } = munged("bin", [
        `--socket=${c.socket}`,
        `--key-file=${join(realm.directory, "key")}`,
        `--pid-file=${base}/pid`,
        `--seed-file=${base}/seed`,
        `--log-file=${base}/log`,
        "--origin=127.0.0.1",
        "--replace",
      ]);
      assert.equal(status, 1);
      assert.match(
        err,
        /Error: +Failed to replace daemon \(pid \d+\): it is another implementation, an older version/,
      );
      assert.equal(realm.run("reference", "munge", ["-n", `--socket=${c.socket}`]).status, 0);
      assert.equal(await c.stop(), 0);
    });

    /** Says hello to the munged of a place, as a new one that gets as far as a step. */
    async function converse(
      { base, socket }: Place,
      last: "nothing" | "hello" | "rest" | "ready" | "claim",
    ): Promise<Channel> {
      const channel = new Channel(connectForPackets(join(base, "munged.replay/handover")));
      if (last === "nothing") return channel;
      channel.send({ kind: "hello", ...PROTOCOLS, version: "test", socket });
      const { message, passed } = await channel.expect("welcome", PATIENCE_MS);
      assert.equal(message.protocol, PROTOCOLS.newest);
      close(passed!);
      if (last === "hello") return channel;
      channel.send({ kind: "rest" });
      await channel.expect("resting", PATIENCE_MS);
      if (last === "rest") return channel;
      channel.send({ kind: "ready" });
      await channel.expect("go", PATIENCE_MS);
      if (last === "ready") return channel;
      for (
        const [path, mode] of [[`${socket}.lock`, 0o200], [
          `${base}/munged.replay/lock`,
          0o600,
        ]] as const
      ) {
        closeSync(seizeLock(path, mode).fd);
      }
      writeFileSync(join(base, "pid"), "1\n");
      return channel;
    }

    for (const last of ["nothing", "hello", "rest", "ready", "claim"] as const) {
      test(`if the new one is killed after ${last}`, async () => {
        const { at, used, pid } = begin(`killed-${last}`);
        const channel = await converse(at, last);
        const waiting = spawn(realm.program("ours", "munge"), ["-n", `--socket=${at.socket}`], {
          stdio: "ignore",
        });
        const answered = once(waiting, "close");
        await pause(50);
        channel.close();
        await answered;
        assert.equal(waiting.exitCode, 0);
        await serves(at, pid, used);
      });
    }

    test("if they have no version of the handover protocol in common", async () => {
      const { at, used, pid } = begin("versions");
      const channel = new Channel(connectForPackets(join(at.base, "munged.replay/handover")));
      const { newest } = PROTOCOLS;
      const hello = { kind: "hello", version: "test", socket: at.socket } as const;
      channel.send({ ...hello, oldest: newest + 1, newest: newest + 2 });
      await assert.rejects(
        channel.expect("welcome", PATIENCE_MS),
        /supports handover protocols 1 to 1, not 2 to 3/,
      );
      channel.close();
      await serves(at, pid, used);
    });

    test("while another one is replacing it already", async () => {
      const { at, used, pid } = begin("twice");
      const channel = await converse(at, "hello");
      const { status, err } = munged("other", [...at.args, "--replace"]);
      assert.equal(status, 1);
      assert.match(err, /it is being replaced or stopped already/);
      channel.close();
      await serves(at, pid, used);
    });

    test("unless it is stopped meanwhile, which ends the replacement", async () => {
      const { at, pid } = begin("stopped");
      const channel = await converse(at, "rest");
      const stopping = spawn(realm.program("ours", "munged"), ["--stop", `--socket=${at.socket}`]);
      await assert.rejects(channel.expect("go", PATIENCE_MS), /it is being stopped/);
      await once(stopping, "close");
      assert.equal(stopping.exitCode, 0);
      assert.equal(isRunning(pid), false);
      assert.equal(existsSync(at.socket), false);
      running.delete(at);
    });
  });

  test("--stop at a moment when the new munged may already serve stops both", async () => {
    const at = place("both");
    start(at);
    const pid = pidIn(at);
    const directory = resolve(import.meta.dirname, "../..");
    const next = spawn(process.execPath, ["-e", COMMITTED], {
      stdio: ["ignore", "pipe", "inherit"],
      env: {
        ...process.env,
        SOCKET: at.socket,
        HANDOVER_SOCKET: join(at.base, "munged.replay/handover"),
      },
      cwd: directory,
    });
    children.add(next);
    await once(next.stdout, "data");
    const ended = once(next, "exit");
    const stopping = spawn(realm.program("ours", "munged"), ["--stop", `--socket=${at.socket}`]);
    const stopped = once(stopping, "close");
    assert.deepEqual(await ended, [null, "SIGTERM"]);
    await stopped;
    assert.equal(stopping.exitCode, 0);
    assert.equal(isRunning(pid), false);
    assert.equal(existsSync(at.socket), false);
    running.delete(at);
  });

  test("a new munged whose predecessor is killed on the way keeps serving its socket", async () => {
    const at = place("orphan");
    const directory = join(at.base, "munged.replay");
    mkdirSync(directory, { mode: 0o700 });
    for (const last of ["hello", "rest", "ready"] as const) {
      const lock = lockSocket({ socketPath: at.socket, force: false }, { warning() {} });
      const handover = listenForPackets(join(directory, "handover"));
      const listener = listenUnix(at.socket, 8);
      chmodSync(at.socket, 0o777);
      const next = spawn(realm.program("ours", "munged"), ["-F", ...at.args, "--replace"], {
        stdio: "ignore",
      });
      children.add(next);
      let fd = -1;
      await until("the new munged connects", () => (fd = acceptConnection(handover)) >= 0);
      const channel = new Channel(fd);
      await channel.expect("hello", PATIENCE_MS);
      if (last !== "hello") {
        const welcome = {
          kind: "welcome",
          protocol: 1,
          version: "test",
          isManagers: false,
        } as const;
        channel.send(welcome, listener);
        await channel.expect("rest", PATIENCE_MS);
      }
      if (last === "ready") {
        channel.send({ kind: "resting" });
        await channel.expect("ready", PATIENCE_MS);
      }
      // The kernel closes everything of a process that is killed.
      close(listener);
      channel.close();
      close(handover);
      closeSync(lock.fd);
      await until(
        "the new munged serves",
        () => existsSync(join(at.base, "pid")) && pidIn(at) === next.pid,
      );
      assert.equal(decode(at, encode(at)), 0);
      next.kill("SIGTERM");
      await once(next, "exit");
      assert.equal(next.exitCode, 0);
      assert.equal(existsSync(at.socket), false);
    }
    running.delete(at);
  });
});
