// The syntax of POSIX extended regular expressions with the GNU C library's extensions: from bytes to a tree. Where POSIX
// leaves the meaning open, this follows the C library, against which the tests check it.

/** The parts of an expression. */
export type Node =
  /** One byte from a set: 256 entries, each 0 or 1. */
  | { readonly kind: "set"; readonly set: Uint8Array }
  | { readonly kind: "anchor"; readonly anchor: Anchor }
  | { readonly kind: "sequence"; readonly parts: readonly Node[] }
  | { readonly kind: "choice"; readonly parts: readonly Node[] }
  /** `most` is Infinity for no limit. */
  | { readonly kind: "repeat"; readonly part: Node; readonly least: number; readonly most: number }
  | { readonly kind: "group"; readonly number: number; readonly part: Node }
  | { readonly kind: "back"; readonly group: number };

/** A position that matches no byte, by its character; b to > follow a backslash. */
export type Anchor = "^" | "$" | "b" | "B" | "<" | ">";

/** An invalid expression. */
export class RegexError extends Error {}

/** Maximum number of repetitions in an interval (RE_DUP_MAX). */
const MAX_REPETITIONS = 0x7fff;
/** Maximum length of a name in `[:...:]`. */
const MAX_CLASS_NAME = 32;
/** Maximum nesting depth of groups. */
const MAX_DEPTH = 250;

