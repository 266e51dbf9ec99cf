// auksd's log lines about failed connections, which anybody can cause in any number.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Connection } from "../../../daemon/auksd/connection.ts";
import { Journal } from "../../../daemon/auksd/journal.ts";
import type { Role } from "../../../lib/auks/acl.ts";

/** A journal, and the lines that it has written at a level. */
function journal(level = 2) {
  const lines: string[] = [];
  const record = (each: number, text: string) => {
    if (each === level) lines.push(text);
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

  it("writes a few lines about what it accepts from each user, and all about an admin's requests", () => {
    const { journal: own, lines } = journal(1);
    const add = (principal: string, role: Role) =>
      own.requestFinished({
        kind: "add",
        requester: { principal, role, address: "192.0.2.1" },
        added: { principal, uid: 2001, outcome: "stored", endtime: 0, renewTill: 0 },
      });
    for (let i = 0; i < 1000; i++) add("alice@REALM.A", "user");
    assert.equal(lines.length, 10);
    for (let i = 0; i < 1000; i++) add(`user${i}@REALM.A`, "guest");
    assert(lines.length > 1000, `${lines.length} lines`);
    const before = lines.length;
    for (let i = 0; i < 1000; i++) add("host/mngt.realm.a@REALM.A", "admin");
    assert.equal(lines.length, before + 1000);
    assert.equal(own.requests.get("add stored"), 3000);
  });
});
