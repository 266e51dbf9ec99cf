// The fuzzer's command (scripts/fuzz): runs targets one after another, and leaves a finding in a file.
import { readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { Finding, runCase, runTarget, type Target } from "./target.ts";
import { TARGETS } from "./targets.ts";

const DEFAULT_SECONDS = 10;
/** How many bytes the heap may differ by without counting as growth. */
const MOST_GROWTH = 16_777_216;

const { values, positionals: names } = parseArgs({
  allowPositionals: true,
  options: {
    case: { type: "string" },
    list: { type: "boolean", default: false },
    runs: { type: "string" },
    seconds: { type: "string", default: `${DEFAULT_SECONDS}` },
    seed: { type: "string", default: `${Math.floor(Date.now() / 1000)}` },
  },
});

function fail(message: string): never {
  console.error(`scripts/fuzz: Error: ${message}`);
  process.exit(1);
}

function numberOf(option: string, text: string): number {
  if (!/^\d{1,12}$/.test(text)) fail(`--${option} takes a number, not "${text}"`);
  return Number(text);
}

const unknown = names.find((name) => !TARGETS.some((target) => target.name === name));
if (unknown !== undefined) fail(`Unknown target "${unknown}" (--list names them)`);
const chosen = names.length === 0 ? TARGETS : TARGETS.filter(({ name }) => names.includes(name));

if (values.list) {
  console.log(TARGETS.map(({ name }) => name).join("\n"));
} else if (values.case !== undefined) {
  const [target, second] = chosen;
  if (target === undefined || second !== undefined) fail("--case takes one target");
  const refused = runCase(target, new Uint8Array(readFileSync(values.case)));
  console.log(`${target.name}: ${refused ? "refused" : "accepted"}`);
} else {
  const seed = numberOf("seed", values.seed);
  console.log(`seed ${seed}`);
  let isDone = false;
  process.on("exit", () => {
    if (isDone || process.exitCode) return;
    console.error("scripts/fuzz: Error: a target has ended the program");
    process.exitCode = 1;
  });
  for (const target of chosen) await report(target, seed);
  isDone = true;
}

async function report(target: Target, seed: number): Promise<void> {
  const ms = 1000 * numberOf("seconds", values.seconds) / chosen.length;
  const most = values.runs === undefined ? Infinity : numberOf("runs", values.runs);
  const deadline = values.runs === undefined ? performance.now() + ms : Infinity;
  try {
    const { runs, refused, growth } = await runTarget(
      target,
      seed,
      (count) => count >= most || performance.now() > deadline,
    );
    const kept = `heap ${growth < 0 ? "" : "+"}${Math.round(growth / 1024)} KiB`;
    console.log(
      `${target.name}: ${runs} runs, ${refused} refused, ${runs - refused} accepted, ${kept}`,
    );
    if (growth > MOST_GROWTH) fail(`${target.name} keeps ${growth} bytes of what it has read`);
  } catch (error) {
    if (!(error instanceof Finding)) throw error;
    const path = join(tmpdir(), `fuzz-${target.name}-${seed}`);
    writeFileSync(path, error.bytes, { mode: 0o600 });
    console.error(error.message);
    fail(
      `${target.name}, seed ${seed}: see it again with scripts/fuzz --case ${path} ${target.name}`,
    );
  }
}
