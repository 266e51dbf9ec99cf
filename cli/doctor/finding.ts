// What a check of mungebox doctor finds, and which of several findings is the worst.

/** Verdicts from best to worst; a note reports something unusual that does no harm by itself. */
const VERDICTS = ["ok", "skipped", "note", "warning", "problem"] as const;

export type Verdict = typeof VERDICTS[number];

/** One finding. */
export interface Finding {
  readonly verdict: Verdict;
  /** The cause, in one sentence. */
  readonly text: string;
  /** A command that fixes it. */
  readonly fix?: string | undefined;
}

/** A finding with the name of its check. */
export interface NamedFinding extends Finding {
  readonly check: string;
}

export const ok = (text: string): Finding => ({ verdict: "ok", text });
export const skipped = (text: string): Finding => ({ verdict: "skipped", text });
export const note = (text: string, fix?: string): Finding => ({ verdict: "note", text, fix });
export const warning = (text: string, fix?: string): Finding => ({
  verdict: "warning",
  text,
  fix,
});
export const problem = (text: string, fix?: string): Finding => ({
  verdict: "problem",
  text,
  fix,
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
