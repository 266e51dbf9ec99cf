// auksd's metrics: all are documented, and Prometheus's checker accepts the file.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { test } from "node:test";
import { AuksError } from "../../../lib/auks/errors.ts";
import type { Connection } from "../../../daemon/auksd/connection.ts";
import { Journal } from "../../../daemon/auksd/journal.ts";
import { METRICS, type MetricsSources } from "../../../daemon/auksd/metrics.ts";
import { formatMetrics } from "../../../daemon/process/prometheus.ts";

const DOCUMENTATION = join(resolve(import.meta.dirname, "../../.."), "docs/auks.md");
const PROMTOOL = "/usr/bin/promtool";

function sources(): { sources: MetricsSources; lines: string[] } {
  const lines: string[] = [];
  const journal = new Journal(() => ({
    info: (_level, text) => void lines.push(text),
    debug: () => {},
    reopen: () => {},
  }));
  const requester = { principal: "bob@REALM.A", role: "user", address: "127.0.0.1" } as const;
  journal.requestFinished({ kind: "ping", requester });
  for (let at = 0; at < 8; at++) {
    journal.requestFinished({ kind: "get", requester, error: new AuksError("LIBRARY_NOT_FOUND") });
  }
  const connection = { remoteText: "192.0.2.1" } as Connection;
  journal.connectionFailed(connection, { kind: "timeout", seconds: 10 });
  const store = { size: 3 } as MetricsSources["store"];
  const server = { accepted: 5, size: 2 } as MetricsSources["server"];
  return { sources: { journal, store, server }, lines };
}

test("every metric is documented", () => {
  const text = readFileSync(DOCUMENTATION, "utf8");
  for (const { name } of METRICS) assert(text.includes(`\`${name}\``), name);
});

test("the values are the daemon's", () => {
  const text = formatMetrics(METRICS, sources().sources);
  assert.match(text, /^auksd_requests_total\{kind="get",result="notFound"\} 8$/m);
  assert.match(text, /^auksd_requests_total\{kind="ping",result="success"\} 1$/m);
  assert.match(text, /^auksd_failed_connections_total\{cause="timeout"\} 1$/m);
  assert.match(text, /^auksd_credentials 3$/m);
});

test("promtool accepts them", { skip: !existsSync(PROMTOOL) && "needs prometheus" }, () => {
  const { status, stderr, stdout } = spawnSync(PROMTOOL, ["check", "metrics"], {
    input: formatMetrics(METRICS, sources().sources),
    encoding: "utf8",
  });
  assert.equal(status, 0, stdout + stderr);
});

test("refusals cause at most five audit lines of each kind per minute", () => {
  const { lines } = sources();
  assert.equal(lines.filter((line) => line.startsWith("audit: Refused get: cause=")).length, 5);
  assert.equal(lines.filter((line) => line.includes("get request failed")).length, 8);
});
