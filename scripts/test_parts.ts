// The parts of the test command: what each runs, and beside which others.
import { readdirSync } from "node:fs";

/**
 * Lanes run side by side; the parts of a lane run one after the other, in the order of the table. A lane starts when main
 * reaches its first part, so the parts of main that measure come before the first waiting one. The output of main is
 * printed as it comes, that of any other part once it and the part of main beside it have ended.
 */
export type Lane =
  | "main"
  /** Parts that mostly wait, for time to pass or for other processes. */
  | "waiting"
  /** Parts that only wait, and so do not even disturb those that measure. */
  | "idle";

/** A part. */
export interface Part {
  readonly name: string;
  /** Set for a part that takes several minutes by itself, and runs only when it is named. */
  readonly onlyByName?: true;
  /** By default, main. */
  readonly lane?: Lane;
  readonly command: readonly string[];
  /** The runner that prints the counts; a part without one is a single test, decided by its exit status. */
  readonly counts?: "bun" | "node" | "deno";
}

/** All test files below these folders; they use node:test, which every runtime has. */
function testFiles(...folders: readonly string[]): string[] {
  return folders.flatMap((folder) =>
    readdirSync(folder, { recursive: true, encoding: "utf8" })
      .filter((name) => name.endsWith("_test.ts"))
      .map((name) => `./${folder}/${name}`)
  ).sort();
}

/** This only ends tests that hang; no test relies on it. Under load, a test of one minute can take ten. */
const TIME_LIMIT_MS = 1_200_000;
const BUN_TEST = ["bun", "test", "--timeout", `${TIME_LIMIT_MS}`];

/** All parts, in the order in which they run. */
export const PARTS: readonly Part[] = [
  { name: "format", command: ["deno", "fmt", "--check"] },
  { name: "lint", command: ["deno", "lint"] },
  { name: "types", command: ["tsc", "--noEmit"] },
  { name: "build", command: ["bun", "scripts/build.ts"] },
  {
    name: "idle",
    lane: "idle",
    command: [...BUN_TEST, ...testFiles("tests/idle")],
    counts: "bun",
  },
  { name: "engine", command: [...BUN_TEST, ...testFiles("tests/engine")], counts: "bun" },
  {
    name: "auks",
    lane: "waiting",
    command: [...BUN_TEST, ...testFiles("tests/auks")],
    counts: "bun",
  },
  {
    name: "replay store",
    lane: "waiting",
    command: [...BUN_TEST, ...testFiles("tests/replay_store")],
    counts: "bun",
  },
  {
    name: "fleet",
    lane: "waiting",
    command: [...BUN_TEST, ...testFiles("tests/fleet")],
    counts: "bun",
  },
  {
    name: "packaging",
    lane: "waiting",
    command: [...BUN_TEST, ...testFiles("tests/packaging")],
    counts: "bun",
  },
  {
    name: "doctor",
    lane: "waiting",
    command: [...BUN_TEST, ...testFiles("tests/doctor")],
    counts: "bun",
  },
  {
    name: "unit",
    command: [
      ...BUN_TEST,
      ...testFiles(
        "tests/lib",
        "tests/cli",
        "tests/daemon",
        "tests/fuzz",
        "tests/vectors",
        "tests/project",
      ),
    ],
    counts: "bun",
  },
  { name: "fuzz", command: ["scripts/fuzz", "--seconds", "60"] },
  { name: "interop", command: [...BUN_TEST, ...testFiles("tests/interop")], counts: "bun" },
  { name: "places", command: [...BUN_TEST, ...testFiles("tests/places")], counts: "bun" },
  { name: "soak", command: ["scripts/soak", "1"] },
  {
    name: "docs",
    command: [...BUN_TEST, ...testFiles("tests/docs")],
    counts: "bun",
  },
  { name: "build library", command: ["bun", "scripts/build_lib.ts"] },
  { name: "mod (bun)", command: [...BUN_TEST, ...testFiles("tests/mod")], counts: "bun" },
  {
    name: "mod (deno)",
    command: ["deno", "test", "--allow-all", "--no-check", ...testFiles("tests/mod")],
    counts: "deno",
  },
  { name: "build library tests", command: ["bun", "scripts/build_node_tests.ts"] },
  {
    name: "mod (node)",
    command: [
      "node",
      "--test",
      ...testFiles("tests/mod").map((path) =>
        path.replace("./tests/mod/", "dist/node-tests/").replace(/ts$/, "js")
      ),
    ],
    counts: "node",
  },
  { name: "package", command: [...BUN_TEST, ...testFiles("tests/package")], counts: "bun" },
  {
    name: "musl",
    onlyByName: true,
    command: [...BUN_TEST, ...testFiles("tests/musl")],
    counts: "bun",
  },
  {
    name: "vm",
    onlyByName: true,
    command: [...BUN_TEST, ...testFiles("tests/vm")],
    counts: "bun",
  },
];
