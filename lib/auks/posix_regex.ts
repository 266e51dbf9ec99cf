// POSIX extended regular expressions as in the GNU C library, in the C locale: whether one matches anywhere in some bytes.
// The subject may come from an attacker, so the time is bounded by the size of the expression times that of the subject.
// Expressions with back-references have a step limit instead, beyond which matching fails with an error.
import { type Anchor, type Node, parseExpression, RegexError } from "./posix_regex_syntax.ts";

export { RegexError };

/** A compiled expression. */
export interface PosixRegex {
  /**
   * Whether the expression matches somewhere.
   *
   * @param subject the bytes to search.
   * @returns true if it does.
   * @throws {RegexError} if an expression with back-references takes too many steps.
   */
  test(subject: Uint8Array): boolean;
}

/** Maximum number of states, with intervals expanded. */
const MAX_STATES = 50_000;
/** Maximum number of steps of a match with back-references. */
const MAX_STEPS = 200_000;

/**
 * One state. `next` and `other` are the numbers of the following states; a state without a condition leads to both at
 * once.
 */
type State =
  | { readonly kind: "set"; readonly set: Uint8Array; next: number }
  | { readonly kind: "anchor"; readonly holds: Condition; next: number }
  | { readonly kind: "fork"; next: number; other: number }
  | { readonly kind: "open" | "close" | "back"; readonly group: number; next: number }
  | { readonly kind: "match" };

/** Whether a position in the subject is of some kind, such as its start or the end of a word. */
type Condition = (subject: Uint8Array, at: number) => boolean;

/**
 * Compiles an expression.
 *
 * @param expression its bytes.
 * @returns the compiled expression.
 * @throws {RegexError} if the C library would refuse it as well, or if its intervals make it too large.
 *
 * @example
 * ```ts
 * import { compileRegex } from "./lib/auks/posix_regex.ts";
 *
 * const bytes = (text: string) => new TextEncoder().encode(text);
 * const regex = compileRegex(bytes("^host/[[:alnum:].]+@REALM[.]A$"));
 * console.log(regex.test(bytes("host/mngt.realm.a@REALM.A"))); // true
 * ```
 */
export function compileRegex(expression: Uint8Array): PosixRegex {
  const tree = parseExpression(expression);
  const program = new Program();
  program.start = program.build(tree, program.add({ kind: "match" }));
  return program.hasBackReference
    ? { test: (subject) => backtrack(program, subject) }
    : { test: (subject) => simulate(program, subject) };
}

function isWordByte(byte: number | undefined): boolean {
  return byte !== undefined &&
    (byte === 0x5f || (byte >= 0x30 && byte <= 0x39) || (byte >= 0x41 && byte <= 0x5a) ||
      (byte >= 0x61 && byte <= 0x7a));
}

const wordBefore: Condition = (subject, at) => isWordByte(subject[at - 1]);
const wordAfter: Condition = (subject, at) => isWordByte(subject[at]);

const CONDITIONS: { readonly [anchor in Anchor]: Condition } = {
  "^": (_, at) => at === 0,
  "$": (subject, at) => at === subject.length,
  b: (subject, at) => wordBefore(subject, at) !== wordAfter(subject, at),
  B: (subject, at) => wordBefore(subject, at) === wordAfter(subject, at),
  "<": (subject, at) => !wordBefore(subject, at) && wordAfter(subject, at),
  ">": (subject, at) => wordBefore(subject, at) && !wordAfter(subject, at),
};

/** The states of an expression, built from its end to its beginning. */
class Program {
  readonly states: State[] = [];
  start = 0;
  hasBackReference = false;

  add(state: State): number {
    if (this.states.length === MAX_STATES) throw new RegexError("intervals that are too large");
    return this.states.push(state) - 1;
  }

