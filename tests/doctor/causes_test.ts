// mungebox doctor on broken sites, each built for real: it names the cause first, and the command it prints fixes it.
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { it } from "node:test";
import { MUNGEBOX } from "../harness/programs.ts";
import { suite } from "../suite.ts";
import { BROKEN_SITES } from "./broken_sites.ts";
import { Site } from "./site.ts";

suite("mungebox doctor on a broken site", { "dist/mungebox": existsSync(MUNGEBOX) }, () => {
  for (const broken of BROKEN_SITES) {
    it(`finds the cause: ${broken.name}`, { skip: broken.needs === false }, () => {
      const site = new Site();
      let undo: (() => void) | void = undefined;
      try {
        undo = broken.break(site);
        const words = broken.words?.(site) ?? [];
        const examine = () => site.doctorIn(broken.wrapper ?? [], ...words);
        const { status, report } = examine();
        const { cause } = report;
        assert.equal(cause?.check, broken.check, JSON.stringify(report, null, 2));
        assert.match(cause.text, broken.text);
        assert.equal(cause.verdict, "problem");
        assert.equal(status, 2);
        assert.notEqual(cause.fix === undefined, cause.advice === undefined);
        if (broken.fix === undefined) assert.equal(cause.fix, undefined);
        else assert.match(cause.fix ?? cause.advice!, broken.fix);
        // Every command that is printed, not only the first.
        for (const { check, text, fix } of report.checks) {
          if (fix === undefined) continue;
          const fixed = site.runFix(fix);
          if (text !== cause.text) continue;
          assert.equal(fixed.status, 0, fixed.err);
          if (broken.shows === true) continue;
          const found = examine().report.checks.filter((finding) => finding.check === check);
          assert.ok(!found.some((finding) => finding.text === text), JSON.stringify(found));
        }
      } finally {
        site.stop();
        undo?.();
        site.close();
      }
    });
  }
});
