// Every command in README.md and docs/ works as written. blocks.ts finds the commands, and nodes.ts runs them.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { after, before, describe, it } from "node:test";
import { CAUSES } from "../../cli/doctor/causes.ts";
import type { Place } from "../../cli/doctor/place.ts";
import { APPLETS } from "../../cli/applets.ts";
import { USAGE as DOCTOR } from "../../cli/doctor/doctor.ts";
import { USAGE as HEALTH } from "../../cli/health.ts";
import { type OptionSyntax } from "../../cli/command_line/getopt.ts";
import { AUKS_COMMANDS, COMMANDS } from "../../scripts/manual/commands.ts";
import { MUNGEBOX } from "../harness/programs.ts";
import { NETWORK_NEEDS } from "../network.ts";
import { suite } from "../suite.ts";
import { type Block, readBlocks } from "./blocks.ts";
import { Nodes } from "./nodes.ts";

const ROOT = resolve(import.meta.dirname, "../..");
/** The pages that start without a realm; the others start with a running one. */
const BARE = ["README.md", "CONTRIBUTING.md", "docs/install.md"];
const TIMEOUT_MS = 900_000;

const PAGES = [
  "README.md",
  "CONTRIBUTING.md",
  "CHANGELOG.md",
  ...readdirSync(join(ROOT, "docs")).filter((name) => name.endsWith(".md")).map((name) =>
    `docs/${name}`
  ),
].filter((page) => existsSync(join(ROOT, page)));

/** The realm that pages start with; shared by all of them, and reset for each. */
let realm: Nodes | undefined;
after(() => realm?.close());

function nodesFor(page: string): Nodes {
  if (BARE.includes(page)) return new Nodes("bare");
  if (realm === undefined) realm = new Nodes("realm");
  else realm.reset();
  return realm;
}

const needs = { ...NETWORK_NEEDS, "dist/mungebox": existsSync(MUNGEBOX) };

for (const page of PAGES) {
  const blocks = readBlocks(join(ROOT, page));
  const runnable = blocks.filter(({ reason }) => reason === undefined);
  if (runnable.length > 0) {
    suite(`${page} as written`, needs, () => {
      let nodes: Nodes;
      before(() => {
        nodes = nodesFor(page);
      });
      after(() => {
        if (nodes !== realm) nodes?.close();
      });
      for (const block of runnable) {
        it(`line ${block.line}`, () => runBlock(nodes, block));
      }
    });
  }
  for (const block of blocks.filter(({ reason }) => reason !== undefined)) {
    it(`${page}, line ${block.line}, could be run (${block.reason})`, () => lookAtBlock(block));
  }
}

function runBlock(nodes: Nodes, { commands }: Block): void {
  for (const { text, expected } of commands) {
    const { status, out, err } = nodes.run(text, TIMEOUT_MS);
    if (expected === undefined) assert.equal(status, 0, `${text}\n${out}${err}`);
    else assert.match(out + err, expected, text);
  }
}

/** Options of each of our programs, by its name in the pages. */
const OPTIONS = new Map<string, readonly OptionSyntax[]>([
  ...[...COMMANDS, ...AUKS_COMMANDS].map(({ name, groups }) => [name, groups.flat()] as const),
  ["mungebox doctor", DOCTOR.groups.flat()],
  ["mungebox health", HEALTH.groups.flat()],
]);

function lookAtBlock({ commands }: Block): void {
  for (const { text } of commands) {
    const { status, stderr } = spawnSync("bash", ["-n"], { input: text, encoding: "utf8" });
    assert.equal(status, 0, stderr);
    for (const [, name = "", rest = ""] of text.matchAll(OURS)) {
      const options = OPTIONS.get(name) ?? [];
      for (const [, long] of rest.matchAll(/(?<=\s)--([a-z][\w-]*)/g)) {
        assert(options.some((option) => option.long === long), `${name} has no --${long}`);
      }
    }
  }
}

const NAMES = [
  "mungebox doctor",
  "mungebox health",
  "mungebox",
  ...APPLETS.map(({ name }) => name),
];
/** One of our programs at the start of a command, with its arguments. */
const OURS = new RegExp(
  `(?:^|[|;&(]|sudo(?: -u \\S+)?|ssh \\S+) *'?(${NAMES.join("|")})((?: [^|;&#\\n]*)?)`,
  "gm",
);

describe("the pages", () => {
  it("link only to existing files", () => {
    for (const page of PAGES) {
      const text = readFileSync(join(ROOT, page), "utf8");
      for (const [, target = ""] of text.matchAll(/\]\(([^)#\s]+)(?:#[^)]*)?\)/g)) {
        if (/^\w+:/.test(target)) continue;
        const path = join(ROOT, dirname(page), target);
        assert(existsSync(path), `${page} links to ${target}`);
      }
    }
  });

  it("have commands only in blocks that are run or say why not", () => {
    const command =
      /^ {4}(?:sudo|npm|scripts\/|ssh|scp|apt|docker|podman|systemctl|\w*munge\w*) .*/m;
    for (const page of PAGES) {
      const text = readFileSync(join(ROOT, page), "utf8").replace(/^( *)```[^]*?^\1```$/gm, "");
      assert.equal(command.exec(text)?.[0], undefined, page);
    }
  });

  it("explain in docs/operations.md every message that doctor explains", () => {
    const squeeze = (text: string) => text.replace(/ *\| */g, "|");
    const page = squeeze(readFileSync(join(ROOT, "docs/operations.md"), "utf8"));
    const place: Place = {
      socketPath: "/run/munge/munge.socket.2",
      keyFile: "/etc/munge/munge.key",
      user: "munge",
      start: "systemctl restart munge",
      restart: "systemctl restart munge",
      ownerOf: () => "root",
      isOwnDirectory: () => true,
    };
    const rows = CAUSES.map(({ message, text, remedy }) => {
      const what = remedy(place, ["", "NAME", "NAME", "NAME"]);
      const words = "fix" in what ? `\`${what.fix}\`` : what.advice;
      return squeeze(`| \`${message}\` | ${text} | ${words} |`);
    });
    const missing = rows.filter((row) => !page.includes(row));
    assert.deepEqual(missing, [], missing.join("\n"));
  });
});
