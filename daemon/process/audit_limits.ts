// How many lines about refusals a log gets: a few a minute of each cause, and then their number.

const AUDIT_LIMIT_MS = 60_000;
/** Lines of one cause within that time. */
const AUDIT_LINES = 5;

/** Limits what is logged of refusals, of which anybody can cause as many as they like. */
export class AuditLimits {
  readonly #causes = new Map<string, { since: number; lines: number; suppressed: number }>();

  /**
   * Whether a line of this cause may be written.
   *
   * @param cause from a fixed set of words, as each is remembered.
   * @returns how many were left out before it, or null if it is to be left out, too.
   */
  pass(cause: string): number | null {
    const now = performance.now();
    const limit = this.#causes.get(cause) ?? { since: now, lines: 0, suppressed: 0 };
    this.#causes.set(cause, limit);
    if (now - limit.since >= AUDIT_LIMIT_MS) {
      limit.since = now;
      limit.lines = 0;
    }
    if (limit.lines === AUDIT_LINES) {
      limit.suppressed++;
      return null;
    }
    limit.lines++;
    const { suppressed } = limit;
    limit.suppressed = 0;
    return suppressed;
  }
}
