// The null device, for programs that get no input or output. The runtime's own way ("ignore") would create a regular file of
// that name where there is none, as in a chroot.
import { constants, openSync } from "node:fs";
import { systemText } from "./system_text.ts";

/** Opens /dev/null. @throws {Error} in the C MUNGE's words if that fails. */
export function openNullDevice(): number {
  try {
    return openSync("/dev/null", constants.O_RDWR);
  } catch (error) {
    throw new Error(`Failed to open "/dev/null": ${systemText(error)}`, { cause: error });
  }
}
