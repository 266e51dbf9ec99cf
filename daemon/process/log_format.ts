// The formats of log lines by name, for the command line, which must not load the log for it.

/** Every format of log lines. */
export const LOG_FORMATS = ["text", "json"] as const;

/** How log lines look: the reference's lines, or one JSON object a line. */
export type LogFormat = typeof LOG_FORMATS[number];
