// Regular expressions of auks.acl against the C library's own regcomp() and regexec(), in a C program compiled for this test.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import fc from "fast-check";
import { compileRegex, type PosixRegex, RegexError } from "../../../lib/auks/posix_regex.ts";
import { suite } from "../../suite.ts";

interface Case {
  readonly expression: string;
  readonly subjects: readonly string[];
}

/** Strings with one character per byte. */
const bytesOf = (text: string) => Uint8Array.from(text, (character) => character.charCodeAt(0));
const wordOf = (text: string) => `x${Buffer.from(text, "latin1").toString("hex")}`;

/** In the probe's notation: "-", or 1 and 0 for each subject. */
function ourOpinion({ expression, subjects }: Case): string {
  let regex: PosixRegex;
  try {
    regex = compileRegex(bytesOf(expression));
  } catch (error) {
    if (error instanceof RegexError) return "-";
    throw error;
  }
  return subjects.map((subject) => regex.test(bytesOf(subject)) ? "1" : "0").join("");
}

const PRINCIPALS = [
  "",
  "bob@REALM.A",
  "bob/admin@REALM.A",
  "host/mngt.realm.a@REALM.A",
  "host/mngtXrealm.a@REALM.A",
  "zo\xc3\xa9@REALM.A",
  "a b\tc",
  "bob_x-1.y@REALM.A",
  "aabb",
  "abab",
  "{}[]()^$|*+?\\.",
];

/** Typical expressions, and corner cases of the syntax. */
const EXPRESSIONS = [
  "",
  "^",
  "$",
  "^$",
  "^^bob",
  "A$$",
  "a^b",
  "a$b",
  "(^bob)",
  "(A$)",
  "x|^bob|y",
  "bob",
  ".",
  "^.*@REALM.A$",
  "^[[:alnum:]]*@REALM.A$",
  "^[[:alnum:]_.-]+@REALM[.]A$",
  "^host/mngt\\.realm\\.a@REALM\\.A$",
  "^(bob|alice)(/admin)?@",
  "^(host/)?[a-z]+[.-]?[a-z]{1,5}@REALM.A$",
  "*",
  "*@REALM.A",
  "+",
  "?",
  "{1}",
  "{",
  "}",
  "a{",
  "a{x}",
  "a{1",
  "a{1,",
  "a{,}",
  "a{,1}b",
  "a{2}",
  "a{2,}",
  "a{0}b",
  "a{0,0}b",
  "a{3,2}",
  "a{32767}",
  "a{32768}",
  "a{}",
  "a{ 1}",
  "a{1}{2}",
  "a**",
  "a*+?",
  "^*",
  "^*bob",
  "$*",
  "\\b*",
  "\\<+",
  "(*a)",
  "(|a)",
  "(a|)",
  "a|",
  "|a",
  "||",
  "()",
  "()*",
  "(",
  "(a",
  ")",
  "a)",
  "(a))",
  "a|*b",
  "a|)",
  "[",
  "[]",
  "[]]",
  "[^]]",
  "[^]",
  "[]a",
  "[a",
  "[a-",
  "[a-]",
  "[-a]",
  "[--a]",
  "[a--]",
  "[+--]",
  "[z-a]",
  "[a-z-9]",
  "[a-c-e]",
  "[[:alpha:]-z]",
  "[[:alpha:]-]",
  "[a-[:alpha:]]",
  "[[:alpha:]",
  "[[:alpha",
  "[[:nonsense:]]",
  "[[:ALPHA:]]",
  "[[::]]",
  "[[.a.]]",
  "[[.-.]]",
  "[[.a.]-c]",
  "[a-[.c.]]",
  "[[.hyphen.]]",
  "[[..]]",
  "[[=a=]]",
  "[[=ab=]]",
  "[[=a=]-c]",
  "[a-[=c=]]",
  "[[.].]]",
  "[[:]",
  "[[.]",
  "[[a]",
  "[a\\]",
  "[\\]]",
  "[\\n]",
  "[^a-z]",
  "[^[:alnum:]]",
  "[^\\]",
  "[a^]",
  "[$]",
  "\\",
  "a\\",
  "\\.",
  "\\/",
  "\\n",
  "\\d",
  "\\w",
  "\\W",
  "\\s",
  "\\S",
  "\\w+@",
  "\\bbob\\b",
  "\\Bob",
  "\\<bob\\>",
  "\\<admin",
  "\\>@",
  "\\`bob",
  "A\\'",
  "\\`",
  "a\\`b",
  "\\{",
  "\\}",
  "\\(",
  "\\|",
  "\\+",
  "\\1",
  "(a)\\1",
  "(a)\\2",
  "(a\\1)",
  "(b)o\\1",
  "^(.)(.)\\1\\2$",
  "^(.*)\\1$",
  "((a)\\2)",
  "()\\1",
  "^(x)?\\1aabb$",
  "^(x)?\\1$",
  "(x)*\\1",
  "(x|(a))\\2",
  "((x)|a)+\\2",
  "\\0",
  "\xe9",
  "zo..@",
  "[\xc3]",
  "[\x80-\xff]",
  "\x01",
  "[[:cntrl:]]",
  "[[:space:]]",
  "[[:blank:]]",
  "[[:punct:]]",
  "[[:print:]]",
  "[[:graph:]]",
  "[[:xdigit:]]",
  "[[:upper:][:digit:]]",
];

