// auks-step end and clean: destroy a job's cache, as its user, after the last step on the node, and remove what killed
// steps have left behind.
import { closeSync, constants, openSync, readdirSync, unlinkSync } from "node:fs";
import { join } from "node:path";
import { AuksError } from "../../../lib/auks/errors.ts";
import { destroyCache } from "../../../lib/auks_client/job_cache.ts";
import { Context } from "../../../lib/krb5/context.ts";
import { becomeUser } from "../../../lib/os/identity.ts";
import { systemText } from "../../../lib/os/system_text.ts";
import { userById } from "../../../lib/os/users.ts";
import { print, printError } from "../../command_line/print.ts";
import { readRecord } from "./record.ts";
import type { StepSettings } from "./settings.ts";

/** nogroup. */
const NO_GROUP = 65534;

/** Destroys the cache of the job whose file is on standard input, and prints its name. Returns the exit status. */
export function end({ uid, gid }: StepSettings): number {
  return destroy([readRecord(0)], uid, gid) ? 0 : 1;
}

/**
 * Destroys the caches of a job that has ended, removes its files, and prints the caches' names. Does as much as it can, and
 * reports what fails. Returns the exit status.
 */
export function clean({ uid, job, jobs }: StepSettings): number {
  const paths = readdirSync(jobs)
    .filter((file) => file.split(".")[0] === `${job}`)
    .map((file) => join(jobs, file));
  let isClean = true;
  const names: string[] = [];
  for (const path of paths) {
    try {
      names.push(readFile(path));
    } catch (error) {
      isClean = complain(path, error);
    }
    try {
      unlinkSync(path);
    } catch (error) {
      isClean = complain(path, error);
    }
  }
  // Slurm does not tell an epilog the group, which does not matter, as the caches are private to the user.
  return destroy(names, uid, userById(uid)?.gid ?? NO_GROUP) && isClean ? 0 : 1;
}

function readFile(path: string): string {
  const fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    return readRecord(fd);
  } finally {
    closeSync(fd);
  }
}

/** Destroys caches as their user, and prints their names. Returns whether all are gone. */
function destroy(names: readonly string[], uid: number, gid: number): boolean {
  const made = names.filter((name) => name !== "");
  if (made.length === 0) return true;
  becomeUser(uid, gid);
  using context = Context.open();
  let areGone = true;
  for (const name of made) {
    try {
      destroyCache(context, name);
      print(`${name}\n`);
    } catch (error) {
      if (!(error instanceof AuksError)) throw error;
      printError(`${error.message}\n`);
      areGone = false;
    }
  }
  return areGone;
}

function complain(path: string, error: unknown): false {
  printError(`${path}: ${systemText(error)}\n`);
  return false;
}
