// The file with metrics for Prometheus.
import assert from "node:assert/strict";
import { existsSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import { test } from "node:test";
import { keepMetricsFile } from "../../../daemon/process/prometheus.ts";
import { withDirectory } from "../../harness/scratch.ts";

test("a metrics file that can't be removed is reported, and ends nothing", () => {
  withDirectory((directory) => {
    const path = `${directory}/metrics`;
    const complaints: string[] = [];
    const keep = () => keepMetricsFile(path, () => "x 1\n", (text) => complaints.push(text));
    const stop = keep();
    assert.equal(readFileSync(path, "utf8"), "x 1\n");
    stop();
    assert(!existsSync(path));
    const stopAgain = keep();
    rmSync(path);
    mkdirSync(path);
    stopAgain();
    assert.deepEqual(complaints, [`Failed to remove metrics file "${path}": Is a directory`]);
  });
});
