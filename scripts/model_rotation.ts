// How long to wait between the steps of a key rotation: a model, its answers on the command line, and its plot. It covers
// what is not confirmed host by host; docs/rotation.md says how to confirm, and what these waits mean.
//   bun scripts/model_rotation.ts [--hosts=INT] [--delay=SECS] [--failures=RATE] [--ttl=SECS] [--drift=SECS] [--skew=SECS]
//                                 [--risk=PROBABILITY] [--svg=PATH]
import { writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { plotRotation } from "./model_rotation_plot.ts";

/** A fleet, and how its hosts carry out a step. */
export interface Fleet {
  readonly hosts: number;
  /** Mean seconds from the start of a step until a host has carried it out; the delays are exponential. */
  readonly delay: number;
  /** Probability that a host does not carry a step out at all. */
  readonly failures: number;
  /** Seconds for which a credential is valid, and by which munged lets clocks differ beyond that. */
  readonly ttl: number;
  readonly drift: number;
  /** Seconds by which a clock may differ from the true time. */
  readonly skew: number;
}

/** Probability that not all hosts have carried out a step `wait` seconds after its start. */
export function unfinished({ hosts, delay, failures }: Fleet, wait: number): number {
  if (wait <= 0) return 1;
  const undone = failures + (1 - failures) * Math.exp(-wait / delay);
  return -Math.expm1(hosts * Math.log1p(-undone));
}

/** The inverse of {@linkcode unfinished}; infinite if failures alone make that more probable than `risk`. */
export function waitFor({ hosts, delay, failures }: Fleet, risk: number): number {
  const undone = -Math.expm1(Math.log1p(-risk) / hosts);
  const late = (undone - failures) / (1 - failures);
  return late <= 0 ? Infinity : -delay * Math.log(late);
}

/** Age at which no host accepts a credential any more, whatever its clock says. */
export function oldestCredential({ ttl, drift, skew }: Fleet): number {
  return ttl + drift + 2 * skew;
}

/**
 * Probability that a credential is refused if promoting starts `wait` seconds after staging: a host that has promoted
 * sends to one that has not staged.
 */
export function refusedAfterStaging(fleet: Fleet, wait: number): number {
  return unfinished(fleet, wait);
}

/**
 * Probability that a credential is refused if a retired key decodes for `rotationTime` seconds: the last host to promote
 * has made it with the old key, and the first one has given that up.
 */
export function refusedAfterPromoting(fleet: Fleet, rotationTime: number): number {
  return unfinished(fleet, rotationTime - oldestCredential(fleet));
}

/** The waits with which a refusal is no more probable than `risk`, which they share. */
export function plan(fleet: Fleet, risk: number): { wait: number; rotationTime: number } {
  const each = waitFor(fleet, risk / 2);
  return { wait: each, rotationTime: each + oldestCredential(fleet) };
}

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

if (import.meta.main) main();
