// The answers of auks-step keep to auks-step begin, one line each.

/** An answer. */
export type KeepAnswer =
  | { readonly kind: "found" | "stored"; readonly name: string }
  | { readonly kind: "wanted" | "ended" | "late" };

/** An answer as a line. */
export function formatAnswer(kind: "found" | "stored" | "wanted", name = ""): string {
  return `${kind} ${name}\n`;
}

/** The answer in a line; "ended" for anything else. @param line undefined at the end of the output. */
export function parseAnswer(line: string | undefined): KeepAnswer {
  const [, kind, name = ""] = /^(found|stored|wanted) (.*)$/.exec(line ?? "") ?? [];
  if (kind === "wanted") return { kind };
  if ((kind === "found" || kind === "stored") && name !== "") return { kind, name };
  return { kind: "ended" };
}
