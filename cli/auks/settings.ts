// The parsed command line of auks. Its options are in auks.ts.

/** The requested action. */
export type Action = "ping" | "add" | "get" | "remove" | "dump" | "renew" | "send" | "receive";

/** The parsed command line. */
export interface Settings {
  action: Action;
  /** Undefined for the default file. */
  config: string | undefined;
  /** Undefined for the default credential cache. */
  ccache: string | undefined;
  /** A number or a name; undefined for the caller. */
  uid: string | undefined;
  /** How often to renew. */
  mode: string;
  verbose: number;
  debug: number;
}
