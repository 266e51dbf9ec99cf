// Tells a running munged that its keys have changed, and waits until it uses them. rotation.ts changes the keys.
import { dirname, resolve } from "node:path";
import type { DaemonConfig } from "../../daemon/munged/config.ts";
import type { Status } from "../../daemon/munged/observe/status.ts";
import { signalDaemon } from "../../daemon/process/signal_daemon.ts";
import type { KeyRole } from "../../lib/keys/ring.ts";
import { systemText } from "../../lib/os/system_text.ts";
import { refuse } from "../command_line/values.ts";
import { askStatus, isStatusRefused } from "../munged/status.ts";

/** munged notices a change by itself within seconds; if it takes longer, something is wrong. */
const MAX_WAIT_MS = 15_000;
const POLL_MS = 20;

/** Whether a munged with this configuration reads the key file. */
function reads({ keyFile, realmDir, realms }: DaemonConfig, path: string): boolean {
  const file = resolve(path);
  return resolve(keyFile) === file || resolve(realmDir) === dirname(file) ||
    realms.some((realm) => resolve(realm.keyFile) === file);
}

/**
 * Makes the munged that reads `keyFile`, if one is running, read it now.
 *
 * @returns once its threads use the key in this role; at once if none is running.
 * @throws {MungeError} if munged does not confirm that in time.
 */
export function announceKey(
  config: DaemonConfig,
  keyFile: string,
  role: KeyRole,
  fingerprint: string,
): void {
  if (!reads(config, keyFile)) return;
  const { socketPath } = config;
  // If we can't signal it, for example across PID namespaces, munged notices the files by itself.
  if (signalDaemon(socketPath, "SIGHUP") === "no daemon") return;
  const deadline = performance.now() + MAX_WAIT_MS;
  for (;;) {
    const reason = notInForceReason(socketPath, role, fingerprint);
    if (reason === null) return;
    if (performance.now() > deadline) {
      refuse(`The munged at "${socketPath}" does not use key ${fingerprint} yet: ${reason}`);
    }
    Bun.sleepSync(POLL_MS);
  }
}

function notInForceReason(socketPath: string, role: KeyRole, fingerprint: string): string | null {
  try {
    const { realms } = JSON.parse(askStatus(socketPath)) as Status;
    const isInForce = realms.some(({ keys }) =>
      keys.some((key) => key.role === role && key.fingerprint === fingerprint)
    );
    return isInForce ? null : "see its log";
  } catch (error) {
    if (isStatusRefused(error)) refuse(systemText(error)); // waiting would not help
    return systemText(error);
  }
}
