// The benchmarks and their options: one table, from which options are parsed and help is printed. The file that each
// benchmark names says what it measures.
import { parseArgs, type ParseArgsConfig } from "node:util";

/** An option of a benchmark. */
interface BenchOption {
  /** What its value stands for; without one, the option is a switch. */
  readonly value?: "N" | "TEXT" | "FILE" | "DIR" | `${string}|${string}`;
  readonly default?: string;
  readonly help: string;
}

/** A benchmark, which is chosen by an option of its own name, except the first. */
interface Benchmark {
  readonly help: string;
  readonly script: string;
  readonly options: Readonly<Record<string, BenchOption>>;
}

const ROUNDS = { value: "N", help: "rounds, each of which measures everything in turn" } as const;
const SECONDS = { value: "N", default: "2", help: "seconds for each measurement" } as const;

/** All benchmarks. */
export const BENCHMARKS = {
  munged: {
    help: "our munged beside the C one and the kernel's floor",
    script: "scripts/benchmarks/munged.ts",
    options: {
      rounds: { ...ROUNDS, default: "11" },
      only: { value: "TEXT", default: "", help: "only figures with this text in their names" },
      json: { value: "FILE", help: "write all samples to a file" },
      write: { help: "update docs/benchmarks.md" },
    },
  },
  library: {
    help: "the library in each runtime beside libmunge",
    script: "scripts/benchmarks/library.ts",
    options: {
      rounds: { ...ROUNDS, default: "3" },
      seconds: SECONDS,
      munged: { value: "ours|reference", default: "ours", help: "which munged they ask" },
    },
  },
  auks: {
    help: "our auksd",
    script: "scripts/benchmarks/auks.ts",
    options: {
      rounds: { ...ROUNDS, default: "5" },
      seconds: SECONDS,
      only: { value: "rates|idle|memory", help: "only this part" },
      "cache-dir": { value: "DIR", help: "where to keep the tickets, to measure another disk" },
    },
  },
  "replay-store": {
    help: "munged with and without a replay store",
    script: "scripts/benchmarks/replay_store.ts",
    options: {
      rounds: { ...ROUNDS, default: "7" },
      seconds: SECONDS,
      write: { help: "update that section of docs/benchmarks.md" },
    },
  },
} as const satisfies Record<string, Benchmark>;

/** The name of a benchmark. */
export type BenchName = keyof typeof BENCHMARKS;

/** The values of a benchmark's options: text, or whether a switch is set. */
export type BenchValues<Name extends BenchName> = {
  readonly [Option in keyof (typeof BENCHMARKS)[Name]["options"]]:
    (typeof BENCHMARKS)[Name]["options"][Option] extends { readonly value: string }
      ? (typeof BENCHMARKS)[Name]["options"][Option] extends { readonly default: string } ? string
      : string | undefined
      : boolean;
};

/** A mistake on the command line: one line for the user. */
export class BenchUsage extends Error {}

/**
 * Parses the options of a benchmark.
 *
 * @throws {BenchUsage} for an unknown option, or an invalid value.
 */
export function parseBenchOptions<Name extends BenchName>(
  name: Name,
  args: readonly string[],
): BenchValues<Name> {
  const table: Benchmark["options"] = BENCHMARKS[name].options;
  const { values } = parsed(args, table);
  for (const [option, { value: form }] of Object.entries(table)) {
    const value = values[option];
    if (typeof value === "string" && !isValid(value, form!)) {
      const wanted = form === "N" ? "a number above 0" : form!.replaceAll("|", " or ");
      throw new BenchUsage(`Invalid value "${value}" of --${option}: it must be ${wanted}`);
    }
  }
  return values as BenchValues<Name>;
}

function parsed(args: readonly string[], table: Benchmark["options"]) {
  const options: NonNullable<ParseArgsConfig["options"]> = {};
  for (const [name, { value, default: preset }] of Object.entries(table)) {
    options[name] = value === undefined
      ? { type: "boolean", default: false }
      : { type: "string", ...(preset === undefined ? {} : { default: preset }) };
  }
  try {
    return parseArgs({ args: [...args], options, strict: true });
  } catch (error) {
    throw new BenchUsage((error as Error).message.split(/\. |\n/, 1)[0]);
  }
}

function isValid(value: string, form: NonNullable<BenchOption["value"]>): boolean {
  if (form === "N") return Number(value) > 0 && Number.isFinite(Number(value));
  return !form.includes("|") || form.split("|").includes(value);
}

/** Like {@linkcode parseBenchOptions}, for this process's options; a mistake ends it with one line and status 2. */
export function benchOptions<Name extends BenchName>(name: Name): BenchValues<Name> {
  return orUsage(() => parseBenchOptions(name, process.argv.slice(2)));
}

/** Runs `task`; a mistake on the command line ends the process with one line and status 2. */
export function orUsage<Result>(task: () => Result): Result {
  try {
    return task();
  } catch (error) {
    if (!(error instanceof BenchUsage)) throw error;
    console.error(`bench: ${error.message}`);
    process.exit(2);
  }
}

/** The benchmark that a command line chooses, and the options after it. */
export function chosenBenchmark(args: readonly string[]): [name: BenchName, rest: string[]] {
  const [first = "", ...rest] = args;
  const name = first.replace(/^--/, "");
  if (first.startsWith("--") && name !== "munged" && Object.hasOwn(BENCHMARKS, name)) {
    return [name as BenchName, rest];
  }
  return ["munged", [...args]];
}

/** The help text. */
export function benchHelp(): string {
  const lines = ["Usage: scripts/bench [BENCHMARK] [OPTION]...", ""];
  for (const [name, { help, options }] of Object.entries<Benchmark>(BENCHMARKS)) {
    lines.push(`${name === "munged" ? "without BENCHMARK" : `--${name}`}: ${help}`);
    for (const [option, { value, default: preset, help }] of Object.entries(options)) {
      const left = `  --${option}${value === undefined ? "" : `=${value}`}`;
      lines.push(`${left.padEnd(30)}${help}${preset ? ` (${preset})` : ""}`);
    }
    lines.push("");
  }
  lines.push("--help: print this");
  return lines.join("\n") + "\n";
}