/** The classes of the C locale. */
const CLASSES: Readonly<Record<string, RegExp>> = {
  alnum: /[0-9A-Za-z]/,
  alpha: /[A-Za-z]/,
  blank: /[ \t]/,
  // deno-lint-ignore no-control-regex
  cntrl: /[\x00-\x1f\x7f]/,
  digit: /[0-9]/,
  graph: /[!-~]/,
  lower: /[a-z]/,
  print: /[ -~]/,
  punct: /[!-/:-@[-`{-~]/,
  space: /[ \t\n\v\f\r]/,
  upper: /[A-Z]/,
  xdigit: /[0-9A-Fa-f]/,
};

/** Meanings of a letter after a backslash, other than itself. */
const ESCAPED_SETS: Readonly<Record<string, Uint8Array>> = {
  w: setOf(/[0-9A-Za-z_]/),
  W: invert(setOf(/[0-9A-Za-z_]/)),
  s: setOf(CLASSES["space"]!),
  S: invert(setOf(CLASSES["space"]!)),
};
/** Backquote and quote stand for the ends of the subject, which are the ends of its only line. */
const ESCAPED_ANCHORS: Readonly<Record<string, Anchor>> = {
  "`": "^",
  "'": "$",
  "<": "<",
  ">": ">",
  b: "b",
  B: "B",
};
/** What a dot matches: every byte except NUL. */
export const ANY = invert(single(0));

function setOf(pattern: RegExp): Uint8Array {
  return Uint8Array.from(
    { length: 256 },
    (_, byte) => byte < 0x80 && pattern.test(String.fromCharCode(byte)) ? 1 : 0,
  );
}

function single(byte: number): Uint8Array {
  const set = new Uint8Array(256);
  set[byte] = 1;
  return set;
}

function invert(set: Uint8Array): Uint8Array {
  return set.map((bit) => 1 - bit);
}

/**
 * Parses an expression.
 *
 * @param expression its bytes.
 * @returns its tree.
 * @throws {RegexError} if it is invalid.
 */
export function parseExpression(expression: Uint8Array): Node {
  return new Parser(expression).whole();
}

class Parser {
  /** One character per byte. */
  readonly #text: string;
  #at = 0;
  #groups = 0;
  #depth = 0;
  readonly #closed = new Set<number>();

  constructor(expression: Uint8Array) {
    this.#text = Array.from(expression, (byte) => String.fromCharCode(byte)).join("");
  }

  whole(): Node {
    const tree = this.#choice();
    if (this.#at < this.#text.length) throw new RegexError("unmatched )");
    return tree;
  }

  get #next(): string | undefined {
    return this.#text[this.#at];
  }

  /** Whether a branch ends here. An unmatched ) is an ordinary character. */
  #branchEnds(): boolean {
    return this.#next === undefined || this.#next === "|" ||
      (this.#next === ")" && this.#depth > 0);
  }

  #choice(): Node {
    const parts = [this.#sequence()];
    while (this.#next === "|") {
      this.#at++;
      parts.push(this.#sequence());
    }
    return parts.length === 1 ? parts[0]! : { kind: "choice", parts };
  }

  #sequence(): Node {
    const parts: Node[] = [];
    while (!this.#branchEnds()) parts.push(this.#repeated());
    return { kind: "sequence", parts };
  }

  #repeated(): Node {
    let part = this.#atom();
    // An anchor can't be repeated, and a repetition can't begin an expression.
    if (part.kind === "anchor") return part;
    while (this.#next !== undefined && "*+?{".includes(this.#next)) {
      const [least, most] = this.#repetitions();
      part = { kind: "repeat", part, least, most };
    }
    return part;
  }

  #repetitions(): [least: number, most: number] {
    switch (this.#text[this.#at++]) {
      case "*":
        return [0, Infinity];
      case "+":
        return [1, Infinity];
      case "?":
        return [0, 1];
      default:
        return this.#interval();
    }
  }

  #interval(): [least: number, most: number] {
    const [whole, first = "", comma, last = ""] =
      /^(\d*)(?:(,)(\d*))?\}/.exec(this.#text.slice(this.#at)) ?? [];
    if (whole === undefined || (first === "" && comma === undefined)) {
      throw new RegexError("a malformed interval");
    }
    this.#at += whole.length;
    const least = Number(first);
    const most = comma === undefined ? least : last === "" ? Infinity : Number(last);
    if (least > most) throw new RegexError("an interval that ends before it begins");
    if (Math.max(least, most === Infinity ? 0 : most) > MAX_REPETITIONS) {
      throw new RegexError(`more than ${MAX_REPETITIONS} repetitions`);
    }
    return [least, most];
  }

  #atom(): Node {
    const character = this.#text[this.#at++]!;
    switch (character) {
      case "*":
      case "+":
      case "?":
      case "{":
        throw new RegexError(`nothing to repeat before ${character}`);
      case "(":
        return this.#group();
      case "[":
        return { kind: "set", set: this.#bracket() };
      case ".":
        return { kind: "set", set: ANY };
      case "^":
      case "$":
        return { kind: "anchor", anchor: character };
      case "\\":
        return this.#escape();
      default:
        return { kind: "set", set: single(character.charCodeAt(0)) };
    }
  }

  #group(): Node {
    if (++this.#depth > MAX_DEPTH) throw new RegexError("groups nested too deeply");
    const number = ++this.#groups;
    const part = this.#choice();
    if (this.#next !== ")") throw new RegexError("unmatched (");
    this.#at++;
    this.#depth--;
    this.#closed.add(number);
    return { kind: "group", number, part };
  }

  #escape(): Node {
    const character = this.#text[this.#at++];
    if (character === undefined) throw new RegexError("a backslash at the end");
    const set = ESCAPED_SETS[character];
    if (set !== undefined) return { kind: "set", set };
    const anchor = ESCAPED_ANCHORS[character];
    if (anchor !== undefined) return { kind: "anchor", anchor };
    if (!/[1-9]/.test(character)) return { kind: "set", set: single(character.charCodeAt(0)) };
    const group = Number(character);
    if (!this.#closed.has(group)) throw new RegexError(`\\${group} refers to no group before it`);
    return { kind: "back", group };
  }

  /** The text between [ and ], after the [. */
  #bracket(): Uint8Array {
    const negated = this.#next === "^";
    if (negated) this.#at++;
    const set = new Uint8Array(256);
    for (let first = true; first || this.#next !== "]"; first = false) {
      const from = this.#element(first);
      if (from instanceof Uint8Array) {
        from.forEach((bit, byte) => set[byte]! |= bit);
        continue;
      }
      const to = this.#isRange() ? this.#rangeEnd() : from;
      if (to < from) throw new RegexError("a range that ends before it begins");
      set.fill(1, from, to + 1);
    }
    this.#at++;
    return negated ? invert(set) : set;
  }

  #isRange(): boolean {
    const last = this.#text[this.#at + 1];
    return this.#next === "-" && last !== undefined && last !== "]";
  }

  #rangeEnd(): number {
    this.#at++;
    const end = this.#element(true);
    if (end instanceof Uint8Array) throw new RegexError("a range that ends in a class");
    return end;
  }

  /** A byte, or the set of a class. */
  #element(hyphenAllowed: boolean): number | Uint8Array {
    const character = this.#next;
    if (character === undefined) throw new RegexError("unmatched [");
    const kind = this.#text[this.#at + 1];
    if (character === "[" && (kind === ":" || kind === "." || kind === "=")) {
      return this.#named(kind);
    }
    if (character === "-" && !hyphenAllowed && kind !== "]") {
      throw new RegexError("a - that is neither first nor last nor in a range");
    }
    this.#at++;
    return character.charCodeAt(0);
  }

  #named(kind: ":" | "." | "="): number | Uint8Array {
    const start = this.#at + 2;
    const end = this.#text.indexOf(`${kind}]`, start);
    if (end === -1 || end - start >= MAX_CLASS_NAME) throw new RegexError("unmatched [");
    const name = this.#text.slice(start, end);
    this.#at = end + 2;
    if (kind === ":") {
      const pattern = Object.hasOwn(CLASSES, name) ? CLASSES[name] : undefined;
      if (pattern === undefined) throw new RegexError(`no class [:${name}:]`);
      return setOf(pattern);
    }
    // The C locale has no collating elements of more than one character.
    if (name.length !== 1) throw new RegexError(`no collating element ${name}`);
    return kind === "=" ? single(name.charCodeAt(0)) : name.charCodeAt(0);
  }
}
