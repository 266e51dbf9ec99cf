// Encodes with a number of calls in flight and prints the rate per second; scripts/benchmarks/library.ts runs this in each
// runtime.
//   library_load SOCKET IN-FLIGHT|sync SECONDS WARM-UP-SECONDS
import { encode, encodeSync } from "../../mod.ts";

const [socketPath = "", width = "1", seconds = "1", warmUp = "1"] = process.argv.slice(2);
let deadline = 0;
let made = 0;

async function caller(): Promise<void> {
  for (; performance.now() < deadline; made++) await encode("", { socketPath });
}

function callInTurn(): void {
  for (; performance.now() < deadline; made++) encodeSync("", { socketPath });
}

/** Encodes for this long. Returns encodes per second. */
async function measure(milliseconds: number): Promise<number> {
  const start = performance.now();
  deadline = start + milliseconds;
  made = 0;
  if (width === "sync") callInTurn();
  else await Promise.all(Array.from({ length: Number(width) }, caller));
  return made / (performance.now() - start) * 1000;
}

await measure(Number(warmUp) * 1000); // for the runtimes' compilers
console.log((await measure(Number(seconds) * 1000)).toFixed(0));
