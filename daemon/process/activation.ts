// Socket activation: the service manager listens, and starts the daemon with the socket as a descriptor (sd_listen_fds(3)).
// Whether it is the right socket is for the daemon to check.
import { MungeError } from "../../lib/errors.ts";
import { LISTENER, LISTENER_FD } from "./session_leader.ts";

/** SD_LISTEN_FDS_START: the first descriptor that a service manager passes. */
const FIRST_FD = 3;
const VARIABLES = ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PIDFDID"];

/**
 * The descriptor of the socket from the service manager; null if it passed none to this process. Removes its variables from
 * the environment, so that no child mistakes them for its own.
 *
 * @throws {MungeError} for more than one socket, and where there is no socket activation.
 */
export function socketFromManager(): number | null {
  const { LISTEN_PID: pid, LISTEN_FDS: count, [LISTENER]: passedOn } = process.env;
  for (const name of [...VARIABLES, LISTENER]) delete process.env[name];
  if (passedOn !== undefined) return LISTENER_FD; // to the copy in the background
  if (pid !== `${process.pid}` || count === undefined || count === "0") return null;
  if (process.platform !== "linux") {
    throw failure("Socket activation (LISTEN_FDS) is supported on Linux only");
  }
  if (count === "1") return FIRST_FD;
  throw failure(`Expected 1 socket from the service manager instead of ${count} (LISTEN_FDS)`);
}

function failure(text: string): MungeError {
  return new MungeError("EMUNGE_SNAFU", text);
}
