// The code and the text of a failed system call, without libc.

/** The C library's texts, which the reference prints; each runtime has different ones. */
const SYSTEM_TEXTS: Readonly<Record<string, string>> = {
  EACCES: "Permission denied",
  EAGAIN: "Resource temporarily unavailable",
  ECONNREFUSED: "Connection refused",
  ECONNRESET: "Connection reset by peer",
  ELOOP: "Too many levels of symbolic links",
  EMFILE: "Too many open files",
  ENAMETOOLONG: "File name too long",
  ENFILE: "Too many open files in system",
  ENOENT: "No such file or directory",
  ENOTDIR: "Not a directory",
  EPERM: "Operation not permitted",
  EPIPE: "Broken pipe",
};

/** The system's code of an error, such as "ENOENT"; undefined if it has none. */
export function codeOf(error: unknown): string | undefined {
  return (error as NodeJS.ErrnoException).code;
}

/** The text for an error of the system. */
export function systemText(error: unknown): string {
  const code = codeOf(error);
  return SYSTEM_TEXTS[code ?? ""] ?? code ?? "Unknown error";
}
