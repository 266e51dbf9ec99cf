// All fuzzing targets: every parser of foreign bytes.
import { AUKS_TARGETS } from "./auks_targets.ts";
import { MUNGE_TARGETS } from "./munge_targets.ts";
import type { Target } from "./target.ts";

/** All targets, in the order in which they run. */
export const TARGETS: readonly Target[] = [...MUNGE_TARGETS, ...AUKS_TARGETS];
