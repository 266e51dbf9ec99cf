// Changes the user and group of this process: the effective IDs temporarily, or all IDs permanently. It is a separate file,
// loaded on demand, because few runs of a client need it and loading takes time.
import { canCallLibc, FFIType, openLibc, SystemError } from "./libc.ts";

const { i32, ptr: pointer, u32, u64 } = FFIType;

function openIdentity() {
  return openLibc({
    setegid: { args: [u32], returns: i32 },
    seteuid: { args: [u32], returns: i32 },
  });
}

/** Switches to a group; node's setegid refuses half of all possible IDs. */
export function setEffectiveGroup(gid: number): void {
  if (!canCallLibc()) process.setegid!(gid);
  else if (openIdentity().setegid(gid) < 0) throw new SystemError("setegid");
}

/** Switches to a user; node's seteuid refuses half of all possible IDs. */
export function setEffectiveUser(uid: number): void {
  if (!canCallLibc()) process.seteuid!(uid);
  else if (openIdentity().seteuid(uid) < 0) throw new SystemError("seteuid");
}

/**
 * Becomes another user permanently, with one group and no way back. Linux only.
 *
 * @throws {SystemError} if that fails; the process must then end, because the change may be incomplete.
 * @throws {Error} if the process still has an ID of the previous user, or could get one back.
 */
export function becomeUser(uid: number, gid: number): void {
  const c = openLibc({
    setgroups: { args: [u64, pointer], returns: i32 },
    setresgid: { args: [u32, u32, u32], returns: i32 },
    setresuid: { args: [u32, u32, u32], returns: i32 },
    setuid: { args: [u32], returns: i32 },
    getresgid: { args: [pointer, pointer, pointer], returns: i32 },
    getresuid: { args: [pointer, pointer, pointer], returns: i32 },
  });
  if (c.setgroups(1, new Uint32Array([gid])) < 0) throw new SystemError("setgroups");
  if (c.setresgid(gid, gid, gid) < 0) throw new SystemError("setresgid");
  if (c.setresuid(uid, uid, uid) < 0) throw new SystemError("setresuid");
  for (const [name, id] of [["getresuid", uid], ["getresgid", gid]] as const) {
    const [real, effective, saved] = [0, 0, 0].map(() => new Uint32Array(1)) as [
      Uint32Array,
      Uint32Array,
      Uint32Array,
    ];
    if (c[name](real, effective, saved) < 0) throw new SystemError(name);
    if ([real, effective, saved].some(([each]) => each !== id)) {
      throw new Error(`The change to user ${uid} and group ${gid} is incomplete`);
    }
  }
  if (uid !== 0 && c.setuid(0) === 0) throw new Error(`User ${uid} can become root again`);
}