const TOKENS = [
  ..."aabb01_@./-",
  ..."abab",
  ".",
  "^",
  "$",
  "*",
  "+",
  "?",
  "(",
  "(",
  ")",
  ")",
  "|",
  "[ab]",
  "[^a]",
  "[[:alnum:]]",
  "[[:punct:]b]",
  "[a-b]",
  "[",
  "]",
  "-",
  "{2}",
  "{1,}",
  "{0,2}",
  "{",
  "}",
  ",",
  "\\",
  "\\w",
  "\\W",
  "\\b",
  "\\B",
  "\\<",
  "\\>",
  "\\`",
  "\\'",
  "\\.",
  "\xe9",
];
/** Arbitrary text, most of which does not compile. */
const soup = fc.array(fc.constantFrom(...TOKENS), { maxLength: 9 }).map((parts) => parts.join(""));
const LEAVES = [..."ab_.-@", ".", "[ab]", "[^a]", "[[:alpha:]]", "\\w", "\\W", "\\S"];
/** Valid expressions with nested constructs. */
const { expression: structured } = fc.letrec<{ expression: string }>((tie) => ({
  expression: fc.oneof(
    { maxDepth: 4 },
    fc.constantFrom(...LEAVES),
    fc.tuple(tie("expression"), tie("expression")).map((two) => two.join("")),
    fc.tuple(tie("expression"), tie("expression")).map(([a, b]) => `(${a}|${b})`),
    fc.tuple(tie("expression"), fc.constantFrom("*", "+", "?", "{2}", "{1,2}", "{0,1}", "{,1}"))
      .map(
        ([part, repeat]) => `(${part})${repeat}`,
      ),
  ),
}));
/** Anchors in between, but not in repeated parts, where the C library finds false matches. */
const anchored = fc.array(
  fc.oneof(
    fc.constantFrom(...LEAVES, ...LEAVES.map((leaf) => `${leaf}*`)),
    fc.constantFrom(
      "^",
      "$",
      "\\b",
      "\\B",
      "\\<",
      "\\>",
      "\\`",
      "\\'",
      "(^|@)",
      "(\\b|a)",
      "($|\\<b)",
    ),
  ),
  { minLength: 1, maxLength: 6 },
).map((parts) => parts.join(""));
/** Back-references to groups matched once. */
const backReference = fc.tuple(
  fc.constantFrom("", "^"),
  fc.constantFrom("(a|b)", "([ab]*)", "(.)", "(ab?)", "(a*)(b*)"),
  fc.constantFrom("", "x", "b*", ".", "[ab]+"),
  fc.constantFrom("\\1", "\\1\\1", "\\1a", "\\1*"),
  fc.constantFrom("", "$"),
).map((parts) => parts.join(""));
const inBrackets = fc.array(
  fc.constantFrom(
    ..."ab-^].[:=\\",
    "[:alpha:]",
    "[.-.]",
    "[=a=]",
    "[:x:]",
    "a-b",
    "[.a.]-b",
    "--",
  ),
  { maxLength: 6 },
).map((parts) => `^[${parts.join("")}]`);
/** Without newlines: a principal is written with \\n for one. */
const subject = fc.array(fc.constantFrom(..."aaabbb01_@./- {[]^\\\xe9"), { maxLength: 8 })
  .map((characters) => characters.join(""));

const RUNS = 6000;
/** A fixed seed, because the C library has bugs of its own in corner cases that few seeds reach. */
const SEED = 16;

