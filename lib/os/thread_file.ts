// Where the code of a thread is: a file of the project, or one inside the compiled executable.

/** Whether this is the compiled executable, whose files the runtime shows under a root of their own. */
export const IS_COMPILED: boolean = Bun.main.startsWith("/$bunfs/");

/**
 * What to start a Worker with.
 *
 * @param path of the thread's file from the project's root, `daemon/munged/serve/worker.ts`; the build lists it too.
 */
export function threadFile(path: string): URL {
  return IS_COMPILED
    ? new URL(path, "file:///$bunfs/root/")
    : new URL(`../../${path}`, import.meta.url);
}
