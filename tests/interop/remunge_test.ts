// remunge where the reference differs: interrupted, and on a terminal.
import assert from "node:assert/strict";
import { test } from "node:test";
import { needs, runOurs } from "./sandboxed.ts";

const DONE = /Processed [1-9]\d* credentials in \d+\.\d{3}s \([1-9]\d* creds\/sec\)/;

test("remunge reports its progress when interrupted", needs(), async () => {
  const { output, whole } = await runOurs(`
start
timeout --preserve-status --signal=INT 3 remunge --duration=30s
echo $?`);
  assert.match(output.at(-2) ?? "", DONE, whole);
  assert.equal(output.at(-1), "130", whole);
});

test("remunge --quiet prints the rate when interrupted", needs(), async () => {
  const { output, whole } = await runOurs(`
start
timeout --preserve-status --signal=INT 3 remunge --quiet --duration=30s`);
  assert.match(output.join("\n"), /^[1-9]\d*$/, whole);
});

test(
  "remunge shows rate and remaining time on a terminal, and erases them at the end",
  needs("/usr/bin/script"),
  async () => {
    const { output, whole } = await runOurs(`
start
script --quiet --return --command 'remunge --duration=3s' /dev/null </dev/null | tr '\\r\\033' '\\nE'`);
    const shown = output.filter((line) => / left$/.test(line));
    assert.ok(shown.length >= 1, whole);
    for (const line of shown) assert.match(line, /^E\[K\d+ creds\/sec, \d seconds? left$/);
    assert.match(output.filter(Boolean).at(-1) ?? "", DONE, whole);
  },
);

test("remunge shows no progress without a terminal", needs(), async () => {
  const { whole } = await runOurs("start; remunge --duration=2s");
  assert.doesNotMatch(whole, / left$/m);
});

test("remunge --warn-time reports each credential that took longer", needs(), async () => {
  const { whole } = await runOurs(`
start; read -r pid </run/munge/munged.pid
remunge --warn-time=1 --duration=6s &
remunge=$!
await sh -c 'munged --status | grep -q "^ENCODE: *[1-9]"'
kill -STOP $pid; sleep 1.6; kill -CONT $pid
wait $remunge`);
  assert.match(whole, /^1> .* Credential #\d+ encoding took [1-9]\.\d{3} seconds$/m);
});
