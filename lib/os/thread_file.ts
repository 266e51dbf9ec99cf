// The location of our code, to start it in a thread or a process: files of the project, or inside the compiled executable.

/** Whether this is the compiled executable, whose files have their own root directory. */
export const IS_COMPILED: boolean = Bun.main.startsWith("/$bunfs/");

/** How to start this program again: the command's first words, to which the caller adds the arguments. */
export function ownCommand(): string[] {
  return IS_COMPILED ? [process.execPath] : [process.execPath, Bun.main];
}

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
