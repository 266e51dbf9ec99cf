// Load for the engine's tests: stalling clients in a separate process, and remunge.
import assert from "node:assert/strict";
import { spawn, type SpawnOptions } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { median } from "../../scripts/benchmarks/statistics.ts";
import type { Realm } from "../harness/realm.ts";
import type { Make } from "../harness/programs.ts";
import type { StallerReport } from "./stallers.ts";

/** The user that stalling clients run as: an unprivileged one, if we may choose. */
export const NOBODY = process.geteuid!() === 0 ? { uid: 65_534, gid: 65_534 } : {};

/** Stalling clients that can be turned on and off. */
export class Stallers {
  readonly #child;
  readonly #lines: AsyncIterator<string>;

  /** @param kind of stalling, from stallers.ts; a mix of all if undefined. */
  constructor(socket: string, count: number, kind?: string) {
    const file = join(import.meta.dirname, "stallers.ts");
    const words = [file, socket, String(count), ...(kind === undefined ? [] : [kind])];
    this.#child = spawn(process.execPath, words, { stdio: ["pipe", "pipe", "inherit"], ...NOBODY });
    this.#lines = lines(this.#child.stdout);
  }

  /** Opens all connections, and keeps them open from now on. */
  async start(): Promise<void> {
    this.#child.stdin.write("on\n");
    assert.equal((await this.#lines.next()).value, "on");
  }

  /** Closes all connections. */
  async pause(): Promise<StallerReport> {
    this.#child.stdin.write("off\n");
    return JSON.parse((await this.#lines.next()).value);
  }

  async stop(): Promise<void> {
    const ended = once(this.#child, "exit");
    this.#child.stdin.end();
    await ended;
  }
}

/**
 * The median over pairs of measurements. A busy machine disturbs some pairs, so if the median is out of bounds, as many
 * pairs again are added, up to three times; what is really out of bounds stays so.
 */
export async function medianOfPairs(
  pairs: number,
  bound: { readonly least: number } | { readonly most: number },
  measure: () => Promise<number>,
): Promise<number> {
  const values: number[] = [];
  for (let turn = 0;; turn++) {
    for (let pair = 0; pair < pairs; pair++) values.push(await measure());
    const value = median(values);
    const isWithin = "least" in bound ? value >= bound.least : value <= bound.most;
    if (isWithin || turn === 3) {
      assert(isWithin, `median ${value} of ${values.map((each) => each.toFixed(2)).join(" ")}`);
      return value;
    }
  }
}

/**
 * Repeats a measurement that a fault would put far out of bounds until it is within bounds: a busy machine disturbs some
 * measurements, but a fault shows in every one.
 */
export async function leastOf(
  { most, tries = 8 }: { readonly most: number; readonly tries?: number },
  measure: () => Promise<number>,
): Promise<void> {
  const values: number[] = [];
  do {
    assert(values.length < tries, `none of ${values.map((each) => each.toFixed(2)).join(" ")}`);
    values.push(await measure());
  } while (values.at(-1)! > most);
}

async function* lines(stream: AsyncIterable<Buffer>): AsyncGenerator<string> {
  let text = "";
  for await (const piece of stream) {
    const parts = (text + piece).split("\n");
    text = parts.pop()!;
    yield* parts;
  }
}

/** Credentials per second that our remunge gets from a daemon. */
export async function measureRate(realm: Realm, socket: string, seconds: number): Promise<number> {
  const { out, err } = await runProgram(realm, "ours", "remunge", [
    `--socket=${socket}`,
    `--duration=${seconds}`,
    "--num-threads=4",
    "--quiet",
  ]);
  assert.match(out, /^\d+\n$/, err);
  return Number(out);
}

/** Runs a program without blocking this process, which meanwhile reads the daemons' logs. */
export async function runProgram(
  realm: Realm,
  make: Make,
  name: string,
  args: readonly string[],
  options: Pick<SpawnOptions, "timeout" | "uid" | "gid"> = {},
): Promise<{ status: number | null; out: string; err: string }> {
  const child = spawn(realm.program(make, name), args, {
    timeout: 300_000,
    cwd: "/",
    ...options,
    stdio: "pipe",
  });
  child.stdin.end();
  let out = "";
  let err = "";
  child.stdout.setEncoding("latin1").on("data", (text: string) => out += text);
  child.stderr.setEncoding("latin1").on("data", (text: string) => err += text);
  const [status] = await once(child, "close");
  return { status, out, err };
}
