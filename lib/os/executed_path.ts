// The path with which this program was executed, regardless of argv[0].
import { canCallLibc, CString, FFIType, openLibc, type Pointer } from "./libc.ts";

/** The entry of the auxiliary vector (getauxval(3)) with the address of the path. */
const AT_EXECFN = 31;

/** The path, perhaps of a symbolic link; empty where the system does not provide it. */
export function executedPath(): string {
  if (process.platform !== "linux" || !canCallLibc()) return "";
  const { getauxval } = openLibc({ getauxval: { args: [FFIType.u64], returns: FFIType.ptr } });
  const address = getauxval(AT_EXECFN) as Pointer | null;
  return address === null ? "" : `${new CString(address)}`;
}
