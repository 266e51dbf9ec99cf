// How long to wait between the steps of a key rotation, as rotation_model.ts computes it. The waits are for steps that
// are not confirmed host by host; docs/rotation.md says how to confirm them, and what these waits mean.
//   bun scripts/model_rotation.ts [--hosts=INT] [--delay=SECS] [--failures=RATE] [--ttl=SECS] [--drift=SECS] [--skew=SECS]
//                                 [--risk=PROBABILITY] [--svg=PATH]
import { writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { plotRotation } from "./rotation_plot.ts";
import { type Fleet, plan, unfinished } from "./rotation_model.ts";

function number(value: string, name: string, isValid: (value: number) => boolean): number {
  const result = Number(value);
  if (value.trim() !== "" && Number.isFinite(result) && isValid(result)) return result;
  console.error(`model_rotation: Error: Option "--${name}" has invalid value "${value}"`);
  process.exit(1);
}

function main(): void {
  const { values } = parseArgs({
    options: {
      hosts: { type: "string", default: "10000" },
      delay: { type: "string", default: "60" },
      failures: { type: "string", default: "0" },
      ttl: { type: "string", default: "3600" },
      drift: { type: "string", default: "0" },
      skew: { type: "string", default: "1" },
      risk: { type: "string", default: "1e-6" },
      svg: { type: "string" },
    },
  });
  const atLeast = (least: number) => (value: number) => value >= least;
  const isProbability = (value: number) => value > 0 && value < 1;
  const fleet: Fleet = {
    hosts: number(values.hosts, "hosts", (value) => value >= 2 && Number.isInteger(value)),
    delay: number(values.delay, "delay", (value) => value > 0),
    failures: number(values.failures, "failures", (value) => value >= 0 && value < 1),
    ttl: number(values.ttl, "ttl", atLeast(1)),
    drift: number(values.drift, "drift", atLeast(0)),
    skew: number(values.skew, "skew", atLeast(0)),
  };
  const risk = number(values.risk, "risk", isProbability);
  if (values.svg !== undefined) writeFileSync(values.svg, plotRotation(fleet));
  const { wait, rotationTime } = plan(fleet, risk);
  if (wait === Infinity) {
    const least = unfinished(fleet, Infinity);
    console.log(`No wait helps: with probability ${least.toPrecision(3)} a host misses the step.`);
    console.log("Confirm each step on every host, as rotate.yml does, before the next.");
    return;
  }
  console.log(`wait before promoting   ${Math.ceil(wait)} s`);
  console.log(`key-rotation-time       ${Math.ceil(rotationTime)} s`);
}

main();
