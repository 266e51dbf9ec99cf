// The policy module for SELinux: built with Debian's tools, linked with Debian's policy, and searched for what it grants.
// tests/vm/selinux_test.ts has a kernel that enforces it.
import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, it } from "node:test";
import { succeed } from "./pod.ts";
import { HAS_SELINUX_TOOLS, policyIn, policyWithModule } from "./selinux.ts";
import { suite } from "../suite.ts";

const SKIP = HAS_SELINUX_TOOLS && existsSync("/usr/bin/sesearch")
  ? false
  : "needs root, selinux-policy-default, selinux-policy-dev, setools and make";

/** A rule that allows something. */
interface Rule {
  readonly source: string;
  readonly target: string;
  readonly class: string;
  readonly permissions: readonly string[];
}

/** What sesearch has found, without rules that a boolean turns on. */
function parse(found: string): Rule[] {
  return [...found.matchAll(/^allow (\S+) (\S+):(\S+) (?:\{ (.*) \}|(\w+));$/gm)].map(
    ([, source, target, name, many, one]) => ({
      source: source!,
      target: target!,
      class: name!,
      permissions: (many ?? one)!.split(" "),
    }),
  );
}

const unique = (names: readonly string[]) => [...new Set(names)].sort();
/** The targets of rules that allow something to be done to objects of a class. */
const targets = (found: readonly Rule[], name: string, permission: string) =>
  unique(
    found.filter((rule) => rule.class === name && rule.permissions.includes(permission))
      .map(({ target }) => target),
  );

