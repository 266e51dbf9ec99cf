// The location of a thread's code: a file of the project, or one inside the compiled executable.

/** Whether this is the compiled executable, whose files have their own root directory. */
export const IS_COMPILED: boolean = Bun.main.startsWith("/$bunfs/");

/**
 * The argument for starting a Worker.
 *
 * @param path of the thread's file relative to the project's root, such as `daemon/munged/serve/worker.ts`; the build
 * lists it as well.
 */
export function threadFile(path: string): URL {
  return IS_COMPILED
    ? new URL(path, "file:///$bunfs/root/")
    : new URL(`../../${path}`, import.meta.url);
}
