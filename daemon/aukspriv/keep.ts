// aukspriv's loop: a turn, a line about it, and a pause until two thirds of the granted lifetime are over. The caller
// supplies the turn and the log.
import type { AuksprivSettings } from "./settings.ts";
import type { TurnOutcome } from "./turn.ts";

/** Longest single pause, because the clock may be set or the machine suspended during one. */
const MAX_REST_MS = 30_000;
/** Shortest time between two turns, however short the tickets' lifetime. */
const MIN_INTERVAL_S = 1;

/** What the loop needs. */
export interface Keeper {
  readonly settings: Pick<AuksprivSettings, "keytab" | "renewInterval" | "errorInterval">;
  takeTurn(): Promise<TurnOutcome>;
  report(line: string): void;
  /** Called after the first turn, whatever its outcome. */
  begun(): void;
}

/** Keeps a valid ticket in the cache, forever. */
export async function keepCache({ settings, takeTurn, report, begun }: Keeper): Promise<never> {
  for (let first = true;; first = false) {
    const started = Date.now();
    const outcome = await takeTurn();
    for (const line of describeTurn(outcome, settings.keytab, first)) report(line);
    if (first) begun();
    await restUntil(started + 1000 * restAfter(outcome, settings, started / 1000));
  }
}

/** The log lines about a turn, in the original's words; the first turn also explains the choice of principal. */
export function describeTurn(outcome: TurnOutcome, keytab: string, first: boolean): string[] {
  const { principal } = outcome;
  if ("failure" in outcome) {
    return [
      `unable to get ccache for ${principal} using \t      ktfile ${keytab} : ${outcome.failure}`,
    ];
  }
  const choice = first && outcome.reason !== undefined
    ? [`${principal} was chosen among the principals of ${keytab}: it is ${outcome.reason}`]
    : [];
  return [...choice, `ccache build for ${principal} using \t      ${keytab}`];
}

/** Seconds until the next turn. @param now seconds since the epoch. */
function restAfter(
  outcome: TurnOutcome,
  { renewInterval, errorInterval }: Keeper["settings"],
  now: number,
): number {
  if ("failure" in outcome) return errorInterval;
  const granted = outcome.endTime - now;
  return Math.max(MIN_INTERVAL_S, Math.min(granted * 2 / 3, renewInterval ?? Infinity));
}

async function restUntil(time: number): Promise<void> {
  const begun = Date.now();
  // A clock that was set back must not make the pause longer.
  for (let rested = 0; Date.now() < time && rested < time - begun;) {
    const rest = Math.max(1, Math.min(time - Date.now(), MAX_REST_MS));
    await new Promise((resolve) => setTimeout(resolve, rest));
    rested += rest;
  }
}
