// munged's status as text for people. status.ts asks munged for it.
import type { Status } from "../../daemon/munged/observe/status.ts";
import { policyLine } from "../../daemon/munged/observe/policy_text.ts";
import { MAX_PAYLOAD_LENGTH } from "../../lib/credential/fields.ts";
import { formatLocalTime } from "../../lib/os/local_time.ts";
import { printable } from "../../lib/printable.ts";

/** A line of the status. */
type Row = readonly [name: string, value: string];

/** The status as `munged --status` prints it: a line for each figure, key, message and hint. */
export function formatStatus(status: Status): string {
  const rows = [
    ...daemonRows(status),
    ...requestRows(status),
    ...performanceRows(status),
    ...memoryRows(status),
    ...realmRows(status),
    ...messageRows(status),
  ];
  return rows.map(([name, value]) => `${`${name}:`.padEnd(16)} ${printable(value)}\n`).join("");
}

function daemonRows(status: Status): Row[] {
  return [
    ["VERSION", `munge-${status.compatible_version} (mungebox ${status.version})`],
    ["PID", `${status.pid}`],
    ["STARTED", `${formatTime(status.start_time)} (${status.uptime_seconds} s ago)`],
    ["SOCKET", formatSocket(status.socket)],
  ];
}

function requestRows(status: Status): Row[] {
  const rows: Row[] = [
    ["ENCODE", formatResults(status.requests.encode)],
    ["DECODE", formatResults(status.requests.decode)],
  ];
  for (const [kind, used] of Object.entries(status.algorithms)) {
    const counts = used.types.map(({ cipher, mac, count }) => `${count} ${cipher}/${mac}`);
    if (counts.length > 0) rows.push(["ALGORITHMS", `${kind}: ${counts.join(", ")}`]);
  }
  for (const [kind, rules] of Object.entries(status.refused_by_policy)) {
    const counts = Object.entries(rules).filter(([, count]) => count > 0)
      .map(([rule, count]) => `${count} by ${rule}`);
    if (counts.length > 0) rows.push(["REFUSED", `${kind}: ${counts.join(", ")}`]);
  }
  const { kept_connections: kept } = status as Partial<Status>; // an older munged does not report it
  if (kept !== undefined) {
    const { connections, requests, refused } = kept;
    const text = `${connections} kept, ${requests} requests over kept ones, ${refused} not kept`;
    rows.push(["CONNECTIONS", text]);
  }
  return [...rows, ["CUT_OFF", `${status.requests.cut_off}`]];
}

function performanceRows(status: Status): Row[] {
  const workers = status.workers.map(({ number, requests }) => `${number}: ${requests}`);
  return [
    ["RATE", `${status.requests_per_second} requests a second during the last minute`],
    ["DURATION", formatDuration(status.duration)],
    ["WORKERS", workers.join(", ")],
  ];
}

function memoryRows(status: Status): Row[] {
  const { replay, resident_bytes } = status;
  // An older munged reports neither.
  const { replay_store: store = null, max_payload_bytes: maxPayload = MAX_PAYLOAD_LENGTH } =
    status as Partial<Status>;
  return [
    [
      "REPLAY_CACHE",
      replay === null ? "off" : `${replay.entries} entries, ${formatKib(replay.bytes)}`,
    ],
    ...store === null ? [] : [["REPLAY_STORE", formatStoreStatus(store)] as const],
    ["MEMORY", formatKib(resident_bytes)],
    ["MAX_PAYLOAD", `${maxPayload} bytes`],
  ];
}

function realmRows(status: Status): Row[] {
  return status.realms.flatMap(({ name, limited, policy, keys }) => {
    const realm = name === "" ? "default realm" : `realm ${name}${limited ? " (limited)" : ""}`;
    const keyRows = keys.map(({ role, fingerprint, since, expiry }): Row => {
      const end = expiry === null ? "" : `, decodes until ${formatTime(expiry)}`;
      return ["KEY", `${realm}: ${role} ${fingerprint} since ${formatTime(since)}${end}`];
    });
    return [["POLICY", `${realm}: ${policyLine(policy) || "everything allowed"}`], ...keyRows];
  });
}

function messageRows(status: Status): Row[] {
  return [
    ...status.messages.map((
      { time, level, text },
    ): Row => ["MESSAGE", `${time} ${level}: ${text}`]),
    ...status.hints.map((hint): Row => ["HINT", hint]),
  ];
}

function formatTime(seconds: number): string {
  return formatLocalTime(seconds, "%Y-%m-%d %H:%M:%S %z");
}

function formatKib(bytes: number): string {
  return `${Math.ceil(bytes / 1024)} KiB`;
}

function formatDuration(duration: Status["duration"]): string {
  const { p50_us, p90_us, p99_us, timed, sampling } = duration;
  if (timed === 0) return `none timed yet (one in ${sampling} is)`;
  return `50% below ${p50_us} us, 90% below ${p90_us} us, 99% below ${p99_us} us ` +
    `(${timed} timed, one in ${sampling})`;
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
