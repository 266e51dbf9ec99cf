// Gives one program another time, through libfaketime. Its command faketime is not used, because it leaves files in /dev/shm
// named after process IDs, and fails when it meets an ID again.
import { existsSync } from "node:fs";

const LIBRARY = [
  "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1",
  "/usr/lib/aarch64-linux-gnu/faketime/libfaketime.so.1",
].find((file) => existsSync(file));

/** Whether programs can be given another time. */
export const hasFaketime = LIBRARY !== undefined;

/** The words of a command that runs a program with its clock off by some seconds, and becomes that program. */
export function withClockOff(seconds: number): string[] {
  const offset = `${seconds < 0 ? "" : "+"}${seconds}s`;
  return ["env", `LD_PRELOAD=${LIBRARY}`, `FAKETIME=${offset}`];
}
