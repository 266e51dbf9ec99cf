// The table of errors, and the output of the real `auks -D`.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { dumpTable } from "../../../lib/auks/dump_table.ts";
import {
  AUKS_ERRORS,
  AuksError,
  type AuksErrorName,
  auksExitStatus,
} from "../../../lib/auks/errors.ts";

const { commands } = JSON.parse(
  readFileSync(join(import.meta.dirname, "../../auks/reference/commands.json"), "utf8"),
) as { commands: { command: string; stdout: string; stderr: string; status: number }[] };

test("no failure has the status of success, and no number is used twice", () => {
  const codes = Object.values(AUKS_ERRORS).map(([code]) => code);
  assert.equal(codes.length, 121);
  assert.equal(new Set(codes).size, codes.length);
  for (const code of codes) assert.equal(auksExitStatus(code) === 0, code === 0, `${code}`);
  assert.equal(auksExitStatus(-100_608), 1);
  assert.equal(auksExitStatus(-256), 1);
});

test("every command line of the reference ends with a text and a status of the table", () => {
  let count = 0;
  for (const { command, stderr, status } of commands) {
    const [, text] = /^Auks API (?:request|init) failed : (.*)\n/m.exec(stderr) ?? [];
    if (text === undefined) continue;
    count++;
    const names = (Object.keys(AUKS_ERRORS) as AuksErrorName[])
      .filter((name) => AUKS_ERRORS[name][1] === text);
    assert(names.length > 0, `${command}: ${text}`);
    const statuses = names.map((name) => new AuksError(name).status);
    assert(statuses.includes(status), `${command}: ${text}, ${status}`);
  }
  assert(count > 40, `${count}`);
});

test("an error has the original's number and text, and a reason if there is one", () => {
  const error = new AuksError("CRED_EXPIRED", "3 hours ago");
  assert.deepEqual(
    [error.code, error.status, error.text, error.reason, error.message],
    [
      -100_312,
      40,
      "auks cred : credential expired",
      "3 hours ago",
      "auks cred : credential expired (3 hours ago)",
    ],
  );
  assert.equal(new AuksError("GENERIC").message, "generic error");
});

test("the table of auks -D is that of the original", () => {
  const listing = commands.find(({ command, stdout }) =>
    /^auks -D/.test(command) && stdout.split("\n").length > 4
  );
  assert(listing !== undefined);
  const lines = listing.stdout.split("\n").slice(0, -2);
  const credentials = lines.slice(1).map((line) => {
    const [uid, principal] = line.split(/ +/);
    const times = { starttime: 1, endtime: 2, renewTill: 3, addressless: true, crossrealm: false };
    return { uid: Number(uid), principal: principal!, ...times };
  });
  assert.deepEqual(dumpTable(credentials, () => "ISO-TIME"), lines);
  const [, row] = dumpTable([{ ...credentials[0]!, uid: 1, principal: "p" }], String);
  assert.equal(row, `1${" ".repeat(10)}p${" ".repeat(34)}1 2 3`);
});
