// Text from a daemon, a credential or a name service, as the commands print it: never as terminal control sequences.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import {
  formatDecodeResponse,
  formatEncodeResponse,
  formatStatusResponse,
} from "../../lib/protocol/message.ts";
import { MAIN } from "../harness/programs.ts";

const HOSTILE = "\x1b]52;c;Zm9v\x07\x1b[2J\x9b31m";
const SHOWN = "\\x1b]52;c;Zm9v\\x07\\x1b[2J\\x9b31m";

/** Output of a command that asks a daemon with the same answer to every request. */
async function ask(args: readonly string[], answer: Uint8Array): Promise<string> {
  const directory = mkdtempSync(join(tmpdir(), "mungebox-"));
  const path = join(directory, "socket");
  const server = createServer((client) => {
    client.on("error", () => {});
    client.once("data", () => client.end(answer));
  });
  await new Promise<void>((listening) => server.listen(path, listening));
  try {
    const child = spawn(process.execPath, [MAIN, ...args, `--socket=${path}`]);
    let output = "";
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding("utf8").on("data", (text: string) => output += text);
    }
    child.stdin.end("MUNGE:x:\n");
    await new Promise((closed) => child.once("close", closed));
    return output;
  } finally {
    server.close();
    rmSync(directory, { recursive: true });
  }
}

const DECODED = {
  cipher: 4,
  mac: 5,
  zip: 0,
  ttl: 300,
  originAddress: new Uint8Array(4),
  encodeTime: 0,
  decodeTime: 0,
  uid: 0,
  gid: 0,
  uidRestriction: 0xffff_ffff,
  gidRestriction: 0xffff_ffff,
  payload: new Uint8Array(0),
};

test("munge prints a daemon's error", async () => {
  const error = { errno: 1, errorText: HOSTILE, credential: new Uint8Array(0) };
  const output = await ask(["munge", "-n"], formatEncodeResponse(error, 0));
  assert.equal(output, `munge: Error: ${SHOWN}\n`);
});

test("unmunge prints a daemon's error", async () => {
  const error = { ...DECODED, errno: 14, errorText: HOSTILE, realm: "" };
  const output = await ask(["unmunge"], formatDecodeResponse(error, 0));
  assert.equal(output, `unmunge: Error: ${SHOWN}\n`);
});

test("unmunge prints a credential's realm", async () => {
  const response = { ...DECODED, errno: 0, errorText: "", realm: HOSTILE };
  const output = await ask(["unmunge", "-k", "REALM"], formatDecodeResponse(response, 0));
  assert.equal(output, `REALM:           ${SHOWN}\n\n`);
});

test("remunge prints a daemon's error", async () => {
  const error = { errno: 1, errorText: HOSTILE, credential: new Uint8Array(0) };
  const output = await ask(["remunge", "-N", "1"], formatEncodeResponse(error, 0));
  assert.ok(output.includes(`failed: ${SHOWN} (err=1)\n`), output);
});

for (const option of ["--json", "--verbose"]) {
  test(`munged --status ${option} prints a daemon's messages`, async () => {
    const message = { time: HOSTILE, level: "error", text: HOSTILE };
    const status = {
      ...{ version: HOSTILE, compatible_version: "0", pid: 1, start_time: 0, uptime_seconds: 0 },
      ...{ requests: { encode: {}, decode: {}, cut_off: 0 }, requests_per_second: 0 },
      ...{
        duration: { timed: 0, sampling: 1 },
        workers: [],
        replay: null,
        replay_store: null,
        socket: { held_by_manager: false, taken_over_from: null },
        algorithms: {},
        refused_by_policy: {},
        resident_bytes: 0,
      },
      ...{ realms: [], messages: [message], hints: [HOSTILE] },
    };
    const answer = formatStatusResponse(JSON.stringify(status), 0);
    const output = await ask(["munged", "--status", option], answer);
    assert.match(output, /52;c;Zm9v/);
    assert.match(output, /^[ -~\n]+$/);
  });
}

test("munged --status reports a malformed answer", async () => {
  const output = await ask(["munged", "--status"], formatStatusResponse("<html>", 0));
  assert.match(output, /^munged: Error: The munged at ".+" gave no valid status\n$/);
});
