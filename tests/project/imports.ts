// The imports of the project's files, found in their text.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";

/** The project's directory. */
export const ROOT: string = resolve(import.meta.dirname, "../..");

/**
 * Static, dynamic and type imports, re-exports, and require(), also that of createRequire(...). Only literals: a test
 * refuses others.
 */
export const IMPORT: RegExp =
  /\b(?:from|import\s*\(?|require\s*\(|require\.resolve\s*\(|\bresolve\s*\()\s*"([^"$\n]+)"|\)\s*\(\s*"([.]{1,2}\/[^"$\n]+|(?:node|bun):[^"$\n]+)"\)/g;

/** An import. */
export interface Import {
  readonly file: string;
  /** As written: "./keys.ts", "bun:ffi", "@scure/base". */
  readonly specifier: string;
  /** Path in the project, if relative. */
  readonly target: string | undefined;
}

/** The TypeScript files in a folder, or the file itself. */
export function sourceFiles(path: string): string[] {
  const full = join(ROOT, path);
  if (path.endsWith(".ts")) return existsSync(full) ? [path] : [];
  return readdirSync(full, { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".ts"))
    .map((name) => join(path, name));
}

/** A file without its comments, whose examples don't count. */
export function codeOf(file: string): string {
  return readFileSync(join(ROOT, file), "utf8").replace(/\/\*[^]*?\*\/|^\s*\/\/.*$/gm, "");
}

/** The imports of a file. */
export function importsOf(file: string): Import[] {
  return [...codeOf(file).matchAll(IMPORT)].map((match) => {
    const specifier = (match[1] ?? match[2])!;
    if (!specifier.startsWith(".")) return { file, specifier, target: undefined };
    const path = relative(ROOT, resolve(ROOT, dirname(file), specifier));
    return { file, specifier, target: path.endsWith(".ts") ? path : `${path}.ts` };
  });
}
