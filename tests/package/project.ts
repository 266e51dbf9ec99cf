// Packs the library as npm does, once per process, and installs it into empty projects.
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { delimiter, join, resolve } from "node:path";

/** Folder for all projects of this process. */
export const FOLDER: string = mkdtempSync("/tmp/munge-package-");
process.on("exit", () => rmSync(FOLDER, { recursive: true, force: true }));
const PATH = `${resolve("node_modules/.bin")}${delimiter}${process.env["PATH"]}`;

/** Runs a command. Returns its output, or throws with the output if its status is not 0. */
export function run(command: readonly string[], cwd: string = "."): string {
  const [name, ...rest] = command;
  const env = { ...process.env, PATH, NO_COLOR: "1", npm_config_update_notifier: "false" };
  const { status, stdout, stderr, error } = spawnSync(name!, rest, {
    cwd,
    env,
    encoding: "utf8",
    timeout: 600_000,
  });
  if (status !== 0) {
    throw new Error(`${command.join(" ")} ended with ${status}: ${stdout}${stderr}`, {
      cause: error,
    });
  }
  return stdout;
}

/** Path of the tarball made by `npm pack`. */
export const tarball: string = (() => {
  run(["npm", "pack", "--silent", "--pack-destination", FOLDER]);
  return join(FOLDER, readdirSync(FOLDER).find((name) => name.endsWith(".tgz"))!);
})();

/** Makes a project that contains only `files`. */
export function emptyProject(name: string, files: Readonly<Record<string, string>> = {}): string {
  const folder = join(FOLDER, name);
  mkdirSync(folder);
  for (const [file, text] of Object.entries(files)) writeFileSync(join(folder, file), text);
  return folder;
}

/** Makes an npm project with the tarball installed. */
export function npmProject(name: string): string {
  const folder = emptyProject(name, { "package.json": '{ "type": "module" }' });
  run(
    ["npm", "install", "--prefer-offline", "--no-audit", "--no-fund", "--silent", tarball],
    folder,
  );
  return folder;
}
