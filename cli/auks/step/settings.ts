// The parsed command line of auks-step, which is run by the plugin auks.so and by auks-step itself. step.ts has the options.

/** What to do. */
export type StepAction = "add" | "begin" | "keep" | "end" | "clean";

/** The parsed command line. */
export interface StepSettings {
  action: StepAction | undefined;
  uid: number;
  gid: number;
  job: number;
  step: number;
  /** Template of the cache's name; "" for a new cache of the default type. */
  ccache: string;
  /** The cache named in the job's environment; "" for none. */
  found: string;
  /** The cache that an earlier step of the job got; "" for none. */
  recorded: string;
  /** The directory of the jobs' files. */
  jobs: string;
  enforced: boolean;
  noSwitch: boolean;
}
