// Warnings about regular expressions in auks.acl that admit, or exclude, more than their author may have intended.
import { ANY, type Node, parseExpression } from "./posix_regex_syntax.ts";

/**
 * Warnings for the administrator about an expression.
 *
 * @param expression a valid expression.
 * @param text the expression as text, for the warnings.
 * @returns one sentence per warning.
 *
 * @example
 * ```ts
 * import { expressionWarnings } from "./lib/auks/expression_warnings.ts";
 *
 * const text = "^bob@REALM.A$";
 * const [warning] = expressionWarnings(new TextEncoder().encode(text), text);
 * console.log(warning?.slice(0, 45)); // "a dot in ^bob@REALM.A$ matches any character;"
 * ```
 */
export function expressionWarnings(expression: Uint8Array, text: string): string[] {
  if (text === "") return ["an empty expression matches every principal"];
  const tree = parseExpression(expression);
  const warnings: string[] = [];
  if (!isAtEdge(tree, "^") || !isAtEdge(tree, "$")) {
    warnings.push(`not all of ${text} is between ^ and $, so it also matches longer names`);
  }
  if (hasPlainDot(tree)) {
    warnings.push(`a dot in ${text} matches any character; a dot itself is [.] or \\.`);
  }
  if (hasAlnumOnly(tree)) {
    warnings.push(
      `${text} matches no name with -, _ or . where it has [[:alnum:]]; [[:alnum:]_.-] does`,
    );
  }
  return warnings;
}

/** Whether every match begins at ^, or ends at $. */
function isAtEdge(tree: Node, edge: "^" | "$"): boolean {
  switch (tree.kind) {
    case "anchor":
      return tree.anchor === edge;
    case "sequence": {
      const part = tree.parts.at(edge === "^" ? 0 : -1);
      return part !== undefined && isAtEdge(part, edge);
    }
    case "choice":
      return tree.parts.every((part) => isAtEdge(part, edge));
    case "group":
      return isAtEdge(tree.part, edge);
    case "repeat":
      return tree.least > 0 && isAtEdge(tree.part, edge);
    default:
      return false;
  }
}

function partsOf(tree: Node): readonly Node[] {
  return "parts" in tree ? tree.parts : "part" in tree ? [tree.part] : [];
}

/** A repeated dot is meant to match any character. */
function hasPlainDot(tree: Node): boolean {
  if (tree.kind === "repeat" && isDot(tree.part)) return false;
  return isDot(tree) || partsOf(tree).some(hasPlainDot);
}

function isDot(tree: Node): boolean {
  return tree.kind === "set" && tree.set === ANY;
}

/** Repeated letters and digits, as in the HOWTO for user names. */
function hasAlnumOnly(tree: Node): boolean {
  const isFound = tree.kind === "repeat" && tree.most === Infinity && isAlnum(tree.part);
  return isFound || partsOf(tree).some(hasAlnumOnly);
}

function isAlnum(tree: Node): boolean {
  return tree.kind === "set" &&
    tree.set.every((bit, byte) => (bit === 1) === /[0-9A-Za-z]/.test(String.fromCharCode(byte)));
}
