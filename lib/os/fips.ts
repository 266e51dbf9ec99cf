// Whether the kernel runs in FIPS mode (fips=1 on its command line).
import { readFileSync } from "node:fs";
import { MungeError } from "../errors.ts";
import { systemText } from "./system_text.ts";

/** Missing on kernels built without FIPS mode. */
const FLAG = "/proc/sys/crypto/fips_enabled";

/**
 * Whether the system must use only algorithms that FIPS 140 approves.
 *
 * @param path of the kernel's flag.
 * @throws {MungeError} if the flag exists but can't be read, because either answer might then be wrong.
 */
export function isFipsMode(path: string = FLAG): boolean {
  let flag: string;
  try {
    flag = readFileSync(path, "latin1");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return false;
    const text = `Failed to read "${path}": ${systemText(error)}`;
    throw new MungeError("EMUNGE_SNAFU", text, { cause: error });
  }
  return flag.trim() !== "0";
}
