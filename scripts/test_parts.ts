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

/** A part that runs all test files below these folders in Bun. */
function bunTests(
  name: string,
  folders: readonly string[],
  more: Pick<Part, "lane" | "onlyByName"> = {},
): Part {
  const command = ["bun", "test", "--timeout", `${TIME_LIMIT_MS}`, ...testFiles(...folders)];
  return { name, ...more, command, counts: "bun" };
}

/** All parts, in the order in which they run. */
export const PARTS: readonly Part[] = [
  { name: "format", command: ["deno", "fmt", "--check"] },
  { name: "lint", command: ["deno", "lint"] },
  { name: "types", command: ["tsc", "--noEmit"] },
  { name: "build", command: ["bun", "scripts/build.ts"] },
  bunTests("idle", ["tests/idle"], { lane: "idle" }),
  bunTests("engine", ["tests/engine"]),
  bunTests("auks", ["tests/auks"], { lane: "waiting" }),
  bunTests("replay store", ["tests/replay_store"], { lane: "waiting" }),
  bunTests("fleet", ["tests/fleet"], { lane: "waiting" }),
  bunTests("packaging", ["tests/packaging"], { lane: "waiting" }),
  bunTests("doctor", ["tests/doctor"], { lane: "waiting" }),
  bunTests("unit", [
    "tests/lib",
    "tests/cli",
    "tests/daemon",
    "tests/fuzz",
    "tests/vectors",
    "tests/project",
  ]),
  { name: "fuzz", command: ["scripts/fuzz", "--seconds", "60"] },
  bunTests("interop", ["tests/interop"]),
  bunTests("places", ["tests/places"]),
  { name: "soak", command: ["scripts/soak", "1"] },
  bunTests("docs", ["tests/docs"]),
  { name: "build library", command: ["bun", "scripts/build_lib.ts"] },
  bunTests("mod (bun)", ["tests/mod"]),
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
  bunTests("package", ["tests/package"]),
  bunTests("musl", ["tests/musl"], { onlyByName: true }),
  bunTests("vm", ["tests/vm"], { onlyByName: true }),
];
