// The words from which the option tables are made.
import assert from "node:assert/strict";
import { test } from "node:test";
import { parseOptions, type Usage } from "../../../cli/command_line/options.ts";
import {
  addition,
  bytes,
  choice,
  flag,
  named,
  option,
  parsed,
  parseNames,
  text,
} from "../../../cli/command_line/vocabulary.ts";

interface Settings {
  quiet: boolean;
  mode: "fast" | "slow";
  path: string | undefined;
  count: number;
  user: string | undefined;
  payload: Uint8Array | undefined;
  words: string[];
}

const USAGE: Usage<Settings> = {
  groups: [[
    flag("-q, --quiet", "Be quiet", "quiet"),
    choice("--slow", "Take time", "mode", "slow"),
    text("-p, --path=PATH", "Specify a path", "path"),
    parsed("-c, --count=INT", "Specify a count", "count", Number),
    named("-u, --user=USER", "Specify a user", "user", (name) => name),
    bytes("-s, --string=STR", "Specify a payload", "payload"),
    addition(option("--word=WORD", "Add a word", ({ words }, value) => void words.push(value))),
  ]],
};

test("names are read as --help shows them", () => {
  assert.deepEqual(parseNames("-o, --output=PATH"), {
    short: "o",
    long: "output",
    argument: "PATH",
  });
  assert.deepEqual(parseNames("--realm=NAME=PATH"), {
    short: undefined,
    long: "realm",
    argument: "NAME=PATH",
  });
  assert.deepEqual(parseNames("-n, --no-input"), {
    short: "n",
    long: "no-input",
    argument: undefined,
  });
  assert.deepEqual(parseNames("--json"), { short: undefined, long: "json", argument: undefined });
});

test("each word of the vocabulary does what it says", () => {
  const settings: Settings = {
    quiet: false,
    mode: "fast",
    path: undefined,
    count: 1,
    user: undefined,
    payload: undefined,
    words: [],
  };
  const args = [
    "-q",
    "--slow",
    "-p",
    "x",
    "--count=7",
    "-uj\udcf6rg",
    "-s\udcff",
    "--word=a",
    "--word",
    "b",
  ];
  parseOptions("test", USAGE, settings, args);
  assert.deepEqual(settings, {
    quiet: true,
    mode: "slow",
    path: "x",
    count: 7,
    user: "j\udcf6rg",
    payload: Uint8Array.of(0xff),
    words: ["a", "b"],
  });
  assert.throws(() => parseOptions("test", USAGE, settings, ["--path=\udcff"]), /not in UTF-8/);
  assert.throws(() => parseOptions("test", USAGE, settings, ["--\udcff"]), /not in UTF-8/);
});
