// Tests in which munged is away for a moment that clients wait out.

/** Clients wait for 2.25 s: if munged is away for longer, on a machine that is that busy, a failure proves nothing. */
const LONGEST_MS = 2_000;
const MOST_TRIES = 10;

/**
 * Runs a scenario, and once more each time it fails after an outage that was too long.
 *
 * @param scenario runs each outage by calling its argument.
 */
export async function withShortOutages(
  scenario: (outage: <T>(act: () => Promise<T>) => Promise<T>) => Promise<void>,
): Promise<void> {
  for (let tries = 1;; tries++) {
    let longest = 0;
    const outage = async <T>(act: () => Promise<T>) => {
      const begun = performance.now();
      try {
        return await act();
      } finally {
        longest = Math.max(longest, performance.now() - begun);
      }
    };
    try {
      return await scenario(outage);
    } catch (error) {
      if (longest < LONGEST_MS || tries === MOST_TRIES) throw error;
    }
  }
}
