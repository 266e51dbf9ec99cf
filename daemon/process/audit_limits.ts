// Limits the log lines about refusals: a few a minute per cause, then only their number.

const AUDIT_LIMIT_MS = 60_000;
/** Lines per cause within that time. */
const AUDIT_LINES = 5;

/** Limits logged refusals, because any client can cause any number of them. */
export class AuditLimits {
  readonly #causes = new Map<string, { since: number; lines: number; suppressed: number }>();

  /**
   * Whether a line of this cause may be written.
   *
   * @param cause from a fixed set of words, because each is remembered.
   * @returns how many were suppressed before it, or null if it is to be suppressed as well.
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
