// The socket that systemd passes to a daemon.
import assert from "node:assert/strict";
import { afterEach, test } from "node:test";
import { socketFromManager } from "../../../daemon/process/activation.ts";

const NAMES = ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PIDFDID", "MUNGED_LISTENER"];
const skip = process.platform !== "linux";

function withEnvironment(environment: Record<string, string>): number | null {
  Object.assign(process.env, environment);
  return socketFromManager();
}

afterEach(() => {
  for (const name of NAMES) assert.equal(process.env[name], undefined, `${name} is left`);
});

test("socketFromManager() finds the one descriptor passed to this process", { skip }, () => {
  const LISTEN_PID = `${process.pid}`;
  assert.equal(withEnvironment({ LISTEN_PID, LISTEN_FDS: "1", LISTEN_FDNAMES: "x" }), 3);
  assert.equal(withEnvironment({ LISTEN_PID, LISTEN_FDS: "0" }), null);
  assert.equal(withEnvironment({ LISTEN_FDS: "1" }), null);
  assert.equal(withEnvironment({ LISTEN_PID: "1", LISTEN_FDS: "1", LISTEN_PIDFDID: "7" }), null);
  assert.equal(withEnvironment({ MUNGED_LISTENER: "yes" }), 4);
});

test("socketFromManager() refuses any other number of descriptors", { skip }, () => {
  for (const LISTEN_FDS of ["2", "", "one", "-1"]) {
    assert.throws(
      () => withEnvironment({ LISTEN_PID: `${process.pid}`, LISTEN_FDS }),
      /Expected 1 socket from the service manager instead of /,
    );
  }
});
