// The thread that asks the name service for all groups; it answers once and is ended by groups.ts.
import { supplementaryGroups } from "../../../lib/os/users.ts";
import { packGroups } from "./map.ts";
import type { GroupsAnswer } from "./groups.ts";

// The global one: loading node:worker_threads would take longer than all that is done here.
postMessage(build());

function build(): GroupsAnswer {
  try {
    return { groups: packGroups(supplementaryGroups()) };
  } catch (error) {
    return { failure: error instanceof Error ? error.message : String(error) };
  }
}