suite(
  "our regular expressions agree with the C library's",
  { gcc: existsSync("/usr/bin/gcc") },
  () => {
    let folder = "";
    before(() => {
      folder = mkdtempSync(join(tmpdir(), "auks-regex-"));
      const source = join(import.meta.dirname, "regex_probe.c");
      execFileSync("gcc", [
        "-O1",
        "-Wall",
        "-Wextra",
        "-Werror",
        "-o",
        join(folder, "probe"),
        source,
      ]);
    });
    after(() => rmSync(folder, { recursive: true, force: true }));

    function compare(cases: readonly Case[]): number {
      const input = cases
        .map(({ expression, subjects }) => `${[expression, ...subjects].map(wordOf).join(" ")}\n`)
        .join("");
      const output = execFileSync(join(folder, "probe"), { input, encoding: "latin1" });
      const opinions = output.split("\n").slice(0, -1);
      assert.equal(opinions.length, cases.length);
      cases.forEach((each, i) => {
        assert.equal(ourOpinion(each), opinions[i], JSON.stringify(each));
      });
      return opinions.filter((opinion) => opinion.includes("1")).length;
    }

    test("about typical expressions, and corner cases of the syntax", () => {
      const matching = compare(
        EXPRESSIONS.map((expression) => ({ expression, subjects: PRINCIPALS })),
      );
      assert(matching > 80, `${matching}`);
    });

    test("about which bytes are in each class, and in a word", () => {
      const names = "alnum alpha blank cntrl digit graph lower print punct space upper xdigit";
      const subjects = Array.from({ length: 255 }, (_, i) => String.fromCharCode(i + 1));
      const expressions = [
        ...names.split(" ").map((name) => `^[[:${name}:]]$`),
        ...["^\\w$", "^\\W$", "^\\s$", "^\\S$", "\\<", "^.\\>", "\\b", "^.\\B$", "^.$"],
        ...["[!-~]", "[^!-~]", "[\x80-\xff]"],
      ];
      // A newline ends a line for the C library in some of these; principals have none.
      const all = subjects.filter((byte) => byte !== "\n");
      const matching = compare(expressions.map((expression) => ({ expression, subjects: all })));
      assert.equal(matching, expressions.length);
    });

    for (
      const [name, expressions, least] of [
        ["any tokens", soup, RUNS / 20],
        ["nested constructs", structured, RUNS / 2],
        ["anchors", anchored, RUNS / 4],
        ["back-references", backReference, RUNS / 4],
        ["brackets", inBrackets, RUNS / 10],
      ] as const
    ) {
      test(`about generated expressions: ${name}`, () => {
        const arbitrary = fc.record({
          expression: expressions,
          subjects: fc.array(subject, { minLength: 4, maxLength: 4 }),
        });
        const matching = compare(fc.sample(arbitrary, { numRuns: RUNS, seed: SEED }));
        assert(matching > least, `only ${matching} of ${RUNS} match anything`);
      });
    }
  },
);

test("a dot matches every byte but NUL, which can't be tested with the C library", () => {
  const dot = compileRegex(bytesOf("^.$"));
  for (let byte = 0; byte < 256; byte++) assert.equal(dot.test(Uint8Array.of(byte)), byte !== 0);
});

test("no expression takes long, whatever the subject", () => {
  const long = "a".repeat(127);
  const started = performance.now();
  for (
    const expression of [
      "^(a*)*b$",
      "^(a|a)*b$",
      "^(a|aa)+(a|aa)+(a|aa)+b$",
      "^((a?){50}){50}b$",
      "^(.*.*.*.*.*.*.*.*)*b$",
      "^(a|aa|aaa)*\\1b$",
    ]
  ) assert.equal(compileRegex(bytesOf(expression)).test(bytesOf(long)), false, expression);
  // With back-references, the steps are limited.
  const steps = compileRegex(bytesOf("^(a*)(a*)(a*)(a*)(a*)\\1\\2\\3\\4\\5b$"));
  assert.throws(() => steps.test(bytesOf(long)), RegexError);
  const seconds = (performance.now() - started) / 1000;
  assert(seconds < 20, `${seconds} s`);
});

test("an expression made too large by its intervals is refused quickly", () => {
  for (const expression of ["(a{1000}){1000}", "((a?){300}){300}", "a{32767}{32767}{32767}"]) {
    assert.throws(() => compileRegex(bytesOf(expression)), RegexError, expression);
  }
  // An empty expression stays empty, however often it is repeated.
  assert(compileRegex(bytesOf("a{0}{32767}{32767}{32767}")).test(bytesOf("b")));
  assert.throws(() => compileRegex(bytesOf("(".repeat(1000) + ")".repeat(1000))), RegexError);
});
