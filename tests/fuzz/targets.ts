// All fuzzing targets: every parser of foreign bytes.
import { AUKS_TARGETS } from "./auks_targets.ts";
import { MUNGE_TARGETS } from "./munge_targets.ts";
import { REMOTE_TARGETS } from "./remote_targets.ts";
import { REPLAY_TARGETS } from "./replay_targets.ts";
import type { Target } from "./target.ts";

/** All targets, in the order in which they run. */
export const TARGETS: readonly Target[] = [
  ...MUNGE_TARGETS,
  ...REPLAY_TARGETS,
  ...REMOTE_TARGETS,
  ...AUKS_TARGETS,
];
