// What a check of mungebox doctor finds, and which finding counts most.

/** Verdicts from the best to the worst; a note tells what is unusual but harms nobody by itself. */
const VERDICTS = ["ok", "skipped", "note", "warning", "problem"] as const;

export type Verdict = typeof VERDICTS[number];

/** One finding. */
export interface Finding {
  readonly verdict: Verdict;
  /** The cause, in one sentence. */
  readonly text: string;
  /** A command that mends it. */
  readonly mend?: string | undefined;
}

/** A finding with the name of what was checked. */
export interface NamedFinding extends Finding {
  readonly check: string;
}

export const ok = (text: string): Finding => ({ verdict: "ok", text });
export const skipped = (text: string): Finding => ({ verdict: "skipped", text });
export const note = (text: string, mend?: string): Finding => ({ verdict: "note", text, mend });
export const warning = (text: string, mend?: string): Finding => ({
  verdict: "warning",
  text,
  mend,
});
export const problem = (text: string, mend?: string): Finding => ({
  verdict: "problem",
  text,
  mend,
});

/** The worst finding, the first of several: checks come in the order of causes before effects. */
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
