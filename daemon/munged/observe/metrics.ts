// munged's status as metrics: a file in Prometheus's text format for the textfile collector of its node exporter.
import type { DaemonConfig } from "../config.ts";
import type { Logger } from "../../process/log.ts";
import {
  formatMetrics,
  keepMetricsFile,
  type Metric,
  type Sample,
} from "../../process/prometheus.ts";
import type { Realms } from "../keys/realms.ts";
import { collectStatus, type Status, type StatusSources } from "./status.ts";

/**
 * Keeps the metrics file up to date, if one is asked for.
 *
 * @returns a function that stops it and removes the file, unless a successor has taken it over.
 */
export function keepMetrics(
  { metricsFile }: DaemonConfig,
  sources: StatusSources,
  realms: () => Realms,
  log: Logger,
): (isTakenOver: boolean) => void {
  if (metricsFile === null) return () => {};
  return keepMetricsFile(
    metricsFile,
    () => formatMetrics(METRICS, collectStatus(sources, realms())),
    (text) => log.limited("metrics file", "warning", text),
  );
}

const KINDS = ["encode", "decode"] as const;

/** All metrics; docs/monitoring.md explains them. */
export const METRICS: readonly Metric<Status>[] = [
  {
    name: "munged_info",
    type: "gauge",
    help: "The running version.",
    samples: (s) => [[{ version: s.version, compatible_version: s.compatible_version }, 1]],
  },
  {
    name: "munged_start_time_seconds",
    type: "gauge",
    help: "When munged started, in seconds since the epoch.",
    samples: (s) => [[{}, s.start_time]],
  },
  {
    name: "munged_socket_held_by_manager",
    type: "gauge",
    help: "1 if the service manager holds the socket, so that clients wait while munged restarts.",
    samples: (s) => [[{}, s.socket.held_by_manager ? 1 : 0]],
  },
  {
    name: "munged_requests_total",
    type: "counter",
    help: "Requests that were answered, by kind and result.",
    samples: ({ requests }) =>
      KINDS.flatMap((kind) =>
        Object.entries(requests[kind]).map(([result, count]) => [{ kind, result }, count] as const)
      ),
  },
  {
    name: "munged_cut_off_total",
    type: "counter",
    help: "Messages that were not valid requests, and got no answer.",
    samples: ({ requests }) => [[{}, requests.cut_off]],
  },
  {
    name: "munged_kept_connections",
    type: "gauge",
    help: "Connections kept for several requests.",
    samples: ({ kept_connections: kept }) => [[{}, kept.connections]],
  },
  {
    name: "munged_kept_connection_requests_total",
    type: "counter",
    help: "Requests that came over kept connections.",
    samples: ({ kept_connections: kept }) => [[{}, kept.requests]],
  },
  {
    name: "munged_kept_connections_refused_total",
    type: "counter",
    help: "Clients that asked for a kept connection when there was no room for one.",
    samples: ({ kept_connections: kept }) => [[{}, kept.refused]],
  },
  {
    name: "munged_credentials_total",
    type: "counter",
    help: "Credentials that were made, or proved authentic, by cipher and MAC.",
    samples: ({ algorithms }) =>
      KINDS.flatMap((kind) =>
        algorithms[kind].types.map(({ cipher, mac, count }) =>
          [{ kind, cipher, mac }, count] as const
        )
      ),
  },
  {
    name: "munged_compressions_total",
    type: "counter",
    help: "The same credentials by compression; for encodes, the requested one.",
    samples: ({ algorithms }) =>
      KINDS.flatMap((kind) =>
        algorithms[kind].zips.map(({ zip, count }) => [{ kind, zip }, count] as const)
      ),
  },
  {
    name: "munged_policy_refusals_total",
    type: "counter",
    help: "Requests that the policy refused, by rule.",
    samples: ({ refused_by_policy }) =>
      KINDS.flatMap((kind) =>
        Object.entries(refused_by_policy[kind]).map(([rule, count]) =>
          [{ kind, rule }, count] as const
        )
      ),
  },
  {
    name: "munged_worker_requests_total",
    type: "counter",
    help: "Requests that each worker thread processed.",
    samples: ({ workers }) => workers.map(({ number, requests }) => [{ worker: number }, requests]),
  },
  {
    name: "munged_request_duration_seconds",
    type: "histogram",
    help: "Time from the complete request to the answer, for one request in 16.",
    samples: ({ duration }) => histogram(duration.buckets, duration.timed, duration.sum_us),
  },
  {
    name: "munged_replay_entries",
    type: "gauge",
    help: "Credentials that are remembered as decoded.",
    samples: ({ replay }) => replay === null ? [] : [[{}, replay.entries]],
  },
  {
    name: "munged_replay_bytes",
    type: "gauge",
    help: "Size of the replay cache.",
    samples: ({ replay }) => replay === null ? [] : [[{}, replay.bytes]],
  },
  {
    name: "munged_replay_store_up",
    type: "gauge",
    help: "Whether the replay store is reachable.",
    samples: ({ replay_store: store }) => store === null ? [] : [[{}, store.reachable ? 1 : 0]],
  },
  {
    name: "munged_replay_store_connects_total",
    type: "counter",
    help: "Connections made to the replay store.",
    samples: ({ replay_store: store }) => store === null ? [] : [[{}, store.connects]],
  },
  {
    name: "munged_replay_store_answers_total",
    type: "counter",
    help: "Credentials that the replay store was asked about, by its answer.",
    samples: ({ replay_store: store }) =>
      Object.entries(store?.answers ?? {}).map(([answer, count]) => [{ answer }, count]),
  },
  {
    name: "munged_replay_store_duration_seconds",
    type: "histogram",
    help: "Time from a question to the replay store to its answer.",
    samples: ({ replay_store: store }) => {
      if (store === null) return [];
      const count = Object.values(store.answers).reduce((sum, each) => sum + each, 0);
      return histogram(store.buckets, count, store.sum_us);
    },
  },
  {
    name: "munged_resident_memory_bytes",
    type: "gauge",
    help: "Resident memory.",
    samples: (s) => [[{}, s.resident_bytes]],
  },
  {
    name: "munged_max_payload_bytes",
    type: "gauge",
    help: "Longest payload of a credential.",
    samples: (s) => [[{}, s.max_payload_bytes]],
  },
  {
    name: "munged_key_since_timestamp_seconds",
    type: "gauge",
    help: "When a key was made, or an old one retired, in seconds since the epoch.",
    samples: (s) => keySamples(s, ({ since }) => since),
  },
  {
    name: "munged_key_expiry_timestamp_seconds",
    type: "gauge",
    help: "When a retired key stops decoding, in seconds since the epoch.",
    samples: (s) => keySamples(s, ({ expiry }) => expiry),
  },
  {
    name: "munged_rewound_skew_seconds_max",
    type: "gauge",
    help: "How far ahead of this host's clock the most rewound credential was.",
    samples: (s) => [[{}, s.rewound_skew_seconds_max]],
  },
];

/** The samples of durations that are counted by power of 2 microseconds. */
function histogram(buckets: readonly number[], count: number, microseconds: number): Sample[] {
  let below = 0;
  const samples = buckets.slice(0, -1).map((size, bucket): Sample => {
    below += size;
    return [{ le: 2 ** bucket / 1e6 }, below, "_bucket"];
  });
  return [
    ...samples,
    [{ le: "+Inf" }, count, "_bucket"],
    [{}, microseconds / 1e6, "_sum"],
    [{}, count, "_count"],
  ];
}

type Key = Status["realms"][number]["keys"][number];

function keySamples({ realms }: Status, value: (key: Key) => number | null): Sample[] {
  return realms.flatMap(({ name: realm, keys }) =>
    keys.flatMap((key): Sample[] => {
      const number = value(key);
      const { role, fingerprint } = key;
      return number === null ? [] : [[{ realm, role, fingerprint }, number]];
    })
  );
}
