// munged --status: asks a running munged for its status and prints it.
import type { Status } from "../../daemon/munged/observe/status.ts";
import { policyLine } from "../../daemon/munged/observe/policy_text.ts";
import { MAX_PAYLOAD_LENGTH } from "../../lib/credential/fields.ts";
import { MungeError } from "../../lib/errors.ts";
import { formatLocalTime } from "../../lib/os/local_time.ts";
import { printable, printableJson } from "../../lib/printable.ts";
import { isHangup } from "../../lib/protocol/transaction.ts";
import { BlockingClient } from "../../lib/client/blocking_client.ts";
import { print } from "../command_line/print.ts";

/** Prints the status of the munged behind a socket. @throws {MungeError} if there is no answer. */
export function printStatus(socket: string, asJson: boolean): void {
  const status = parseStatus(askStatus(socket), socket);
  print(asJson ? `${printableJson(status)}\n` : formatStatus(status));
}

/** The status of the munged behind a socket, as JSON. @throws {MungeError} if there is no answer. */
export function askStatus(socket: string): string {
  try {
    return new BlockingClient(socket, { waitForSocket: false }).status();
  } catch (error) {
    if (!(error instanceof MungeError) || !isHangup(error)) throw error;
    throw new MungeError(
      error.code,
      `The munged at "${socket}" closed the connection without an answer: our munged reports its status to root ` +
        "and its own user only, and other implementations don't support this",
      { cause: error },
    );
  }
}

/** Whether an error of {@linkcode askStatus} is final: the daemon refuses its status to this user. */
export function isStatusRefused(error: unknown): boolean {
  return error instanceof MungeError && isHangup(error.cause);
}

function parseStatus(json: string, socket: string): Status {
  try {
    return JSON.parse(json) as Status;
  } catch (error) {
    throw new MungeError("EMUNGE_SNAFU", `The munged at "${socket}" gave no valid status`, {
      cause: error,
    });
  }
}

function formatStatus(status: Status): string {
  const lines: string[] = [];
  const row = (name: string, value: string) =>
    lines.push(`${`${name}:`.padEnd(16)} ${printable(value)}`);
  const time = (seconds: number) => formatLocalTime(seconds, "%Y-%m-%d %H:%M:%S %z");
  row("VERSION", `munge-${status.compatible_version} (mungebox ${status.version})`);
  row("PID", `${status.pid}`);
  row("STARTED", `${time(status.start_time)} (${status.uptime_seconds} s ago)`);
  row("SOCKET", formatSocket(status.socket));
  row("ENCODE", formatResults(status.requests.encode));
  row("DECODE", formatResults(status.requests.decode));
  for (const [kind, used] of Object.entries(status.algorithms)) {
    const counts = used.types.map(({ cipher, mac, count }) => `${count} ${cipher}/${mac}`);
    if (counts.length > 0) row("ALGORITHMS", `${kind}: ${counts.join(", ")}`);
  }
  for (const [kind, rules] of Object.entries(status.refused_by_policy)) {
    const counts = Object.entries(rules).filter(([, count]) => count > 0);
    if (counts.length === 0) continue;
    row("REFUSED", `${kind}: ${counts.map(([rule, count]) => `${count} by ${rule}`).join(", ")}`);
  }
  const { kept_connections: kept } = status as Partial<Status>; // an older munged does not report it
  if (kept !== undefined) {
    row(
      "CONNECTIONS",
      `${kept.connections} kept, ${kept.requests} requests over kept ones, ${kept.refused} not kept`,
    );
  }
  row("CUT_OFF", `${status.requests.cut_off}`);
  row("RATE", `${status.requests_per_second} requests a second during the last minute`);
  const { p50_us, p90_us, p99_us, timed, sampling } = status.duration;
  row(
    "DURATION",
    timed === 0
      ? `none timed yet (one in ${sampling} is)`
      : `50% below ${p50_us} us, 90% below ${p90_us} us, 99% below ${p99_us} us ` +
        `(${timed} timed, one in ${sampling})`,
  );
  row("WORKERS", status.workers.map(({ number, requests }) => `${number}: ${requests}`).join(", "));
  row(
    "REPLAY_CACHE",
    status.replay === null
      ? "off"
      : `${status.replay.entries} entries, ${Math.ceil(status.replay.bytes / 1024)} KiB`,
  );
  const store = status.replay_store ?? null; // an older munged does not report it
  if (store !== null) row("REPLAY_STORE", formatStoreStatus(store));
  row("MEMORY", `${Math.ceil(status.resident_bytes / 1024)} KiB`);
  const { max_payload_bytes: maxPayload = MAX_PAYLOAD_LENGTH } = status; // an older munged does not report it
  row("MAX_PAYLOAD", `${maxPayload} bytes`);
  for (const { name, limited, policy, keys } of status.realms) {
    const realm = name === "" ? "default realm" : `realm ${name}${limited ? " (limited)" : ""}`;
    row("POLICY", `${realm}: ${policyLine(policy) || "everything allowed"}`);
    for (const { role, fingerprint, since, expiry } of keys) {
      const end = expiry === null ? "" : `, decodes until ${time(expiry)}`;
      row("KEY", `${realm}: ${role} ${fingerprint} since ${time(since)}${end}`);
    }
  }
  for (const { time, level, text } of status.messages) row("MESSAGE", `${time} ${level}: ${text}`);
  for (const hint of status.hints) row("HINT", hint);
  return lines.map((line) => `${line}\n`).join("");
}

function formatStoreStatus(store: NonNullable<Status["replay_store"]>): string {
  const { reachable, answers, p50_us, p99_us } = store;
  return `${reachable ? "reachable" : "unavailable"}: ${formatResults(answers)} ` +
    `(50% below ${p50_us} us, 99% below ${p99_us} us)`;
}

function formatSocket({ held_by_manager, taken_over_from }: Status["socket"]): string {
  const holder = held_by_manager ? "held by the service manager" : "held by munged alone";
  return taken_over_from === null ? holder : `${holder}, taken over from ${taken_over_from}`;
}

function formatResults(results: Readonly<Record<string, number>>): string {
  return Object.entries(results).map(([result, count]) => `${count} ${result}`).join(", ");
}
