// A manual page as its author writes it, and the markup that pages share.

/** A manual page. */
export interface Page {
  readonly name: string;
  readonly section: 1 | 5 | 7 | 8;
  /** Completes "munge - ...". */
  readonly summary: string;
  readonly description: string;
  /** More about an option than its line in --help says, by long name. */
  readonly details?: Readonly<Record<string, string>>;
  /** Sections after the options, in the order mdoc(7) requires. */
  readonly sections: readonly (readonly [title: string, text: string])[];
  /** Pages to see also, `munge 1`. */
  readonly seeAlso: readonly string[];
}

/** A list of terms with what they mean. */
export const list = (items: readonly (readonly [term: string, text: string])[]) =>
  [".Bl -tag -width Ds", ...items.map(([term, text]) => `.It ${term}\n${text}`), ".El"].join("\n");
