// auksdrenewer's metrics for Prometheus.
import { type Metric, type Sample } from "../process/prometheus.ts";
import type { Tally } from "./round.ts";

/** The measured values. */
export interface RenewerNumbers {
  /** Sums over all rounds. */
  readonly totals: Tally;
  /** Of the last round in which auksd listed its credentials. */
  readonly last: Tally;
  /** Number of rounds in which it did not. */
  readonly failedRounds: number;
  /** When the last round ended, seconds since the epoch; 0 before the first. */
  readonly roundEnd: number;
  /** Its duration in seconds. */
  readonly roundSeconds: number;
  /** Realms whose KDCs do not answer, with the number of consecutive tries. */
  readonly silentRealms: ReadonlyMap<string, number>;
}

function metric(
  name: string,
  help: string,
  value: (numbers: RenewerNumbers) => number,
): Metric<RenewerNumbers> {
  return {
    name: `auksdrenewer_${name}`,
    type: name.endsWith("_total") ? "counter" : "gauge",
    help,
    samples: (numbers) => [[{}, value(numbers)]],
  };
}

/** Every metric. */
export const METRICS: readonly Metric<RenewerNumbers>[] = [
  metric("credentials", "Credentials that auksd keeps.", ({ last }) => last.dumped),
  metric(
    "ending_credentials",
    "Credentials that can't be renewed beyond their present end.",
    ({ last }) => last.ending,
  ),
  metric(
    "postponed_credentials",
    "Credentials that are due, while no KDC of their realm answers.",
    ({ last }) => last.postponed,
  ),
  metric("renewals_total", "Credentials that were renewed.", ({ totals }) => totals.renewed),
  metric(
    "renewals_by_others_total",
    "Due credentials that another renewer had already renewed.",
    ({ totals }) => totals.alreadyDone,
  ),
  metric("failures_total", "Renewals that failed.", ({ totals }) => totals.failed),
  metric(
    "failed_rounds_total",
    "Rounds in which auksd did not list its credentials.",
    ({ failedRounds }) => failedRounds,
  ),
  metric(
    "last_round_timestamp_seconds",
    "When the last round ended.",
    ({ roundEnd }) => roundEnd,
  ),
  metric("last_round_seconds", "How long the last round took.", ({ roundSeconds }) => roundSeconds),
  {
    name: "auksdrenewer_silent_kdc_tries",
    type: "gauge",
    help: "Consecutive attempts that no KDC of a realm answered.",
    samples: ({ silentRealms }) =>
      [...silentRealms].map(([realm, tries]): Sample => [{ realm }, tries]),
  },
];
