// What a check of mungebox doctor finds, what to do about it, and which of several findings is the worst.
import { printable } from "../../lib/printable.ts";

/** Verdicts from best to worst; a note reports something unusual that does no harm by itself. */
const VERDICTS = ["ok", "skipped", "note", "warning", "problem"] as const;

export type Verdict = typeof VERDICTS[number];

/**
 * What to do: a command that fixes the cause and is safe to run as printed, or advice in words where a decision is needed or
 * there is nothing to run.
 */
export type Remedy = { readonly fix: string } | { readonly advice: string };

export const advise = (words: string): Remedy => ({ advice: words });

/** A command, unless a terminal would not show it unchanged. */
export function run(command: string): Remedy {
  return printable(command) === command
    ? { fix: command }
    : advise("The command for this contains names that can't be printed");
}

/** One finding. */
export interface Finding {
  readonly verdict: Verdict;
  /** The cause, in one sentence. */
  readonly text: string;
  /** A command that fixes it. */
  readonly fix?: string | undefined;
  /** Advice in words. */
  readonly advice?: string | undefined;
}

/** A finding with the name of its check. */
export interface NamedFinding extends Finding {
  readonly check: string;
}

export const ok = (text: string): Finding => ({ verdict: "ok", text });
export const skipped = (text: string): Finding => ({ verdict: "skipped", text });
export const note = (text: string, remedy?: Remedy): Finding => ({
  verdict: "note",
  text,
  ...remedy,
});
export const warning = (text: string, remedy?: Remedy): Finding => ({
  verdict: "warning",
  text,
  ...remedy,
});
export const problem = (text: string, remedy?: Remedy): Finding => ({
  verdict: "problem",
  text,
  ...remedy,
});

/** The worst finding; the first of equals, because checks run in the order of cause before effect. */
export function worst<F extends Finding>(findings: readonly F[]): F | undefined {
  let found: F | undefined;
  for (const finding of findings) {
    if (found === undefined || rank(finding) > rank(found)) found = finding;
  }
  return found;
}

function rank({ verdict }: Finding): number {
  return VERDICTS.indexOf(verdict);
}
