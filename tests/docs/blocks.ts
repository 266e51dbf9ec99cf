// The commands in a Markdown page. A `sh` block runs as it stands. In a `console` block, the lines after "$ " run one by
// one and must print what is below them, where "..." stands for any text. A block below `<!-- not run: REASON -->` is
// only checked: the shell must be able to parse it, and our commands must have its options.
import { readFileSync } from "node:fs";

/** A block of commands. */
export interface Block {
  /** The line of the page where it begins. */
  readonly line: number;
  /** Why it is not run; undefined if it is. */
  readonly reason: string | undefined;
  readonly commands: readonly Command[];
}

/** A command, or a whole `sh` block. */
export interface Command {
  readonly text: string;
  /** Matches its output; undefined where only its exit status matters. */
  readonly expected: RegExp | undefined;
}

const FENCE = /^( *)```(sh|console)\n([^]*?)^\1```$/gm;
const REASON = /<!-- not run: ([^>]+?) -->\s*$/;

/** The blocks of a page, in order. */
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
