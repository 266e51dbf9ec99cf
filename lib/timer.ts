// The limit of the runtimes' timers.

/** The longest delay of a timer, 25 days in milliseconds; a longer one would expire at once. */
export const MAX_TIMER_MS: number = 2 ** 31 - 1;
