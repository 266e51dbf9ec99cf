// Finds the examples in the documentation and in doc comments: every ```ts block.
import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";

/** The runtimes in which examples run. */
export const RUNTIMES = ["bun", "deno", "node"] as const;
/** Name of a runtime. */
export type Runtime = typeof RUNTIMES[number];

/** One example. */
export interface Example {
  /** File and line. */
  readonly place: string;
  /** Name of its own file. */
  readonly file: string;
  readonly code: string;
  /** The only runtime it is for, named after the ts of its fence. */
  readonly only: Runtime | undefined;
}

const FENCE = /^( *(?:\* )?)```ts(?: (bun|deno|node))?\n([\s\S]*?)^ *(?:\* )?```$/gm;
/** The first line of an example that others import. */
const FILE_NAME = /^\/\/ (\w+\.ts)\n/;

/** The examples in these files, except the API page, whose examples come from the code. */
export function findExamples(): Example[] {
  const below = (folder: string, ending: string) =>
    readdirSync(folder, { recursive: true, encoding: "utf8" })
      .filter((name) => name.endsWith(ending)).map((name) => `${folder}/${name}`);
  return ["README.md", ...below("docs", ".md"), "mod.ts", ...below("lib", ".ts")].sort()
    .flatMap(examplesIn)
    .filter(({ code }) => !OWN_FILE.test(code));
}

/** What examples of files that no package exports import: they run in the project's own folder. */
const OWN_FILE = /^import .* from "\.\/lib\//m;

/** The examples in one file. */
export function examplesIn(path: string): Example[] {
  const text = readFileSync(path, "utf8");
  return [...text.matchAll(FENCE)].map((match) => {
    const [, margin = "", only, block = ""] = match;
    const code = block.split("\n").map((line) =>
      line.startsWith(margin) ? line.slice(margin.length) : line.replace(/^ *\*?$/, "")
    ).join("\n");
    const line = text.slice(0, match.index).split("\n").length;
    const unique = createHash("sha256").update(`${path}${line}`).digest("hex").slice(0, 12);
    return {
      place: `${path}:${line}`,
      file: FILE_NAME.exec(code)?.[1] ?? `example_${unique}.ts`,
      code,
      only: only as Runtime | undefined,
    };
  });
}

/** The expected output of an example: the comments after console.log(), without quotation marks. */
export function promisedOutput(code: string): string[] {
  return [...code.matchAll(/console\.log\(.*\); \/\/ (.*)$/gm)].map(([, promise]) =>
    plain(promise!)
  );
}

/** Output without quotation marks and spaces, in which the runtimes differ. */
export function plain(text: string): string {
  return text.replace(/["'\s]/g, "");
}
