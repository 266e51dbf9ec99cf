// Sections of docs/benchmarks.md, which several benchmarks write.
import { readFileSync, writeFileSync } from "node:fs";

/** The page. */
export const PAGE = "docs/benchmarks.md";

/** The section of this name with its heading, from the current page; "" if there is none. */
export function readSection(name: string): string {
  const page = readFileSync(PAGE, "utf8");
  const start = page.indexOf(`## ${name}\n`);
  if (start < 0) return "";
  const end = page.indexOf("\n## ", start);
  return end < 0 ? page.slice(start) : page.slice(start, end + 1);
}

/** Replaces a section, or adds it at the end. */
export function writeSection(name: string, text: string): void {
  const page = readFileSync(PAGE, "utf8");
  const old = readSection(name);
  writeFileSync(PAGE, old === "" ? `${page}\n${text}` : page.replace(old, () => `${text}\n`));
}
