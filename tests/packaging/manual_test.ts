// Manual pages and completions: well-formed, complete, and consistent with the programs.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { APPLETS } from "../../cli/applets.ts";
import { AUKS_SHARE, MUNGE_SHARE, writeShare } from "../../scripts/manual/write.ts";

const PAGES = [...MUNGE_SHARE.pages, ...AUKS_SHARE.pages];
const COMMANDS = [...MUNGE_SHARE.commands, ...AUKS_SHARE.commands];

const share = mkdtempSync(join(tmpdir(), "mungebox-share-"));
after(() => rmSync(share, { recursive: true }));
writeShare(share, { pages: PAGES, commands: COMMANDS });

const path = (name: string, section: number) => join(share, `man/man${section}/${name}.${section}`);
const missing = (program: string) =>
  spawnSync("which", [program]).status !== 0 && `needs ${program}`;

for (const { name, section } of PAGES) {
  test(
    `${name}(${section}) passes mandoc's lint`,
    { skip: missing("mandoc") },
    () => {
      const { stdout } = spawnSync("mandoc", ["-T", "lint", path(name, section)], {
        encoding: "utf8",
      });
      // Pages that it refers to need not be installed; the next test checks that we have them.
      const lines = stdout.split("\n").filter((line) =>
        !line.includes("referenced manual not found")
      );
      assert.deepEqual(lines, [""]);
    },
  );

  test(`${name}(${section}) refers only to existing pages`, () => {
    for (
      const [, page, number] of readFileSync(path(name, section), "utf8").matchAll(
        /\.Xr (\S+) (\d)/g,
      )
    ) {
      assert.ok(existsSync(path(page!, Number(number))), `${page}(${number})`);
    }
  });
}

test("mungebox(1) names every command", () => {
  const page = readFileSync(path("mungebox", 1), "utf8");
  const missing = APPLETS.filter(({ name }) => !new RegExp(`[ .]${name}( |$)`, "m").test(page));
  assert.deepEqual(missing, []);
});

test("every option of every command is in its page", { skip: missing("mandoc") }, () => {
  for (const { name, groups } of COMMANDS) {
    const { section } = PAGES.find((page) => page.name === name)!;
    const text = spawnSync("mandoc", ["-T", "markdown", path(name, section)], { encoding: "utf8" });
    for (const { long } of groups.flat()) assert.match(text.stdout, new RegExp(`--${long}\\b`));
  }
});

test("bash completes options, their arguments, and mungebox's commands", () => {
  const complete = (command: string, ...words: string[]) => {
    const script = `. ${share}/bash-completion/completions/${command}
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)); _${command}; echo "\${COMPREPLY[*]}"`;
    return spawnSync("bash", ["-c", script, "bash", command, ...words], { encoding: "utf8" }).stdout
      .trim();
  };
  assert.equal(complete("munge", "--res"), "--restrict-uid --restrict-gid");
  assert.equal(complete("munge", "-c", "a"), "aes128 aes256");
  assert.equal(complete("munge", "--cipher", "=", "a"), "aes128 aes256");
  assert.equal(complete("munge", "--mac", "="), "default md5 sha1 ripemd160 sha256 sha512");
  assert.equal(complete("munge", "--restrict-uid", "roo"), "root");
  assert.equal(complete("munged", "--replay-store-policy", ""), "refuse host");
  assert.equal(complete("mungebox", "munge"), "munged munge mungekey");
  assert.equal(complete("auks", "-R", ""), "once loop");
  assert.equal(complete("auksdrenewer", "--me"), "--metrics-file");
});

for (
  const [shell, folder] of [["zsh", "zsh/site-functions"], [
    "fish",
    "fish/vendor_completions.d",
  ]] as const
) {
  test(`${shell} accepts its completions`, { skip: missing(shell) }, () => {
    for (const name of readdirSync(join(share, folder))) {
      const { status, stderr } = spawnSync(shell, ["-n", join(share, folder, name)], {
        encoding: "utf8",
      });
      assert.equal(status, 0, stderr);
    }
  });
}
