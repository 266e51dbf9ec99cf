// munged's status, for `munged --status` and the metrics file, from the memory that the threads share.
import { ERRNO, ERRORS } from "../../../lib/errors.ts";
import type { ReplayState } from "../replay/minutes.ts";
import { replayUsage } from "../replay/usage.ts";
import { type StoreTotals, storeTotals } from "../replay_store/figures.ts";
import { COMPATIBLE_VERSION, VERSION } from "../../../lib/version.ts";
import { currentRate, SAMPLING_INTERVAL, sumCounters, type Totals } from "./counters.ts";
import { describePolicy, type PolicyText } from "./policy_text.ts";
import { type RecentMessage, recentMessages } from "../../process/recent_messages.ts";
import type { Realms } from "../keys/realms.ts";
import { fingerprintOf } from "../keys/shared_subkeys.ts";
import { isModernName } from "../policy/policy.ts";

/** The sources of a status; can be posted to a worker. */
export interface StatusSources {
  /** Seconds since the epoch. */
  readonly startTime: number;
  /** Maximum length of a payload, in bytes. */
  readonly maxPayload: number;
  readonly counters: SharedArrayBuffer;
  readonly recent: SharedArrayBuffer;
  readonly replay: ReplayState | null;
  readonly socket: Status["socket"];
  /** Figures of the realm's store, or null without one. */
  readonly store: SharedArrayBuffer | null;
}

/** Number of answers by result: "success" and the names of errors. */
type Results = Readonly<Record<string, number>>;

/** munged's status. Times are seconds since the epoch. A key's fingerprint does not reveal the key. */
export interface Status {
  readonly version: string;
  readonly compatible_version: string;
  readonly pid: number;
  readonly start_time: number;
  readonly uptime_seconds: number;
  /** Whether the service manager holds the socket, and the munged that this one has replaced, if any. */
  readonly socket: {
    readonly held_by_manager: boolean;
    readonly taken_over_from: string | null;
  };
  readonly requests: {
    readonly encode: Results;
    readonly decode: Results;
    readonly cut_off: number;
  };
  /** Connections kept for several requests: at present, the requests over all so far, and clients that were refused one. */
  readonly kept_connections: Totals["kept"];
  /** Algorithms in use, for a site that wants to know before it forbids any. */
  readonly algorithms: Totals["used"];
  /** Requests refused by the policy, by rule. */
  readonly refused_by_policy: Totals["refused"];
  readonly requests_per_second: number;
  /** Durations of timed requests, from the last byte received to the last byte sent. */
  readonly duration: {
    readonly timed: number;
    readonly sampling: number;
    readonly sum_us: number;
    readonly p50_us: number;
    readonly p90_us: number;
    readonly p99_us: number;
    /** Number of requests by power of 2 microseconds. */
    readonly buckets: readonly number[];
  };
  readonly workers: readonly { readonly number: number; readonly requests: number }[];
  readonly replay: { readonly entries: number; readonly bytes: number } | null;
  /** Null without a store. */
  readonly replay_store: {
    readonly reachable: boolean;
    readonly connects: number;
    /** Answers by kind. */
    readonly answers: Readonly<Record<"new" | "replayed" | "unavailable" | "older", number>>;
    readonly sum_us: number;
    readonly p50_us: number;
    readonly p99_us: number;
    /** Number of answers by power of 2 microseconds. */
    readonly buckets: readonly number[];
  } | null;
  readonly resident_bytes: number;
  /** Maximum length of a payload. */
  readonly max_payload_bytes: number;
  readonly realms: readonly {
    readonly name: string;
    /** Whether it serves only some users. */
    readonly limited: boolean;
    readonly policy: PolicyText;
    readonly keys: readonly {
      readonly role: string;
      readonly fingerprint: string;
      readonly since: number;
      readonly expiry: number | null;
    }[];
  }[];
  readonly rewound_skew_seconds_max: number;
  readonly last_invalid: number | null;
  readonly messages: readonly RecentMessage[];
  /** Explanations of numbers that indicate trouble. */
  readonly hints: readonly string[];
}

/** The status of the munged with these sources and realms. */
export function collectStatus(sources: StatusSources, realms: Realms): Status {
  const totals = sumCounters(sources.counters);
  const uptime = Math.max(0, Math.floor(Date.now() / 1000) - sources.startTime);
  return {
    version: VERSION,
    compatible_version: COMPATIBLE_VERSION,
    pid: process.pid,
    start_time: sources.startTime,
    uptime_seconds: uptime,
    socket: sources.socket,
    requests: {
      encode: byName(totals.encode),
      decode: byName(totals.decode),
      cut_off: totals.cutOff,
    },
    kept_connections: totals.kept,
    algorithms: totals.used,
    refused_by_policy: totals.refused,
    requests_per_second: Math.round(currentRate(sources.counters, uptime) * 10) / 10,
    duration: durationStatus(totals),
    workers: totals.workers.map((requests, index) => ({ number: index + 1, requests })),
    replay: sources.replay === null ? null : replayUsage(sources.replay),
    replay_store: sources.store === null ? null : storeStatus(storeTotals(sources.store)),
    resident_bytes: process.memoryUsage.rss(),
    max_payload_bytes: sources.maxPayload,
    realms: realmStatus(realms),
    rewound_skew_seconds_max: totals.skewMax,
    last_invalid: totals.lastInvalid === 0 ? null : totals.lastInvalid,
    messages: recentMessages(sources.recent),
    hints: hints(totals, realms),
  };
}

