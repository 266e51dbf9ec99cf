// What can be wrong with a store, as text for the log and the doctor.
import type { ServerFacts } from "./master.ts";
import type { StoreConfig } from "./messages.ts";

/** Seconds by which hosts' clocks may be ahead of the store's, unless --timestamp-drift-max is set. */
const CLOCK_GRACE_SECONDS = 5;

/** Seconds by which hosts' clocks may be ahead of the store's. */
export function clockGrace({ timestampDriftMax }: Pick<StoreConfig, "timestampDriftMax">): number {
  return timestampDriftMax ?? CLOCK_GRACE_SECONDS;
}

/** The log line about a store that is unavailable. */
export function unavailableText(reason: string, config: StoreConfig): string {
  return `Replay store is unavailable: ${reason}: ${consequence(config)}`;
}

/** The log line about credentials that are older than the store's records. @param since seconds since the epoch. */
export function tooOldText(since: number, config: StoreConfig): string {
  const time = new Date(since * 1000).toISOString();
  return `Replay store has no records from before ${time}, when it was started, became ` +
    `the master or was first used: for credentials made before then, ${consequence(config)}`;
}

function consequence({ replayStorePolicy }: StoreConfig): string {
  return replayStorePolicy === "refuse"
    ? "decodes are refused"
    : "replays are refused on each host only";
}

/**
 * What makes a server unreliable, as text to follow its name.
 *
 * @param now seconds since the epoch.
 */
export function flawsOf(
  facts: ServerFacts,
  config: Pick<StoreConfig, "timestampDriftMax" | "replayStoreReplicas">,
  now: number = Math.floor(Date.now() / 1000),
): string[] {
  const { maxMemory, evictionPolicy, time, replicas } = facts;
  const { replayStoreReplicas } = config;
  const flaws: string[] = [];
  if (maxMemory > 0 && evictionPolicy !== "noeviction") {
    flaws.push(
      `may forget credentials when its memory is full (maxmemory-policy ${evictionPolicy}); ` +
        "set it to noeviction",
    );
  }
  const skew = Math.abs(time - now);
  if (skew > clockGrace(config)) {
    flaws.push(`has a clock ${skew} s off this host's; set both to the right time`);
  }
  if (replicas < replayStoreReplicas) {
    flaws.push(`has ${replicas} of the ${replayStoreReplicas} replicas that must confirm a decode`);
  }
  return flaws;
}
