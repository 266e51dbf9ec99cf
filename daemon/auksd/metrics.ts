// auksd's metrics for Prometheus.
import { formatMetrics, keepMetricsFile, type Metric, type Sample } from "../process/prometheus.ts";
import type { Journal } from "./journal.ts";
import type { Server } from "./server.ts";
import type { Store } from "./store.ts";

/** Sources of the metrics. */
export interface MetricsSources {
  readonly journal: Journal;
  readonly store: Store;
  readonly server: Server;
}

/** All metrics. */
export const METRICS: readonly Metric<MetricsSources>[] = [
  {
    name: "auksd_start_time_seconds",
    type: "gauge",
    help: "When auksd started, in seconds since the epoch.",
    samples: () => [[{}, START_TIME]],
  },
  {
    name: "auksd_requests_total",
    type: "counter",
    help: "Requests that were answered, by kind and result.",
    samples: ({ journal }) =>
      [...journal.requests].map(([key, count]): Sample => {
        const [kind = "", result = ""] = key.split(" ");
        return [{ kind, result }, count];
      }),
  },
  {
    name: "auksd_failed_connections_total",
    type: "counter",
    help: "Connections that were closed because of what the client sent, or failed to send.",
    samples: ({ journal }) =>
      [...journal.failures].map(([cause, count]): Sample => [{ cause }, count]),
  },
  {
    name: "auksd_accepted_connections_total",
    type: "counter",
    help: "Connections that were accepted.",
    samples: ({ server }) => [[{}, server.accepted]],
  },
  {
    name: "auksd_connections",
    type: "gauge",
    help: "Connections that are open.",
    samples: ({ server }) => [[{}, server.size]],
  },
  {
    name: "auksd_credentials",
    type: "gauge",
    help: "Users whose ticket is stored.",
    samples: ({ store }) => [[{}, store.size]],
  },
  {
    name: "auksd_resident_memory_bytes",
    type: "gauge",
    help: "Resident memory.",
    samples: () => [[{}, process.memoryUsage.rss()]],
  },
];

const START_TIME = Math.floor(Date.now() / 1000);

/**
 * Keeps the metrics file up to date.
 *
 * @returns a function that stops it and removes the file.
 */
export function startMetrics(
  path: string,
  sources: MetricsSources,
  complain: (text: string) => void,
): () => void {
  let lastText = "";
  return keepMetricsFile(path, () => formatMetrics(METRICS, sources), (text) => {
    if (text !== lastText) complain(text);
    lastText = text;
  });
}
