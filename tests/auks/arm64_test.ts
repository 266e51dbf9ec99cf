// lib/krb5 on emulated arm64: Debian's libkrb5 for that architecture has the struct layout declared in layout.ts, and
// its fields are read correctly.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { it } from "node:test";
import { closedRuntime } from "../../scripts/runtime/runtime.ts";
import { withDirectory } from "../harness/scratch.ts";
import { suite } from "../suite.ts";

const QEMU = "/usr/bin/qemu-aarch64-static";
const ROOT = resolve(import.meta.dirname, "../..");

/** Opens a context, which checks the layout; reads and copies a keytab; makes and reads a KRB-CRED. */
const SCRIPT = `
import { Context } from "${ROOT}/lib/krb5/context.ts";
import { makeKrbCred, readKrbCred } from "${ROOT}/lib/krb5/credential.ts";
import { CredentialCache } from "${ROOT}/lib/krb5/credential_cache.ts";
import { Keytab } from "${ROOT}/lib/krb5/keytab.ts";
import { Principal } from "${ROOT}/lib/krb5/principal.ts";
const context = Context.open();
const host = Principal.parse(context, "host/node1.realm.a@REALM.A");
const cache = CredentialCache.resolve(context, "${ROOT}/tests/auks/reference/files/ccache-bob");
const [tgt] = cache.credentials();
const [read] = readKrbCred(context, makeKrbCred(context, [tgt]));
const keytab = Keytab.resolve(context, "${ROOT}/tests/auks/reference/files/host-mngt.keytab");
console.log(JSON.stringify({
  arch: process.arch,
  realm: host.realm,
  components: host.components,
  owner: cache.principal().text,
  server: read.server,
  same: read.endTime === tgt.endTime && read.renewTill === tgt.renewTill,
  keys: keytab.copyToMemory().entries().length > 0,
}));
`;

suite("lib/krb5 on arm64", {
  "qemu-user-static": existsSync(QEMU),
  "libkrb5-3:arm64": existsSync("/usr/lib/aarch64-linux-gnu/libkrb5.so.3"),
}, () => {
  it("the layout is as declared, and tickets are read and made", () => {
    withDirectory((directory) => {
      const script = join(directory, "script.ts");
      writeFileSync(script, SCRIPT);
      writeFileSync(join(directory, "krb5.conf"), "[libdefaults]\n  default_realm = REALM.A\n");
      const runtime = resolve(closedRuntime("@oven/bun-linux-aarch64"));
      const { stdout, stderr } = spawnSync(QEMU, ["-L", "/", runtime, script], {
        env: { ...process.env, KRB5_CONFIG: join(directory, "krb5.conf") },
        encoding: "utf8",
      });
      assert.equal(stderr, "");
      assert.deepEqual(JSON.parse(stdout), {
        arch: "arm64",
        realm: "REALM.A",
        components: ["host", "node1.realm.a"],
        owner: "bob@REALM.A",
        server: "krbtgt/REALM.A@REALM.A",
        same: true,
        keys: true,
      });
    });
  });
});
