// The text and the code of a failed system call.
import { MungeError } from "../errors.ts";
import { strerror } from "./libc.ts";

/** The system's text for a failed call, such as "No such file or directory"; otherwise the error's message. */
export function systemText(error: unknown): string {
  if (error instanceof MungeError) return error.message; // its errno is not the system's
  const number = (error as NodeJS.ErrnoException).errno;
  if (typeof number === "number") return strerror(Math.abs(number));
  return error instanceof Error ? error.message : String(error);
}

/** The text of any error. For a failed call of the runtime, it is in our words: the call, its file, and the system's text. */
export function failureText(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { syscall, path, message } = error as NodeJS.ErrnoException;
  if (syscall === undefined) return message;
  const verb = syscall === "posix_spawn" ? "run" : syscall;
  const file = typeof path === "string" ? ` "${path}"` : "";
  return `Failed to ${verb}${file}: ${systemText(error)}`;
}

/** What a log says about an unexpected error: for a failed call, the system's text; for a fault of ours, where it is. */
export function unexpectedText(error: unknown): string {
  const isFault = error instanceof Error &&
    typeof (error as NodeJS.ErrnoException).errno !== "number";
  return isFault && error.stack !== undefined ? error.stack : failureText(error);
}

/** The system's code, such as "EACCES", of the failed call behind an error; undefined if there is none. */
export function systemCode(error: unknown): string | undefined {
  for (let at = error; at instanceof Error; at = at.cause) {
    const { code } = at as NodeJS.ErrnoException;
    if (typeof code === "string" && !(at instanceof MungeError)) return code;
  }
  return undefined;
}
