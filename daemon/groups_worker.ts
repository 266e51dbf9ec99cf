// The thread that asks the name service for all groups; it answers once and is ended by groups.ts.
import { parentPort } from "node:worker_threads";
import { supplementaryGroups } from "../lib/os/users.ts";
import { type GroupsAnswer, packGroups } from "./groups.ts";

parentPort!.postMessage(build());

function build(): GroupsAnswer {
  try {
    return { groups: packGroups(supplementaryGroups()) };
  } catch (error) {
    return { failure: error instanceof Error ? error.message : String(error) };
  }
}
