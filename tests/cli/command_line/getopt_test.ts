// The parser of command lines, case by case.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { getopt, GetoptError, type OptionSyntax } from "../../../cli/command_line/getopt.ts";

const OPTIONS: readonly OptionSyntax[] = [
  { short: "n", long: "no-input" },
  { short: "s", long: "string", argument: "STR" },
  { short: "u", long: "restrict-uid", argument: "UID" },
  { short: "g", long: "restrict-gid", argument: "GID" },
  { short: "f", long: "force" },
  { long: "force-all" },
  { long: "strict", addition: true },
  { long: "key-file", argument: "PATH" },
];

/** The parsed command line in words: `string=x`, `no-input`, `(parameter)`; the first mistake ends it. */
function walk(...args: string[]): string[] {
  const steps: string[] = [];
  try {
    getopt(OPTIONS, args, {
      option: ({ long, argument }, value) =>
        steps.push(argument === undefined ? long : `${long}=${value}`),
      parameter: (word) => steps.push(`(${word})`),
    });
  } catch (error) {
    assert(error instanceof GetoptError);
    steps.push(`${error.problem} ${error.word} ${error.option}`);
  }
  return steps;
}

const CASES: readonly (readonly [string, string[], string[]])[] = [
  ["takes short options one by one", ["-n", "-s", "x"], ["no-input", "string=x"]],
  ["takes clustered short options", ["-nsx"], ["no-input", "string=x"]],
  ["takes an argument that looks like an option", ["-s", "-n"], ["string=-n"]],
  ["takes -- as an argument", ["-s", "--", "-n"], ["string=--", "no-input"]],
  ["takes --long=value and --long value", ["--string=a=b", "--string", "c"], [
    "string=a=b",
    "string=c",
  ]],
  ["takes an abbreviation for what it means in the reference", ["--str=x"], ["string=x"]],
  ["takes an abbreviation of an option that only ours has", ["--stric"], ["strict"]],
  ["takes an empty value", ["--string=", "-s", ""], ["string=", "string="]],
  ["takes unambiguous abbreviations", ["--str=x", "--no"], ["string=x", "no-input"]],
  ["prefers the exact name", ["--force"], ["force"]],
  ["refuses an ambiguous abbreviation", ["--restrict=1"], [
    "invalid --restrict=1 --restrict=1",
  ]],
  ["returns parameters last", ["a", "-n", "b"], ["no-input", "(a)", "(b)"]],
  ["ends options at --", ["-n", "--", "-n"], ["no-input", "(-n)"]],
  ["takes - as a parameter", ["-", ""], ["(-)", "()"]],
  ["acts on the options before a mistake", ["-nx"], ["no-input", "invalid -x -x"]],
  ["refuses unknown long options", ["--xyz=3"], ["invalid --xyz=3 --xyz=3"]],
  ["refuses an argument for an option that takes none", ["--no=x"], ["unexpected --no=x -n"]],
  ["reports a missing argument", ["--str"], ["missing --str --str"]],
  ["reports a missing argument in a cluster", ["-ns"], ["no-input", "missing -s -s"]],
  ["knows long options without a short form", ["--key-file=/k"], ["key-file=/k"]],
];

describe("getopt()", () => {
  for (const [name, args, expected] of CASES) {
    it(name, () => assert.deepEqual(walk(...args), expected));
  }
});
