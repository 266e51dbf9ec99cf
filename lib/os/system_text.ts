// The words for what went wrong in a call of node:fs.
import { MungeError } from "../errors.ts";
import { strerror } from "./libc.ts";

/** The system's own text for a failed call, "No such file or directory"; else the error's message. */
export function systemText(error: unknown): string {
  if (error instanceof MungeError) return error.message; // whose errno is none of the system's
  const number = (error as NodeJS.ErrnoException).errno;
  if (typeof number === "number") return strerror(Math.abs(number));
  return error instanceof Error ? error.message : String(error);
}
