// The thread that asks the name service for all groups. It answers once; groups.ts then ends it.
import { supplementaryGroups } from "../../../lib/os/users.ts";
import { packGroups } from "./map.ts";
import type { GroupsAnswer } from "./groups.ts";

// The global function, because loading node:worker_threads would take longer than everything done here.
postMessage(build());

function build(): GroupsAnswer {
  try {
    return { groups: packGroups(supplementaryGroups()) };
  } catch (error) {
    return { failure: error instanceof Error ? error.message : String(error) };
  }
}
