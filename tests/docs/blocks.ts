// The commands in a Markdown page. A `sh` block is run as it is written. Of a `console` block, the lines after
// "$ " are run, one by one, and print what is below them, where "..." stands for anything. A block below
// `<!-- not run: REASON -->` is only looked at: the shell must be able to read it, and each command of ours
// must know its options.
import { readFileSync } from "node:fs";

/** A block of commands. */
export interface Block {
  /** Line of the page that it begins in. */
  readonly line: number;
  /** Why it is not run; undefined for one that is. */
  readonly reason: string | undefined;
  readonly commands: readonly Command[];
}

/** A command, or several in a `sh` block. */
export interface Command {
  readonly text: string;
  /** Matches what it prints; undefined where that does not matter, and its exit status does. */
  readonly expected: RegExp | undefined;
}

const FENCE = /^( *)```(sh|console)\n([^]*?)^\1```$/gm;
const REASON = /<!-- not run: ([^>]+?) -->\s*$/;

/** The blocks of a page, in their order. */
export function readBlocks(path: string): Block[] {
  const page = readFileSync(path, "utf8");
  return [...page.matchAll(FENCE)].map((match) => {
    const [, indent = "", language, body = ""] = match;
    const before = page.slice(0, match.index);
    const text = body.split("\n").map((line) => line.slice(indent.length)).join("\n");
    return {
      line: before.split("\n").length,
      reason: REASON.exec(before)?.[1],
      commands: language === "sh" ? [{ text, expected: undefined }] : readConsole(text),
    };
  });
}

function readConsole(text: string): Command[] {
  return text.split(/^\$ /m).slice(1).map((part) => {
    const [, command = "", output = ""] = /^((?:.*\\\n)*.*\n)([^]*)$/.exec(part) ?? [];
    return { text: command, expected: patternOf(output) };
  });
}

function patternOf(output: string): RegExp {
  const lines = output.trimEnd().split("...").map((literal) =>
    literal.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")
  );
  return new RegExp(`^${lines.join("[^]*?")}\\s*$`);
}
