// What auksdrenewer has done, as metrics in Prometheus's text format for the textfile collector of its node
// exporter.
import { renameSync, rmSync, writeFileSync } from "node:fs";
import type { Tally } from "./round.ts";

/** What is measured. */
export interface RenewerNumbers {
  /** Added up over all rounds. */
  readonly totals: Tally;
  /** Of the last round whose list of credentials was got. */
  readonly last: Tally;
  /** Rounds in which auksd gave no list. */
  readonly failedRounds: number;
  /** When the last round ended, seconds since the epoch. */
  readonly roundEnd: number;
  /** How long it took, seconds. */
  readonly roundSeconds: number;
  /** Realms whose KDCs do not answer, with the number of tries in a row. */
  readonly silentRealms: ReadonlyMap<string, number>;
}

interface Metric {
  readonly name: string;
  readonly type: "counter" | "gauge";
  readonly help: string;
  value(numbers: RenewerNumbers): number;
}

const METRICS: readonly Metric[] = [
  {
    name: "credentials",
    type: "gauge",
    help: "Credentials that auksd keeps.",
    value: ({ last }) => last.dumped,
  },
  {
    name: "ending_credentials",
    type: "gauge",
    help: "Credentials that can't be renewed beyond their present end.",
    value: ({ last }) => last.ending,
  },
  {
    name: "postponed_credentials",
    type: "gauge",
    help: "Credentials that are due, while no KDC of their realm answers.",
    value: ({ last }) => last.postponed,
  },
  {
    name: "renewals_total",
    type: "counter",
    help: "Credentials that were renewed.",
    value: ({ totals }) => totals.renewed,
  },
  {
    name: "renewals_by_others_total",
    type: "counter",
    help: "Credentials that were due and that another renewer had renewed.",
    value: ({ totals }) => totals.alreadyDone,
  },
  {
    name: "failures_total",
    type: "counter",
    help: "Renewals that failed.",
    value: ({ totals }) => totals.failed,
  },
  {
    name: "failed_rounds_total",
    type: "counter",
    help: "Rounds in which auksd did not list its credentials.",
    value: ({ failedRounds }) => failedRounds,
  },
  {
    name: "last_round_timestamp_seconds",
    type: "gauge",
    help: "When the last round ended.",
    value: ({ roundEnd }) => roundEnd,
  },
  {
    name: "last_round_seconds",
    type: "gauge",
    help: "How long the last round took.",
    value: ({ roundSeconds }) => roundSeconds,
  },
];

/** The numbers in Prometheus's text format. */
export function formatMetrics(numbers: RenewerNumbers): string {
  const lines = METRICS.map(({ name, type, help, value }) =>
    `# HELP auksdrenewer_${name} ${help}\n# TYPE auksdrenewer_${name} ${type}\n` +
    `auksdrenewer_${name} ${value(numbers)}\n`
  );
  const name = "auksdrenewer_silent_kdc_tries";
  const realms = [...numbers.silentRealms].map(([realm, tries]) =>
    `${name}{realm=${JSON.stringify(realm)}} ${tries}\n`
  );
  const help = `# HELP ${name} Tries in a row that no KDC of a realm answered.\n`;
  return `${lines.join("")}${help}# TYPE ${name} gauge\n${realms.join("")}`;
}

/** Puts the numbers in place of what the file had. @throws the system's error. */
export function writeMetrics(path: string, numbers: RenewerNumbers): void {
  // Not *.prom, which the collector would read.
  const unfinished = `${path}.${process.pid}.tmp`;
  try {
    writeFileSync(unfinished, formatMetrics(numbers), { flag: "wx", mode: 0o644 });
    renameSync(unfinished, path);
  } catch (error) {
    rmSync(unfinished, { force: true });
    throw error;
  }
}
