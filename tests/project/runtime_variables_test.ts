// Every environment variable that the runtime reads through libc, found in its machine code. Those with an effect must be
// closed, so that a new version of the runtime can't add one unnoticed.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { Elf } from "../../scripts/runtime/elf.ts";
import { CLOSED_PREFIXES } from "../../scripts/runtime/entry.ts";

/** Variables of the system that have the same meaning in every program, ours included. */
const OF_THE_SYSTEM = [
  ...["HOME", "LANG", "LC_ALL", "LC_MESSAGES", "PATH", "PWD", "SHELL", "TZ", "USER"],
  ...["TEMP", "TERM", "TMP", "TMPDIR", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME"],
  ...["COLORFGBG", "COLORTERM", "COLUMNS", "FORCE_COLOR", "NO_COLOR"],
  ...["HOSTALIASES", "LOCALDOMAIN", "RES_OPTIONS", "SSL_CERT_DIR", "SSL_CERT_FILE"],
];

/**
 * Variables read only by parts that we don't use: the package manager, the test runner, `bun upgrade`, the REPL, the
 * resolver of node:dns, other systems.
 */
const OF_UNUSED_PARTS = [
  ...["AC_APPCIRCLE", "AGENT", "AGOLA_GIT_REF", "APPVEYOR", "BUILD_ID", "BUILD_NUMBER", "CI"],
  ...["CI_APP_ID", "CI_COMMIT_SHA", "CI_JOB_URL", "CLAUDECODE", "CLAUDE_CODE_AGENT_RULE_DISABLED"],
  ...["CODEBUILD_BUILD_ARN", "CURSOR_AGENT_RULE_DISABLED", "CURSOR_TRACE_ID", "DO_NOT_TRACK"],
  ...["GITHUB_ACTIONS", "GITHUB_REPOSITORY", "GITHUB_RUN_ID", "GITHUB_SERVER_URL", "GITHUB_SHA"],
  ...["GITHUB_WORKSPACE", "GIT_SHA", "IS_BUN_AUTO_UPDATE", "REPL_ID", "RUNNER_DEBUG"],
  ...["ANDROID_ROOT", "CARES_HOSTS", "DYLD_INSERT_LIBRARIES", "GOMAXPROCS"],
  ...["GHOSTTY_RESOURCES_DIR", "KITTY_WINDOW_ID", "TERM_PROGRAM", "TMUX", "ZDOTDIR", "fpath"],
  ...["npm_lifecycle_event", "npm_package_json"],
];

const PROGRAM_HEADER_LENGTH = 56;
const LOAD = 1;
const EXECUTABLE = 1;
/** Number of bytes before a call in which its argument is set. */
const LOOK_BACK = 40;
/** Calls whose argument is computed: look-ups of any name, which starts with BUN_ or comes from the program. */
const MOST_COMPUTED = 11;

/** Executable segments: their places in the file and in memory. */
function codeOf(runtime: Buffer): { start: number; end: number; address: number }[] {
  const table = Number(runtime.readBigUInt64LE(32));
  return Array.from({ length: runtime.readUInt16LE(56) }, (_, index) => {
    const at = table + index * PROGRAM_HEADER_LENGTH;
    const start = Number(runtime.readBigUInt64LE(at + 8));
    return {
      isCode: runtime.readUInt32LE(at) === LOAD && (runtime.readUInt32LE(at + 4) & EXECUTABLE) > 0,
      start,
      end: start + Number(runtime.readBigUInt64LE(at + 32)),
      address: Number(runtime.readBigUInt64LE(at + 16)),
    };
  }).filter(({ isCode }) => isCode);
}

/** Offsets in `bytes` of possible instructions that begin with `opcode`. */
function* find(bytes: Buffer, opcode: readonly number[], start: number, end: number) {
  const wanted = Buffer.from(opcode);
  for (
    let at = bytes.indexOf(wanted, start);
    at >= 0 && at < end - 6;
    at = bytes.indexOf(wanted, at + 1)
  ) yield at;
}

/** The names that the runtime passes to getenv() and secure_getenv(). */
function variablesOf(runtime: Buffer): { names: Set<string>; computed: number } {
  const elf = new Elf(runtime);
  const slots = [elf.slot("getenv"), elf.slot("secure_getenv")];
  const names = new Set<string>();
  let computed = 0;
  const segments = codeOf(runtime);
  const stubs = new Set<number>();
  for (const { start, end, address } of segments) {
    for (const at of find(runtime, [0xff, 0x25], start, end)) { // jmp *slot(%rip)
      const here = address + at - start;
      if (slots.includes(here + 6 + runtime.readInt32LE(at + 2))) stubs.add(here);
    }
  }
  assert.equal(stubs.size, slots.length);
  for (const { start, end, address } of segments) {
    for (const opcode of [0xe8, 0xe9]) { // call, jmp
      for (const at of find(runtime, [opcode], start, end)) {
        if (!stubs.has(address + at - start + 5 + runtime.readInt32LE(at + 1))) continue;
        const name = argumentBefore(runtime, elf, at);
        if (name === undefined) computed++;
        else names.add(name);
      }
    }
  }
  return { names, computed };
}

/** The constant string last loaded into the first argument's register before a call, if any. */
function argumentBefore(runtime: Buffer, elf: Elf, call: number): string | undefined {
  for (let at = call - 5; at >= call - LOOK_BACK; at--) {
    if (runtime[at] !== 0xbf) continue; // mov $address,%edi
    try {
      const start = elf.offset(runtime.readUInt32LE(at + 1));
      const text = runtime.toString("latin1", start, runtime.indexOf(0, start));
      if (/^\w*$/.test(text)) return text;
    } catch {
      // not an address
    }
  }
  return undefined;
}

const skip = process.platform !== "linux" || process.arch !== "x64";

test(
  "every variable that the runtime reads is closed or known to be harmless",
  { skip },
  () => {
    const { names, computed } = variablesOf(readFileSync(process.execPath));
    assert.ok(names.size > 500, `${names.size}`);
    assert.ok(names.has("BUN_BYTECODE_ORDER_OUT"));
    assert.ok(names.has("BUN_CRASH_REPORT_URL"));
    assert.ok(computed <= MOST_COMPUTED, `${computed}`);
    const closed = CLOSED_PREFIXES.map((prefix) => prefix.slice(0, 8).toLowerCase());
    const known = new Set(["", ...OF_THE_SYSTEM, ...OF_UNUSED_PARTS]);
    const open = [...names].filter((name) =>
      !known.has(name) && !closed.some((prefix) => name.toLowerCase().startsWith(prefix))
    );
    assert.deepEqual(open.sort(), []);
  },
);

test("no variable of the system is removed", () => {
  for (const name of OF_THE_SYSTEM) {
    assert.ok(
      !CLOSED_PREFIXES.some((prefix) =>
        name.toLowerCase().startsWith(prefix.slice(0, 8).toLowerCase())
      ),
      name,
    );
  }
});
