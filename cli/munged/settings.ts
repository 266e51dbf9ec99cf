// munged's settings, from options of all sources. The options themselves are in options.ts.
import type { DaemonConfig } from "../../daemon/munged/config.ts";
import type { ConfigOption } from "./config.ts";

/** What munged does instead of serving. */
export type Task = "serve" | "check-config" | "status";

/** `replayDir` is undefined until an option names one or turns it off. */
export type Settings = Omit<DaemonConfig, "replayDir"> & {
  replayDir: string | null | undefined;
  task: Task;
  /** Undefined for the default file, which may be missing. */
  configFile: string | undefined;
  /** Whether to print the status as JSON. */
  json: boolean;
};

/** An option in munged's table. */
export type MungedOption = ConfigOption<Settings>;
