// scripts/bench: its help, and what it says about mistakes. Nothing is measured here.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { BENCHMARKS, parseBenchOptions } from "../../scripts/benchmarks/options.ts";

function bench(...args: string[]) {
  return spawnSync("scripts/bench", args, { encoding: "utf8", timeout: 300_000 });
}

test("scripts/bench --help prints every option in plain text", () => {
  const { status, stdout, stderr } = bench("--help");
  assert.equal(status, 0);
  assert.equal(stderr, "");
  for (const [name, { options }] of Object.entries(BENCHMARKS)) {
    if (name !== "munged") assert.match(stdout, new RegExp(`^--${name}: `, "m"));
    for (const option of Object.keys(options)) {
      assert.match(stdout, new RegExp(`^  --${option}[= ]`, "m"));
    }
  }
  assert.equal(bench("--auks", "--help").stdout, stdout);
});

test("scripts/bench answers a mistake with one line and status 2, before it builds anything", () => {
  const cases: readonly (readonly [args: readonly string[], text: string])[] = [
    [["--foo"], "bench: Unknown option '--foo'\n"],
    [["--library", "--json=x"], "bench: Unknown option '--json'\n"],
    [["--library", "more"], "bench: Unexpected argument 'more'\n"],
    [["--rounds=x"], 'bench: Invalid value "x" of --rounds: it must be a number above 0\n'],
    [
      ["--library", "--munged=other"],
      'bench: Invalid value "other" of --munged: it must be ours or reference\n',
    ],
  ];
  for (const [args, text] of cases) {
    const { status, stdout, stderr } = bench(...args);
    assert.deepEqual({ status, stdout, stderr }, { status: 2, stdout: "", stderr: text });
  }
});

test("parseBenchOptions() has the defaults that the help names", () => {
  assert.deepEqual({ ...parseBenchOptions("library", ["--rounds", "5"]) }, {
    rounds: "5",
    seconds: "2",
    munged: "ours",
  });
  assert.equal(parseBenchOptions("replay-store", ["--write"]).write, true);
});
