// What went wrong in a call of the system, in words and by its code.
import { MungeError } from "../errors.ts";
import { strerror } from "./libc.ts";

/** The system's own text for a failed call, "No such file or directory"; else the error's message. */
export function systemText(error: unknown): string {
  if (error instanceof MungeError) return error.message; // whose errno is none of the system's
  const number = (error as NodeJS.ErrnoException).errno;
  if (typeof number === "number") return strerror(Math.abs(number));
  return error instanceof Error ? error.message : String(error);
}

/** The system's code, "EACCES", of the call that an error comes from; undefined if none failed. */
export function systemCode(error: unknown): string | undefined {
  for (let at = error; at instanceof Error; at = at.cause) {
    const { code } = at as NodeJS.ErrnoException;
    if (typeof code === "string" && !(at instanceof MungeError)) return code;
  }
  return undefined;
}
