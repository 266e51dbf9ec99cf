// What a case is: shell commands that run with our programs as they ran with the reference's, MUNGE 0.5.18, and
// why the two outcomes may differ.

/** Why outcomes differ; each reason is a heading of docs/parity.md, with the differences below it. */
export const MARKS = ["better", "differs"] as const;
export type Mark = typeof MARKS[number];

/**
 * A case that differs, with a reason that would convince a MUNGE administrator: `better` where the reference's
 * behaviour can't be intended, `differs` for the rest.
 */
export type MarkedCase =
  & { readonly run: string }
  & ({ readonly better: string } | { readonly differs: string });

/** A case that must match the reference is just its commands; one that differs says why. */
export type Case = string | MarkedCase;

/** Cases about one option or one subject. */
export interface Area {
  /** The option as --help shows it, or the subject. */
  readonly title: string;
  /** Commands that precede those of each case. */
  readonly before?: string;
  /** Whether the cases use a shared daemon, whose log is not compared. */
  readonly served?: boolean;
  /** Whether the cases have their own network, described in sandbox.sh. */
  readonly network?: boolean;
  /** Whether the cases mostly wait, so that they run in addition to the others. */
  readonly waits?: boolean;
  readonly cases: readonly Case[];
}

/** The areas of one program, or of all programs. */
export interface Chapter {
  readonly title: string;
  readonly areas: readonly Area[];
}

/** The commands of a case. */
export function commandsOf(parityCase: Case): string {
  return typeof parityCase === "string" ? parityCase : parityCase.run;
}

/** The mark and the reason of a case that differs. */
export function markOf(parityCase: Case): { mark: Mark; reason: string } | undefined {
  if (typeof parityCase === "string") return undefined;
  if ("better" in parityCase) return { mark: "better", reason: parityCase.better };
  return { mark: "differs", reason: parityCase.differs };
}
