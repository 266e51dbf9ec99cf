// Tells a running munged that its keys have changed, and waits until it uses them. What changes them is rotation.ts.
import { dirname, resolve } from "node:path";
import type { DaemonConfig } from "../../daemon/munged/config.ts";
import type { Status } from "../../daemon/munged/observe/status.ts";
import { signalDaemon } from "../../daemon/process/signal_daemon.ts";
import type { KeyRole } from "../../lib/keys/ring.ts";
import { systemText } from "../../lib/os/system_text.ts";
import { refuse } from "../command_line/values.ts";
import { askStatus, isStatusRefused } from "../munged/status.ts";

/** munged takes up a change within some seconds by itself; whatever takes longer has gone wrong. */
const PATIENCE_MS = 15_000;
const POLL_MS = 20;

/** Whether the munged of this configuration reads a key file. */
function reads({ keyFile, realmDir, realms }: DaemonConfig, path: string): boolean {
  const file = resolve(path);
  return resolve(keyFile) === file || resolve(realmDir) === dirname(file) ||
    realms.some((realm) => resolve(realm.keyFile) === file);
}

/**
 * Has the munged that reads `keyFile`, if one runs, read it now.
 *
 * @returns once its threads use the key in this role; at once if none runs.
 * @throws {MungeError} if munged does not say so in time.
 */
export function announceKey(
  config: DaemonConfig,
  keyFile: string,
  role: KeyRole,
  fingerprint: string,
): void {
  if (!reads(config, keyFile)) return;
  const { socketPath } = config;
  // Where it must not be signalled, in another PID namespace for one, munged notices the files by itself.
  if (signalDaemon(socketPath, "SIGHUP") === "no daemon") return;
  const deadline = performance.now() + PATIENCE_MS;
  for (;;) {
    const reason = whyNotInForce(socketPath, role, fingerprint);
    if (reason === null) return;
    if (performance.now() > deadline) {
      refuse(`The munged at "${socketPath}" does not use key ${fingerprint} yet: ${reason}`);
    }
    Bun.sleepSync(POLL_MS);
  }
}

function whyNotInForce(socketPath: string, role: KeyRole, fingerprint: string): string | null {
  try {
    const { realms } = JSON.parse(askStatus(socketPath)) as Status;
    const isInForce = realms.some(({ keys }) =>
      keys.some((key) => key.role === role && key.fingerprint === fingerprint)
    );
    return isInForce ? null : "see its log";
  } catch (error) {
    if (isStatusRefused(error)) refuse(systemText(error)); // so waiting is of no use
    return systemText(error);
  }
}
