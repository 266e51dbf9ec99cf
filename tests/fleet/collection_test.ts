// The collection's files agree with each other and with the project, and ansible-lint finds nothing in them.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { after, before, it } from "node:test";
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

const PLAYBOOK = `
- hosts: all
  gather_facts: false
  tasks: [{ ansible.builtin.ping: }]
- hosts: all
  gather_facts: false
  any_errors_fatal: true
  tasks:
    - ansible.builtin.include_role: { name: mungebox.cluster.mungebox, tasks_from: rotate_everyone }
`;

suite("the playbooks", { "ansible-core": existsSync("/usr/bin/ansible-playbook") }, () => {
  let directory: string;
  const run = (program: string, ...args: string[]) =>
    spawnSync(program, args, {
      cwd: directory,
      encoding: "utf8",
      env: {
        ...process.env,
        ANSIBLE_COLLECTIONS_PATH: directory,
        ANSIBLE_NOCOLOR: "1",
        ANSIBLE_REMOTE_USER: "root",
      },
    });
  before(() => {
    directory = mkdtempSync("/tmp/mungebox-ansible-");
    const installed = run("ansible-galaxy", "collection", "install", "-p", directory, COLLECTION);
    assert.equal(installed.status, 0, installed.stdout + installed.stderr);
    const here = "ansible_connection=local ansible_python_interpreter=/usr/bin/python3";
    writeFileSync(join(directory, "hosts.ini"), `[munge]\nhere ${here}\n`);
    writeFileSync(
      join(directory, "both.ini"),
      `[munge]\nhere ${here}\nlost ansible_host=127.0.0.1 ansible_port=1\n`,
    );
    writeFileSync(join(directory, "play.yml"), PLAYBOOK);
  });
  after(() => rmSync(directory, { recursive: true, force: true }));

  it("do not continue a rotation without a host that was lost in an earlier play", () => {
    const all = run("ansible-playbook", "-i", "hosts.ini", "play.yml");
    assert.equal(all.status, 0, all.stdout + all.stderr);
    const fewer = run("ansible-playbook", "-i", "both.ini", "play.yml");
    assert.equal(fewer.status, 2, fewer.stdout + fewer.stderr);
    assert.match(fewer.stdout, /Lost on the way: lost\. All hosts accept both keys/);
  });

  it("say what is missing if there is no mungebox on the controller", () => {
    const { status, stdout } = run(
      "ansible-playbook",
      ...["-i", "hosts.ini", "--check", "-e", "mungebox_source=/nonexistent"],
      "mungebox.cluster.install",
    );
    assert.equal(status, 2, stdout);
    assert.match(stdout, /\/nonexistent\/dist\/mungebox does not run on the controller\. Set /);
  });
});
