// auksd's log lines about failed connections, which anybody can cause in any number.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Connection } from "../../../daemon/auksd/connection.ts";
import { Journal } from "../../../daemon/auksd/journal.ts";

/** A journal, and the lines that it has written at level 2. */
function journal() {
  const lines: string[] = [];
  const record = (level: number, text: string) => {
    if (level === 2) lines.push(text);
  };
  const log = { info: record, debug: () => {}, reopen: () => {} };
  return { journal: new Journal(() => log), lines };
}

const from = (remoteText: string) => ({ remoteText }) as Connection;
const DENIED = { kind: "denied", principal: "mallory@REALM.A" } as const;

describe("Journal", () => {
  it("writes a few lines for each cause and address, and counts all", () => {
    const { journal: own, lines } = journal();
    for (let i = 0; i < 1000; i++) own.connectionFailed(from("192.0.2.1"), DENIED);
    assert.equal(lines.length, 10);
    assert.equal(lines[0], "worker[1] : access denied to mallory@REALM.A, aborting");
    own.connectionFailed(from("192.0.2.2"), DENIED);
    own.connectionFailed(from("192.0.2.1"), { kind: "timeout", seconds: 10 });
    assert.equal(lines.length, 12);
    assert.equal(own.failures.get("denied"), 1001);
  });

  it("writes some kilobytes a second at most, however many addresses cause them", () => {
    const { journal: own, lines } = journal();
    for (let i = 0; i < 10_000; i++) own.connectionFailed(from(`2001:db8::${i}`), DENIED);
    assert(lines.length > 20 && lines.join("\n").length < 12_000, `${lines.length} lines`);
  });
});
