// The parsed command line of auks-step, which the plugin auks.so and auks-step itself write. Its options are in step.ts.

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
  /** The cache that the job names itself; "" for none. */
  found: string;
  /** The cache that an earlier step of the job got; "" for none. */
  recorded: string;
  /** Directory of the jobs' files. */
  jobs: string;
  enforced: boolean;
  noSwitch: boolean;
}
