// What a case is: commands of a shell that run with our programs as they ran with the reference's, MUNGE
// 0.5.18, and why the two outcomes may differ.

/** Why outcomes differ; each is a heading of docs/parity.md, which also has what exactly differs. */
export const MARKS = ["better", "differs"] as const;
export type Mark = typeof MARKS[number];

/**
 * A case that differs, and the one reason, which would convince an administrator of MUNGE: `better` where
 * nobody can want what the reference does, `differs` for the rest.
 */
export type MarkedCase =
  & { readonly run: string }
  & ({ readonly better: string } | { readonly differs: string });

/** A case that ours must treat as the reference does is its commands; one that it doesn't says why. */
export type Case = string | MarkedCase;

/** Cases about one option or one subject. */
export interface Area {
  /** The option as --help shows it, or the subject. */
  readonly title: string;
  /** Commands that come before those of each case. */
  readonly before?: string;
  /** Whether the cases are served by a daemon that others share, whose log is not looked at. */
  readonly served?: boolean;
  /** Whether the cases have a network of their own, which sandbox.sh describes. */
  readonly network?: boolean;
  /** Whether the cases mostly wait, so that they are better run beside the others than in line. */
  readonly waits?: boolean;
  readonly cases: readonly Case[];
}

/** All that concerns one program, or all of them. */
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
