// The collection's files agree with each other and with the project, and ansible-lint finds nothing in them.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { it } from "node:test";
import { VERSION } from "../../lib/version.ts";
import { suite } from "../suite.ts";

const COLLECTION = resolve(import.meta.dirname, "../../packaging/ansible");
const ROLE = join(COLLECTION, "roles/mungebox");
const read = (path: string) => readFileSync(path, "utf8");

it("the collection has the project's version", () => {
  assert.match(read(join(COLLECTION, "galaxy.yml")), new RegExp(`^version: ${VERSION}$`, "m"));
});

it("every setting of the role has a default and a description", () => {
  const described = [...read(join(ROLE, "meta/argument_specs.yml")).matchAll(/^ {6}(\w+):$/gm)];
  const defaults = [...read(join(ROLE, "defaults/main.yml")).matchAll(/^(\w+):/gm)];
  const names = (matches: RegExpExecArray[]) => matches.map(([, name]) => name).sort();
  assert.deepEqual(names(described), names(defaults));
});

it("every task that copies a key from the controller hides its arguments and result", () => {
  const files = readdirSync(join(ROLE, "tasks")).map((name) => join(ROLE, "tasks", name));
  const copies = files.flatMap((file) =>
    read(file).split(/^ *- name: /m).filter((task) => task.includes("ansible.builtin.copy:"))
  );
  assert.equal(copies.length, 3);
  for (const task of copies) {
    assert.match(task, /^ *no_log: true$/m, task);
    assert.match(task, /^ *diff: false$/m, task);
  }
  const all = files.map(read).join("");
  assert.doesNotMatch(all, /ansible\.builtin\.(?:slurp|fetch|set_fact)|lookup\(/);
});

suite("ansible-lint", { "ansible-lint": existsSync("/usr/bin/ansible-lint") }, () => {
  it("finds nothing", () => {
    const { status, stdout, stderr } = spawnSync("ansible-lint", ["--nocolor"], {
      cwd: COLLECTION,
      encoding: "utf8",
    });
    assert.equal(status, 0, stdout + stderr);
    assert.match(stderr, /Passed with production profile: 0 failure\(s\), 0 warning\(s\)/);
  });
});
