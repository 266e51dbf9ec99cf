// The executable as five programs: which name selects which, and that each accepts every option in the reference's
// --help.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { USAGE as MUNGE } from "../../cli/munge/munge.ts";
import { USAGE as MUNGED } from "../../cli/munged/options.ts";
import { USAGE as MUNGEKEY } from "../../cli/mungekey/mungekey.ts";
import { USAGE as REMUNGE } from "../../cli/remunge/options.ts";
import { USAGE as UNMUNGE } from "../../cli/unmunge.ts";
import { Realm } from "../harness/realm.ts";
import { hasReference } from "../harness/programs.ts";

describe("one executable, five programs", () => {
  let realm: Realm;

  before(() => {
    realm = new Realm();
  });
  after(() => realm?.close());

  /** Runs the executable under a name. Returns its standard error. */
  function complaint(argv0: string, ...args: string[]): string {
    const { stderr, status } = spawnSync(join(realm.directory, "bin/mungebox"), args, { argv0 });
    assert.equal(status, 1);
    return stderr.toString();
  }

  it("argv[0] selects the program", () => {
    for (const name of ["munged", "munge", "unmunge", "remunge"]) {
      const error = `${name}: Error: Invalid option "-x"\n`;
      assert.equal(complaint(name, "-x"), error);
      assert.equal(complaint(`/some/where/${name}`, "-x"), error);
      assert.equal(complaint("mungebox", name, "-x"), error);
      assert.equal(complaint("any-other-name", name, "-x"), error);
      assert.equal(realm.run("ours", name, ["-x"]).err, error);
    }
    assert.equal(complaint("mungekey", "-x"), 'mungekey: Error: Option "-x" is invalid\n');
  });

  it(
    "the file's name selects it where argv[0] is something else",
    { skip: process.platform !== "linux" },
    () => {
      for (const name of ["munged", "munge", "unmunge", "remunge"]) {
        for (const argv0 of ["", "-munge", "/bin/", "some-name"]) {
          const { stderr, status } = spawnSync(realm.program("ours", name), ["-x"], { argv0 });
          assert.equal(`${stderr}`, `${name}: Error: Invalid option "-x"\n`, argv0);
          assert.equal(status, 1);
        }
      }
    },
  );

  it("any other name is an error that lists the programs", () => {
    for (const argv0 of ["mungebox", "unmung"]) {
      assert.match(
        complaint(argv0, "unmung"),
        /^mungebox: Error: Unknown command "unmung"; the commands are munged, munge, unmunge, remu/,
      );
    }
  });

  const usages = {
    munged: MUNGED,
    munge: MUNGE,
    unmunge: UNMUNGE,
    remunge: REMUNGE,
    mungekey: MUNGEKEY,
  };
  for (const [name, usage] of Object.entries(usages)) {
    it(`${name} has every option of the reference`, { skip: !hasReference }, () => {
      const { out } = realm.run("reference", name, ["--help"]);
      const listed = [...out.matchAll(/^ +(?:-(\w), )?--([a-z-]+)(?:=(\w+))?/gm)];
      assert(listed.length > 5);
      const options = usage.groups.flat();
      for (const [, short, long, argument] of listed) {
        const option = options.find((candidate) => candidate.long === long);
        assert(option !== undefined, `--${long}`);
        assert.deepEqual([option.short, option.argument], [short, argument], `--${long}`);
      }
    });
  }
});
