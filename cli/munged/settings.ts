// What munged is told, by its options wherever they come from; the options themselves are in options.ts.
import type { DaemonConfig } from "../../daemon/munged/config.ts";
import type { ConfigOption } from "./config.ts";

/** What munged is to do instead of serving. */
export type Task = "serve" | "check-config" | "status";

/** `replayDir` is undefined as long as no option has named or refused one. */
export type Settings = Omit<DaemonConfig, "replayDir"> & {
  replayDir: string | null | undefined;
  task: Task;
  /** Undefined for the default one, which may be missing. */
  configFile: string | undefined;
  /** Whether the status is told as JSON. */
  json: boolean;
};

/** An option as the table below has it. */
export type MungedOption = ConfigOption<Settings>;
