// The child of auks-step begin that runs as the job's user, as its parent sees it. The user can stop it, or replace a cache
// with a pipe or a hanging file system, so nothing waits for it longer than the caller says.
import { setTimeout as sleep } from "node:timers/promises";
import { ownCommand } from "../../../lib/os/thread_file.ts";
import { printError } from "../../command_line/print.ts";
import { type KeepAnswer, parseAnswer } from "./answer.ts";
import type { StepSettings } from "./settings.ts";

/** Longer than any valid answer of the child, which the user may influence. */
const MAX_LINE_LENGTH = 16_384;
/** How long to wait for its exit and its last messages. */
const EXIT_TIMEOUT_MS = 1_000;

/** A running child. */
export class Keeper {
  readonly #child;
  readonly #answers: AsyncGenerator<string>;
  readonly #told: Promise<void>;

  constructor(settings: StepSettings) {
    this.#child = Bun.spawn(keepCommand(settings), {
      argv0: "auks-step",
      // Its default cache is the user's, not the host's.
      env: { ...process.env, KRB5CCNAME: undefined },
      // It does not inherit our standard error, because the plugin waits until every copy of that is closed.
      stdio: ["pipe", "pipe", "pipe"],
    });
    this.#answers = linesOf(this.#child.stdout);
    this.#told = passOn(this.#child.stderr);
  }

  /** Its next answer. @param limitMs after which the answer is "late", and the child is killed. */
  async next(limitMs: number): Promise<KeepAnswer> {
    const answer = this.#answers.next().then(({ value }) => parseAnswer(value));
    const found = await Promise.race([answer, sleep(limitMs, { kind: "late" } as const)]);
    if (found.kind === "late") this.#child.kill("SIGKILL");
    return found;
  }

  /** Hands over the user's ticket. */
  async give(krbCred: Uint8Array): Promise<void> {
    this.#child.stdin.write(krbCred);
    await this.#child.stdin.end();
  }

  /** Waits for its end and its last messages, but not for long. Returns its exit status, if it has one. */
  async finish(): Promise<number | undefined> {
    const ended = Promise.all([this.#child.exited, this.#told]).then(([status]) => status);
    return await Promise.race([ended, sleep(EXIT_TIMEOUT_MS, undefined)]);
  }
}

function keepCommand({ uid, gid, job, step, ccache, found, recorded, noSwitch }: StepSettings) {
  return [
    ...ownCommand(),
    "keep",
    `--uid=${uid}`,
    `--gid=${gid}`,
    `--job=${job}`,
    `--step=${step}`,
    `--ccache=${ccache}`,
    `--found=${found}`,
    `--recorded=${recorded}`,
    ...noSwitch ? ["--no-switch"] : [],
  ];
}

async function* linesOf(stream: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  let text = "";
  const decoder = new TextDecoder();
  for await (const chunk of stream) {
    text += decoder.decode(chunk, { stream: true });
    for (let end = text.indexOf("\n"); end >= 0; end = text.indexOf("\n")) {
      yield text.slice(0, end);
      text = text.slice(end + 1);
    }
    if (text.length > MAX_LINE_LENGTH) return;
  }
}

async function passOn(stream: ReadableStream<Uint8Array>): Promise<void> {
  const decoder = new TextDecoder();
  for await (const chunk of stream) printError(decoder.decode(chunk, { stream: true }));
}
