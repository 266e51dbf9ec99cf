// The names of the log formats, in a separate file, so that the command line need not load the log.

/** Every format of log lines. */
export const LOG_FORMATS = ["text", "json"] as const;

/** The form of log lines: the reference's lines, or one JSON object per line. */
export type LogFormat = typeof LOG_FORMATS[number];
