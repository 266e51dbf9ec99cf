// Changes the effective user and group of this process. In a file of its own, loaded on demand, because few runs of a
// client need it and loading takes time.
import { canCallLibc, FFIType, openLibc, SystemError } from "./libc.ts";

function openIdentity() {
  return openLibc({
    setegid: { args: [FFIType.u32], returns: FFIType.i32 },
    seteuid: { args: [FFIType.u32], returns: FFIType.i32 },
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
