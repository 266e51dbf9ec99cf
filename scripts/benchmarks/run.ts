// The benchmark command: builds the executable, then runs the benchmark that the command line chooses (options.ts).
import { benchHelp, BENCHMARKS, chosenBenchmark, orUsage, parseBenchOptions } from "./options.ts";

const args = process.argv.slice(2);
if (args.includes("--help") || args.includes("-h")) {
  process.stdout.write(benchHelp());
  process.exit(0);
}
const [name, rest] = chosenBenchmark(args);
orUsage(() => parseBenchOptions(name, rest)); // before anything takes time
run(["scripts/build"]);
run([process.execPath, BENCHMARKS[name].script, ...rest]);

function run(command: readonly string[]): void {
  const { exitCode } = Bun.spawnSync([...command], { stdio: ["inherit", "inherit", "inherit"] });
  if (exitCode !== 0) process.exit(exitCode ?? 1);
}