function durationStatus({ durations, durationSum }: Totals): Status["duration"] {
  const timed = durations.reduce((a, b) => a + b, 0);
  return {
    timed,
    sampling: SAMPLING_INTERVAL,
    sum_us: Math.round(durationSum),
    p50_us: percentile(durations, timed, 0.5),
    p90_us: percentile(durations, timed, 0.9),
    p99_us: percentile(durations, timed, 0.99),
    buckets: durations,
  };
}

function realmStatus(realms: Realms): Status["realms"] {
  return [...realms].map(([name, { ring, policy }]) => ({
    name,
    limited: policy.encode.clients !== null || policy.decode.clients !== null,
    policy: describePolicy(policy),
    keys: ring.map((key) => ({
      role: key.role,
      fingerprint: fingerprintOf(key),
      since: key.since,
      expiry: key.expiry,
    })),
  }));
}

function storeStatus(totals: StoreTotals): Status["replay_store"] {
  const { reachable, connects, fresh, replayed, unavailable, tooOld, durations, durationSum } =
    totals;
  const count = fresh + replayed + unavailable + tooOld;
  return {
    reachable,
    connects,
    answers: { new: fresh, replayed, unavailable, older: tooOld },
    sum_us: Math.round(durationSum),
    p50_us: percentile(durations, count, 0.5),
    p99_us: percentile(durations, count, 0.99),
    buckets: durations,
  };
}

/** The name of a result in counts: `success`, `cred_expired`. */
function resultName(errno: number): string {
  return ERRORS[errno]![0].replace("EMUNGE_", "").toLowerCase();
}

function byName(counts: readonly number[]): Results {
  const named = counts.map((count, errno) => [resultName(errno), count] as const);
  return Object.fromEntries(named.filter(([name, count]) => count > 0 || name === "success"));
}

/** Upper bound of the bucket that contains the quantile `part` of all durations. */
function percentile(buckets: readonly number[], count: number, part: number): number {
  if (count === 0) return 0;
  let below = 0;
  for (const [bucket, size] of buckets.entries()) {
    below += size;
    if (below >= count * part) return 2 ** bucket;
  }
  return 2 ** (buckets.length - 1);
}

/** The ciphers and MACs used that are not modern, with the number of credentials. */
function weakTypes(used: Totals["used"]): string[] {
  return Object.entries(used).flatMap(([direction, { types }]) =>
    types.filter(({ cipher, mac }) => !isModernName("cipher", cipher) || !isModernName("mac", mac))
      .map(({ cipher, mac, count }) => `${count} ${direction}d with ${cipher} and ${mac}`)
  );
}

function hints({ decode, encode, used, skewMax, lastInvalid }: Totals, realms: Realms): string[] {
  const found: string[] = [];
  const invalid = decode[ERRNO.EMUNGE_CRED_INVALID]!;
  if (invalid > 0) {
    found.push(
      `${invalid} credential(s) were made with a key that is not in this ring, or were altered; the ` +
        `last one at ${
          isoTime(lastInvalid)
        }. Compare "mungekey --fingerprint" and "mungekey --list" ` +
        "with the hosts they come from: a host that promotes a key before all others have staged it, " +
        "or retires one that others still encode with, causes this.",
    );
  }
  const rewound = decode[ERRNO.EMUNGE_CRED_REWOUND]!;
  if (rewound > 0) {
    found.push(
      `${rewound} credential(s) came from the future, by up to ${skewMax} s: the clock of this host ` +
        "or of theirs is wrong. Set the clocks, or allow for it with --timestamp-drift-max.",
    );
  }
  const unknown = decode[ERRNO.EMUNGE_BAD_REALM]! + encode[ERRNO.EMUNGE_BAD_REALM]!;
  if (unknown > 0) {
    found.push(`${unknown} request(s) named a realm that this munged does not serve.`);
  }
  const weak = weakTypes(used);
  if (weak.length > 0) {
    found.push(`Some credentials used what --security=modern would refuse: ${weak.join(", ")}.`);
  }
  return [...found, ...keyHints(realms)];
}

/** Keys that are not the only one of their realm. */
function keyHints(realms: Realms): string[] {
  const found: string[] = [];
  for (const [name, { ring }] of realms) {
    const where = name === "" ? "" : ` of realm "${name}"`;
    for (const key of ring) {
      const { role, expiry } = key;
      const fingerprint = fingerprintOf(key);
      if (role === "next") {
        found.push(
          `Key ${fingerprint}${where} is staged: once every host has it, promote it on each.`,
        );
      } else if (expiry !== null) {
        found.push(`Retired key ${fingerprint}${where} decodes until ${isoTime(expiry)}.`);
      }
    }
  }
  return found;
}

function isoTime(seconds: number): string {
  return new Date(seconds * 1000).toISOString();
}
