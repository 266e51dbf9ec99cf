// munged on a socket that a service manager passes to it. The tests are the manager: they listen, start munged with the
// descriptor, and go on listening when munged has stopped.
import assert from "node:assert/strict";
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { chmodSync, existsSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { openDatagramSocket } from "../../lib/os/datagram.ts";
import { close, listenUnix } from "../../lib/os/socket.ts";
import { hasReference } from "../harness/programs.ts";
import { Realm } from "../harness/realm.ts";
import { makePlace } from "./place.ts";
import { suite } from "../suite.ts";

/** Starts what follows as the service manager would: with its own process ID in LISTEN_PID. */
const AS_SERVICE = ["-c", 'LISTEN_PID=$$ exec "$0" "$@"'];
const START_TIMEOUT_MS = 120_000;

suite("a socket from the service manager", process.platform !== "linux" && "needs Linux", () => {
  let realm: Realm;
  before(() => {
    realm = new Realm();
  });
  after(() => realm.close());

  const place = (name: string) => makePlace(realm, name);

  function command(args: readonly string[]): string[] {
    return [...AS_SERVICE, realm.program("ours", "munged"), ...args];
  }

  /** Starts munged in the foreground. */
  function start(fds: readonly number[], args: readonly string[]): ChildProcess {
    return spawn("sh", command(["--foreground", ...args]), {
      stdio: ["ignore", "ignore", "pipe", ...fds],
      env: { ...process.env, LISTEN_FDS: `${fds.length}`, LISTEN_FDNAMES: "munge.socket" },
      cwd: "/",
    });
  }

  /** Makes and opens a credential; C programs where there are any. Settles with both statuses. */
  async function roundTrip(socket: string): Promise<string> {
    const make = hasReference ? "reference" : "ours";
    const run = (name: string, stdio: ("ignore" | "pipe")[]) =>
      spawn(realm.program(make, name), ["-n", `--socket=${socket}`], { stdio });
    const munge = run("munge", ["ignore", "pipe", "ignore"]);
    const unmunge = run("unmunge", ["pipe", "ignore", "ignore"]);
    munge.stdout!.pipe(unmunge.stdin!);
    await Promise.all([once(munge, "close"), once(unmunge, "close")]);
    return `${munge.exitCode} ${unmunge.exitCode}`;
  }

  async function stop(munged: ChildProcess): Promise<void> {
    munged.kill("SIGTERM");
    await once(munged, "exit");
    assert.equal(munged.exitCode, 0);
  }

  test("serves; clients that come while munged is stopped wait for the next one", async () => {
    const { base, socket, args } = place("served");
    const listener = listenUnix(socket, 64);
    chmodSync(socket, 0o777);
    const { ino } = statSync(socket);
    try {
      for (let turn = 0; turn < 3; turn++) {
        // No munged is there, and the socket is not in its way: nothing is refused, so nothing is retried.
        const waiting = roundTrip(socket);
        await pause(50);
        const munged = start([listener], args);
        assert.equal(await waiting, "0 0");
        await stop(munged);
        assert.equal(statSync(socket).ino, ino);
        assert.equal(existsSync(join(base, "pid")), false);
      }
    } finally {
      close(listener);
    }
  });

  test("serves in the background", async () => {
    const { base, socket, args } = place("background");
    const listener = listenUnix(socket, 64);
    chmodSync(socket, 0o777);
    try {
      const starting = spawnSync("sh", command(args), {
        stdio: ["ignore", "ignore", "pipe", listener],
        env: { ...process.env, LISTEN_FDS: "1" },
        timeout: START_TIMEOUT_MS,
      });
      assert.equal(starting.status, 0, starting.stderr.toString());
      assert.equal(await roundTrip(socket), "0 0");
      const status = realm.run("ours", "munged", ["--status", "--json", `--socket=${socket}`]).out;
      assert.equal(JSON.parse(status).socket.held_by_manager, true);
      assert.match(readFileSync(join(base, "log"), "utf8"), /Received socket ".*socket" from/);
      const stopping = realm.run("ours", "munged", ["--stop", `--socket=${socket}`]);
      assert.equal(stopping.status, 0);
      assert.equal(existsSync(socket), true);
      assert.equal(existsSync(`${socket}.lock`), false);
    } finally {
      close(listener);
    }
  });

  /** What a munged with these descriptors says before it ends with status 1. */
  async function refusal(fds: readonly number[], args: readonly string[]): Promise<string> {
    const munged = start(fds, args);
    let said = "";
    munged.stderr!.on("data", (text) => said += text);
    await once(munged, "close");
    assert.equal(munged.exitCode, 1, said);
    return said;
  }

  test("any other descriptor ends the start with a clear error, and harms no socket", async () => {
    const { base, socket, args } = place("refused");
    const other = join(base, "other");
    const listener = listenUnix(other, 1);
    const datagram = openDatagramSocket();
    const manager = "Failed to use socket from service manager for";
    try {
      for (
        const [fds, expected] of [
          [[listener, listener], "Expected 1 socket from the service manager instead of 2"],
          [[listener], `${manager} "${socket}": It listens on "${other}" (see --socket)`],
          [[datagram], `${manager} "${socket}": Not a stream socket`],
          [[0], `${manager} "${socket}": Socket operation on non-socket`],
        ] as const
      ) {
        assert.ok((await refusal(fds, args)).includes(expected), expected);
      }
      assert.equal(existsSync(socket), false);
      assert.equal(existsSync(other), true);
    } finally {
      close(listener);
      close(datagram);
    }
  });

  test("descriptors for another process are left alone", async () => {
    const munged = await realm.start("ours", [], ["env", "LISTEN_FDS=2", "LISTEN_PID=1"]);
    assert.equal(await roundTrip(munged.socket), "0 0");
    assert.equal(await munged.stop(), 0);
    assert.equal(existsSync(munged.socket), false);
  });
});