  /** Adds the states of part of the tree. Returns the number of the first. */
  build(tree: Node, next: number): number {
    switch (tree.kind) {
      case "set":
        return this.add({ kind: "set", set: tree.set, next });
      case "anchor":
        return this.add({ kind: "anchor", holds: CONDITIONS[tree.anchor], next });
      case "sequence":
        return tree.parts.reduceRight((following, part) => this.build(part, following), next);
      case "choice":
        return tree.parts.map((part) => this.build(part, next))
          .reduceRight((other, first) => this.add({ kind: "fork", next: first, other }));
      case "repeat":
        return this.#repeat(tree.part, tree.least, tree.most, next);
      case "group":
        return this.#group(tree.number, tree.part, next);
      case "back":
        this.hasBackReference = true;
        return this.add({ kind: "back", group: tree.group, next });
    }
  }

  #group(group: number, part: Node, next: number): number {
    const close = this.add({ kind: "close", group, next });
    return this.add({ kind: "open", group, next: this.build(part, close) });
  }

  /** Expands an interval: the part as often as required, then as often as allowed. */
  #repeat(part: Node, least: number, most: number, next: number): number {
    let first = next;
    if (most === Infinity) {
      const fork: State = { kind: "fork", next: 0, other: next };
      first = this.add(fork);
      fork.next = this.build(part, first);
    } else {
      for (let i = least; i < most; i++) {
        first = this.add({ kind: "fork", next: this.build(part, first), other: next });
      }
    }
    for (let i = 0; i < least; i++) {
      const following = first;
      first = this.build(part, following);
      // A part without states stays empty, however often it is repeated.
      if (first === following) break;
    }
    return first;
  }
}

/** Follows all paths at once: each state is visited at most once per byte of the subject. */
function simulate({ states, start }: Program, subject: Uint8Array): boolean {
  const seen = new Int32Array(states.length).fill(-1);
  let current: number[] = [];
  for (let at = 0; at <= subject.length; at++) {
    // A match may begin anywhere.
    current.push(start);
    const following: number[] = [];
    while (current.length > 0) {
      const number = current.pop()!;
      if (seen[number] === at) continue;
      seen[number] = at;
      const state = states[number]!;
      switch (state.kind) {
        case "match":
          return true;
        case "set":
          if (at < subject.length && state.set[subject[at]!] === 1) following.push(state.next);
          break;
        case "anchor":
          if (state.holds(subject, at)) current.push(state.next);
          break;
        case "fork":
          current.push(state.other, state.next);
          break;
        default:
          current.push(state.next);
      }
    }
    current = following;
  }
  return false;
}

/** What each group has matched: start and end, two numbers per group. */
type Captures = readonly (number | undefined)[];

/** Tries one path after another, because what a group has matched depends on the path. */
function backtrack({ states, start }: Program, subject: Uint8Array): boolean {
  const seen = new Set<string>();
  const ways: { number: number; at: number; captures: Captures }[] = [];
  for (let at = subject.length; at >= 0; at--) ways.push({ number: start, at, captures: [] });
  for (let steps = 0; ways.length > 0; steps++) {
    if (steps === MAX_STEPS) throw new RegexError("back-references that take too many steps");
    const { number, at, captures } = ways.pop()!;
    const state = states[number]!;
    const go = (next: number, to = at, now = captures) => {
      ways.push({ number: next, at: to, captures: now });
    };
    switch (state.kind) {
      case "match":
        return true;
      case "set":
        if (at < subject.length && state.set[subject[at]!] === 1) go(state.next, at + 1);
        break;
      case "anchor":
        if (state.holds(subject, at)) go(state.next);
        break;
      case "fork": {
        // Only here can paths meet again or loop.
        const key = `${number} ${at} ${captures}`;
        if (seen.has(key)) break;
        seen.add(key);
        go(state.other);
        go(state.next);
        break;
      }
      case "back": {
        const from = captures[2 * state.group];
        const to = captures[2 * state.group + 1];
        if (from === undefined || to === undefined) break;
        const length = to - from;
        const same = subject.subarray(from, to).every((byte, i) => byte === subject[at + i]);
        if (same) go(state.next, at + length);
        break;
      }
      default:
        go(
          state.next,
          at,
          capture(captures, 2 * state.group + (state.kind === "open" ? 0 : 1), at),
        );
    }
  }
  return false;
}

function capture(captures: Captures, index: number, at: number): Captures {
  const now = captures.slice();
  while (now.length < index) now.push(undefined);
  now[index] = at;
  return now;
}
