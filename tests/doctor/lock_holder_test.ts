// mungebox doctor when the process that holds munged's lock is not munged: doctor trusts nothing that it says of itself.
import assert from "node:assert/strict";
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { it } from "node:test";
import { MIB, runWatched } from "../harness/memory.ts";
import { MUNGEBOX } from "../harness/programs.ts";
import { suite } from "../suite.ts";
import { Site } from "./site.ts";

const NEEDS = { "dist/mungebox": existsSync(MUNGEBOX), gcc: existsSync("/usr/bin/gcc") };

/** A process that holds the lock of the site's socket, with an executable called mungebox that is something else. */
function startHolder(site: Site, args: readonly string[]): ChildProcess {
  const program = join(site.directory, "mungebox");
  const lock = `${site.socket}.lock`;
  const source = `
    #include <fcntl.h>
    #include <string.h>
    #include <unistd.h>
    int main(int argc, char **argv) {
      struct flock lock = { .l_type = F_WRLCK };
      if (argc == 2 && strstr(argv[1], "version"))
        return creat("${site.directory}/was-run", 0600) < 0;
      if (fcntl(open("${lock}", O_WRONLY | O_CREAT, 0200), F_SETLK, &lock) < 0) return 1;
      creat("${lock}.held", 0600);
      for (;;) pause();
    }`;
  const { status, stderr } = spawnSync("gcc", ["-xc", "-", "-o", program], { input: source });
  assert.equal(status, 0, stderr.toString());
  const holder = spawn(program, args, { stdio: "ignore" });
  for (let tries = 0; !existsSync(`${lock}.held`) && tries < 2400; tries++) {
    spawnSync("sleep", ["0.05"]);
  }
  assert(existsSync(`${lock}.held`));
  return holder;
}

suite("mungebox doctor and a foreign holder of munged's lock", NEEDS, () => {
  it("never runs its executable", () => {
    const site = new Site();
    const holder = startHolder(site, []);
    try {
      assert.equal(site.doctor().report.cause?.check, "socket");
      assert.ok(!existsSync(join(site.directory, "was-run")));
    } finally {
      holder.kill();
      site.close();
    }
  });

  it("reads only a bounded part of the log that it names", async () => {
    const site = new Site();
    const holder = startHolder(site, ["--log-file", "/dev/zero"]);
    try {
      const options = site.options.filter((option) => !option.startsWith("--log-file="));
      const { status, out, peak } = await runWatched([
        "sh",
        "-c",
        'ulimit -v 2000000; exec "$@"',
        "sh",
        join(site.bin, "mungebox"),
        "doctor",
        ...options,
      ]);
      assert.equal(status, 2, out);
      assert.ok(peak > 0 && peak < 200 * MIB, `${peak} bytes`);
      assert.match(out, /logfile "\/dev\/zero"|"\/dev\/zero" must be a regular file/);
    } finally {
      holder.kill();
      site.close();
    }
  });
});