suite("the SELinux module", SKIP, () => {
  let directory: string;
  let policy: string;
  /** All that munged may do. */
  let munged: Rule[];
  const rules = (...args: string[]) => parse(succeed("sesearch", ...args, policy));

  before(() => {
    directory = mkdtempSync(join(tmpdir(), "mungebox-selinux-"));
    policy = policyIn(policyWithModule(directory));
    munged = rules("-A", "-s", "munged_t");
  });
  after(() => rmSync(directory, { recursive: true, force: true }));

  it("adds rules for its own types only", () => {
    const added = succeed(
      "bash",
      "-c",
      'comm -13 <(sesearch -A -T "$1" | sort) <(sesearch -A -T "$2" | sort)',
      "bash",
      policyIn("/"),
      policy,
    ).split("\n").filter((line) => line !== "");
    assert(added.length > 30);
    assert.deepEqual(added.filter((line) => !/\bmunge(d|box)_\w+/.test(line)), []);
  });

  it("lets munged execute memory that it writes, and nothing but itself and libraries", () => {
    const itself = munged.filter(({ target, class: name }) =>
      target === "munged_t" && name === "process"
    );
    assert.deepEqual(itself.map(({ permissions }) => permissions), [
      ["execmem", "fork", "getsched", "setrlimit", "sigchld", "signal", "signull"],
    ]);
    const others = munged.filter(({ source, target, class: name }) =>
      source === "munged_t" && target !== "munged_t" && name === "process"
    );
    assert.deepEqual(unique(others.flatMap(({ permissions }) => permissions)), [
      "sigchld",
      "signull",
    ]);
    assert.deepEqual(targets(munged, "file", "execute_no_trans"), ["mungebox_exec_t"]);
    // Those of every domain, for the dynamic linker.
    const linked = ["ld_so_t", "lib_t", "textrel_shlib_t"];
    assert.deepEqual(unique([...linked, "mungebox_exec_t"]), targets(munged, "file", "execute"));
    assert.equal(succeed("sesearch", "-T", "-s", "munged_t", "-c", "process", policy), "");
    assert(targets(munged, "lnk_file", "read").includes("bin_t"), "its own link");
  });

  it("lets munged see whether the kernel is in FIPS mode, without which it would not start", () => {
    assert(targets(munged, "file", "read").includes("sysctl_crypto_t"));
  });

  it("gives munged no capability", () => {
    assert.deepEqual(munged.filter(({ class: name }) => /^cap/.test(name)), []);
  });

  it("lets munged write to its own log, state and runtime files only", () => {
    const written = (permission: string) =>
      targets(munged, "file", permission).filter((type) => type !== "munged_t"); // its own /proc
    const own = ["munged_runtime_t", "munged_var_lib_t"];
    // init_tmpfs_t is what systemd may pass as standard input.
    assert.deepEqual(written("write"), ["init_tmpfs_t", ...own]);
    assert.deepEqual(written("append"), ["init_tmpfs_t", "munged_log_t", ...own]);
    assert.deepEqual(written("create"), ["munged_log_t", ...own]);
    assert.deepEqual(written("unlink"), own);
    // It sets the mode of its log.
    assert.deepEqual(written("setattr"), ["munged_log_t", ...own]);
    const ofKeys = munged.filter(({ target }) => target === "munged_key_t");
    assert.deepEqual(unique(ofKeys.flatMap(({ permissions }) => permissions)), [
      "getattr",
      "ioctl",
      "lock",
      "open",
      "read",
      "search",
      "watch",
    ]);
  });

  it("keeps keys from all but those who read passwords, and make keys", () => {
    const readers = (type: string) =>
      unique(rules("-A", "-t", type, "-c", "file", "-p", "read").map(({ source }) => source));
    const trusted = new Set(readers("shadow_t"));
    assert.deepEqual(readers("munged_key_t").filter((type) => !trusted.has(type)), [
      "munged_t",
      "sysadm_t",
    ]);
  });

  it("lets only systemd start munged, by the unit's setting and not by the executable's type", () => {
    const starters = rules("-A", "-t", "munged_t", "-c", "process", "-p", "transition");
    assert.deepEqual(unique(starters.map(({ source }) => source)), ["init_t"]);
    assert.equal(succeed("sesearch", "-T", "-t", "mungebox_exec_t", "-c", "process", policy), "");
    for (const unit of ["munge.service", "munge-notify.service"]) {
      const text = readFileSync(join("packaging/systemd", unit), "utf8");
      assert.match(text, /^SELinuxContext=-system_u:system_r:munged_t:s0$/m);
    }
  });

  it("lets every user connect to munged, and run the commands without another domain or execmem", () => {
    const user = rules("-A", "-s", "user_t");
    assert.deepEqual(targets(user, "sock_file", "write").filter((type) => /munge/.test(type)), [
      "munged_runtime_t",
    ]);
    assert(targets(user, "unix_stream_socket", "connectto").includes("munged_t"));
    assert(targets(user, "file", "execute_no_trans").includes("application_exec_type"));
    assert.deepEqual(targets(user, "process", "execmem"), []);
  });

  it("labels every path", () => {
    const contexts = join(directory, "root/etc/selinux/default/contexts/files/file_contexts");
    const labels = {
      "/usr/bin/mungebox": "mungebox_exec_t",
      "/usr/local/bin/mungebox": "mungebox_exec_t",
      "/usr/share/mungebox/first-key": "bin_t",
      "/usr/lib/systemd/system/munge.service": "munged_unit_t",
      "/usr/lib/systemd/system/munge.socket": "munged_unit_t",
      "/etc/munge": "munged_key_t",
      "/etc/munge/munge.key": "munged_key_t",
      "/etc/munge/munge.key.next": "munged_key_t",
      "/etc/munge/munge.conf": "munged_key_t",
      "/etc/munge/realms/grid.key": "munged_key_t",
      "/run/munge": "munged_runtime_t",
      "/run/munge/munge.socket.2": "munged_runtime_t",
      "/run/munge/munged.pid": "munged_runtime_t",
      "/var/lib/munge": "munged_var_lib_t",
      "/var/lib/munge/munged.replay/lock": "munged_var_lib_t",
      "/var/log/munge/munged.log": "munged_log_t",
    };
    for (const [path, type] of Object.entries(labels)) {
      const label = succeed("matchpathcon", "-m", "file", "-n", "-f", contexts, path);
      const expected = `system_u:object_r:${type}:s0\n`;
      const directory = path === "/etc/munge" || path === "/run/munge" || path === "/var/lib/munge";
      if (!directory) assert.equal(label, expected, path);
      else assert.equal(succeed("matchpathcon", "-m", "dir", "-n", "-f", contexts, path), expected);
    }
  });
});
