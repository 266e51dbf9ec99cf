// What doctor learns from the command line of the process that holds munged's lock.
import assert from "node:assert/strict";
import { it } from "node:test";
import { mungedOptions } from "../../../cli/doctor/lock.ts";

it("munged's options are found however they are written", () => {
  assert.deepEqual(
    mungedOptions(["-F", "--log-file", "/l", "--seed=/s", "-S/sock", "--num-threads=3", "stray"]),
    ["--foreground", "--log-file=/l", "--seed-file=/s", "--socket=/sock", "--num-threads=3"],
  );
  assert.deepEqual(mungedOptions(["container", "-v", "--nonsense", "--syslog"]), ["--verbose"]);
});
