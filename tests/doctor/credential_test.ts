// mungebox doctor --credential on a healthy node: whether a credential is good, and why it is refused if it isn't.
import assert from "node:assert/strict";
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, it } from "node:test";
import { isRoot, MUNGEBOX } from "../harness/programs.ts";
import { suite } from "../suite.ts";
import { Site } from "./site.ts";

const isNobody = process.geteuid!() === 65_534;
/** A UID that no system has. */
const NOBODY_KNOWN = 41_424;

/** A credential that is refused, on a healthy site. */
interface BadCredential {
  readonly name: string;
  /** A shell command that writes one. */
  readonly make: (site: Site) => string;
  readonly text: RegExp;
  readonly needs?: boolean;
}

const munge = (site: Site, words = "") => `munge -n --socket=${site.socket} ${words}`;
const CREDENTIALS: readonly BadCredential[] = [
  {
    name: "replayed",
    make: (site) =>
      `${munge(site)} | tee ${site.directory}/used; ` +
      `unmunge -n --socket=${site.socket} <${site.directory}/used >/dev/null`,
    text:
      /^The credential is refused: Replayed credential: it has already been decoded on this host$/,
  },
  {
    name: "restricted to another user",
    make: (site) => munge(site, "--restrict-uid=nobody"),
    needs: !isNobody,
    text:
      /^The credential is refused: Unauthorized .*: it is restricted to user nobody \(UID 65534\)$/,
  },
  {
    name: "restricted to another group",
    make: (site) => munge(site, "--restrict-gid=nogroup"),
    needs: !isNobody,
    text: /it is restricted to group nogroup \(GID 65534\)$/,
  },
  {
    name: "expired",
    make: (site) => `${munge(site, "--ttl=1")}; sleep 3`,
    text: /refused: Expired credential: it is \d+ s old and was valid for 1 s/,
  },
  {
    name: "made with a different key",
    make: (site) =>
      `${
        munge(site)
      } | sed 's/^MUNGE:\\(.\\{60\\}\\)./MUNGE:\\1A/; s/^MUNGE:\\(.\\{61\\}\\)./MUNGE:\\1B/'`,
    text: /refused: Invalid credential: it was made with a different key .* or altered on the way$/,
  },
  {
    name: "truncated",
    make: (site) => `${munge(site)} | head -c 100`,
    text: /This is not a credential, or only part of one/,
  },
  {
    name: "by a user this host does not know",
    make: (site) => `setpriv --reuid=${NOBODY_KNOWN} --clear-groups ${munge(site)}`,
    needs: isRoot,
    text: /is good, but its user, UID 41424, is unknown to the name service on this host/,
  },
];

suite("mungebox doctor --credential", { "dist/mungebox": existsSync(MUNGEBOX) }, () => {
  let site: Site;
  before(() => {
    site = new Site();
    site.start();
  });
  after(() => site?.close());

  for (const { name, make, text, needs } of CREDENTIALS) {
    it(`explains why a credential is refused: ${name}`, { skip: needs === false }, () => {
      const made = site.shell(make(site));
      assert.match(made.out, /^MUNGE:/, made.err);
      writeFileSync(join(site.directory, "credential"), made.out);
      const { status, report } = site.doctor(`--credential=${site.directory}/credential`);
      assert.equal(report.cause?.check, "credential", JSON.stringify(report, null, 2));
      assert.match(report.cause.text, text);
      assert.match(report.cause.advice ?? "", /./);
      assert.equal(status, 2);
    });
  }

  it("accepts a good credential on standard input", () => {
    const words = site.options.join(" ");
    const { status, out } = site.shell(
      `${munge(site)} | mungebox doctor --credential=- ${words}`,
    );
    assert.match(out, /^munge works here\.\n/);
    assert.match(out, /^ok +credential +The credential is good: UID \d+ made it \d+ s ago$/m);
    assert.equal(status, 0);
  });
});
