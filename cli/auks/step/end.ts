// auks-step end and clean: destroy a job's cache, as its user, after the last step on the node, and remove what killed
// steps have left behind.
import { closeSync, constants, openSync, readdirSync, unlinkSync } from "node:fs";
import { join } from "node:path";
import { destroyCache } from "../../../lib/auks_client/job_cache.ts";
import { Context } from "../../../lib/krb5/context.ts";
import { becomeUser } from "../../../lib/os/identity.ts";
import { userById } from "../../../lib/os/users.ts";
import { print } from "../../command_line/print.ts";
import { readRecord } from "./record.ts";
import type { StepSettings } from "./settings.ts";

/** nogroup. */
const NO_GROUP = 65534;

/** Destroys the cache of the job whose file is on standard input, and prints its name. Returns the exit status. */
export function end({ uid, gid }: StepSettings): number {
  destroy([readRecord(0)], uid, gid);
  return 0;
}

/** Destroys the caches of a job that has ended, and removes its files. Returns the exit status. */
export function clean({ uid, job, jobs }: StepSettings): number {
  const files = readdirSync(jobs).filter((file) => file.split(".")[0] === `${job}`);
  const names = files.map((file) => {
    const fd = openSync(join(jobs, file), constants.O_RDONLY | constants.O_NOFOLLOW);
    try {
      return readRecord(fd);
    } finally {
      closeSync(fd);
    }
  });
  for (const file of files) unlinkSync(join(jobs, file));
  // Slurm does not tell an epilog the group; the caches are private to the user.
  destroy(names, uid, userById(uid)?.gid ?? NO_GROUP);
  return 0;
}

function destroy(names: readonly string[], uid: number, gid: number): void {
  const made = names.filter((name) => name !== "");
  if (made.length === 0) return;
  becomeUser(uid, gid);
  using context = Context.open();
  for (const name of made) destroyCache(context, name);
  print(made.map((name) => `${name}\n`).join(""));
}
