// The checks of mungebox doctor on its own node: one table, causes before effects, so that the first of the
// worst findings is the cause of the others. Checks of other hosts are in hosts.ts.
import {
  daemonClock,
  keyInForce,
  lock,
  log,
  maxPayload,
  roundTrip,
  socket,
  version,
} from "./daemon_checks.ts";
import { configuration, diskSpace, files, key, socketDirectory, user } from "./file_checks.ts";
import type { Finding } from "./finding.ts";
import type { Node } from "./node.ts";
import { policy } from "./policy.ts";
import { replayStore } from "./replay_store.ts";
import { clock, nameService } from "./system_checks.ts";

/** One check. */
export interface Check {
  readonly name: string;
  /** Its findings; none if there is nothing to check. */
  examine(node: Node): readonly Finding[] | Promise<readonly Finding[]>;
}

/** All checks. */
export const CHECKS: readonly Check[] = [
  { name: "configuration", examine: configuration },
  { name: "policy", examine: policy },
  { name: "user", examine: user },
  { name: "key", examine: key },
  { name: "files", examine: files },
  { name: "socket directory", examine: socketDirectory },
  { name: "disk space", examine: diskSpace },
  { name: "lock", examine: lock },
  { name: "socket", examine: socket },
  { name: "replay store", examine: replayStore },
  { name: "round trip", examine: roundTrip },
  { name: "key in force", examine: keyInForce },
  { name: "munged's clock", examine: daemonClock },
  { name: "max payload", examine: maxPayload },
  { name: "clock", examine: clock },
  { name: "name service", examine: nameService },
  { name: "version", examine: version },
  { name: "log", examine: log },
];
