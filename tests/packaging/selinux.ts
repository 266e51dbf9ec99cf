// Debian's SELinux policy with the module of packaging/selinux, made without touching this machine's own policy.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { succeed } from "./pod.ts";

const MAKEFILE = "/usr/share/selinux/devel/Makefile";
const STORE = "/var/lib/selinux/default";
const POLICIES = "/etc/selinux/default/policy";

/** Whether the module can be built here. */
export const HAS_SELINUX_TOOLS: boolean = process.getuid?.() === 0 &&
  [MAKEFILE, STORE, POLICIES, "/usr/bin/make"].every((path) => existsSync(path));

/** The compiled policy below a root directory. */
export function policyIn(root: string): string {
  const directory = join(root, POLICIES);
  return join(directory, readdirSync(directory)[0]!);
}

/** Builds the module, and a copy of /etc/selinux that has it, in a directory. @returns the root of the copy. */
export function policyWithModule(directory: string): string {
  const source = join(directory, "module");
  cpSync("packaging/selinux", source, { recursive: true });
  const made = spawnSync("make", ["-C", source, "-f", MAKEFILE, "mungebox.pp"], {
    encoding: "utf8",
  });
  assert.deepEqual([made.status, made.stderr], [0, ""], made.stdout);
  const root = join(directory, "root");
  mkdirSync(join(root, "var/lib/selinux"), { recursive: true });
  succeed("cp", "-a", STORE, join(root, "var/lib/selinux/"));
  mkdirSync(join(root, "etc"));
  succeed("cp", "-a", "/etc/selinux", join(root, "etc/"));
  const module = join(source, "mungebox.pp");
  succeed("semodule", "-N", "-p", root, "-s", "default", "-S", "/var/lib/selinux", "-i", module);
  return root;
}
