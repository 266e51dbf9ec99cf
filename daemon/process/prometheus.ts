// Metrics in Prometheus's text format, and the file for its node exporter's textfile collector. Each daemon defines its
// own metrics.
import { refuseDevice, removeName, replaceFile } from "../../lib/files/replacement.ts";
import { systemText } from "../../lib/os/system_text.ts";

const FILE_INTERVAL_MS = 15_000;
const FILE_MODE = 0o644;

/** The labels that distinguish samples of one metric. */
export type Labels = Readonly<Record<string, string | number>>;
/** A value; the suffix is for the parts of a histogram. */
export type Sample = readonly [labels: Labels, value: number, suffix?: string];

/** A metric of a daemon whose status is a `T`. */
export interface Metric<T> {
  readonly name: string;
  readonly type: "counter" | "gauge" | "histogram";
  readonly help: string;
  samples(status: T): readonly Sample[];
}

/** A status in Prometheus's text format. */
export function formatMetrics<T>(metrics: readonly Metric<T>[], status: T): string {
  return metrics.map((metric) => {
    const samples = metric.samples(status);
    if (samples.length === 0) return "";
    const lines = samples.map(([labels, value, suffix = ""]) =>
      `${metric.name}${suffix}${formatLabels(labels)} ${value}\n`
    );
    const { name, help, type } = metric;
    return `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n${lines.join("")}`;
  }).join("");
}

function formatLabels(labels: Labels): string {
  const pairs = Object.entries(labels).map(([name, value]) => `${name}="${value}"`);
  return pairs.length === 0 ? "" : `{${pairs.join(",")}}`;
}

/**
 * Keeps a metrics file up to date.
 *
 * @param format produces its contents.
 * @param complain is called each time it can't be written, or removed.
 * @returns a function that stops it and removes the file, whose numbers would otherwise look current, unless another
 * process now writes it.
 */
export function keepMetricsFile(
  path: string,
  format: () => string,
  complain: (text: string) => void,
): (isTakenOver?: boolean) => void {
  const write = () => {
    try {
      replaceFile(path, new TextEncoder().encode(format()), { mode: FILE_MODE });
    } catch (error) {
      complain(`Failed to write metrics file "${path}": ${systemText(error)}`);
    }
  };
  write();
  const timer = setInterval(write, FILE_INTERVAL_MS);
  return (isTakenOver = false) => {
    clearInterval(timer);
    if (isTakenOver) return;
    try {
      refuseDevice(path);
      removeName(path);
    } catch (error) {
      complain(`Failed to remove metrics file "${path}": ${systemText(error)}`);
    }
  };
}
