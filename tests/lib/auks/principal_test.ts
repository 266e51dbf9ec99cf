// Names of principals.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { AuksError } from "../../../lib/auks/errors.ts";
import {
  formatPrincipal,
  parsePrincipal,
  readSlashRealm,
  samePrincipal,
  tgsRealm,
} from "../../../lib/auks/principal.ts";
import { principal } from "./arbitraries.ts";

test("any principal survives formatting and parsing", () => {
  fc.assert(fc.property(principal, (each) => {
    const read = parsePrincipal(formatPrincipal(each));
    assert.deepEqual(read, { ...each, nameType: 1 });
    assert(samePrincipal(read, each));
    // Neither may occur in the subject of an ACL's expression.
    assert(!/[\n\0]/.test(formatPrincipal(each)));
  }));
});

describe("a name", () => {
  for (
    const [name, components, realm] of [
      ["bob@REALM.A", ["bob"], "REALM.A"],
      ["bob", ["bob"], "DEFAULT"],
      ["host/mngt.realm.a@REALM.A", ["host", "mngt.realm.a"], "REALM.A"],
      ["host/mngt.realm.a/REALM.A", ["host", "mngt.realm.a", "REALM.A"], "DEFAULT"],
      ["a\\/b\\@c\\\\d/e@R", ["a/b@c\\d", "e"], "R"],
      ["a\\n\\t\\b\\0\\x@R", ["a\n\t\b\0x"], "R"],
      ["a@R\\/S", ["a"], "R/S"],
      ["/@R", ["", ""], "R"],
    ] as const
  ) {
    test(`${name} is read as libkrb5 reads it`, () => {
      assert.deepEqual(parsePrincipal(name, "DEFAULT"), { components, realm, nameType: 1 });
    });
  }

  for (const name of ["a@b@c", "a@R/S", "a\\", "a@", "a"]) {
    test(`${name} is invalid without a default realm`, () => {
      assert.throws(
        () => parsePrincipal(name),
        (error) => error instanceof AuksError && error.error === "CRED_PRINCIPAL",
      );
    });
  }
});

test("the characters that libkrb5 escapes are escaped in names and realms", () => {
  const name = { realm: "R/S@T\\", components: ["a/b@c\\", "\n\t\b\0"], nameType: 1 };
  assert.equal(formatPrincipal(name), "a\\/b\\@c\\\\/\\n\\t\\b\\0@R\\/S\\@T\\\\");
});

test("principals that differ in any part are not the same", () => {
  const bob = parsePrincipal("bob@R");
  for (const other of ["bob@S", "alice@R", "bob/x@R", "bob/@R"]) {
    assert(!samePrincipal(bob, parsePrincipal(other)), other);
  }
});

test("tgsRealm() gives the realm of a ticket-granting service, and of nothing else", () => {
  const of = (name: string) => tgsRealm(parsePrincipal(name));
  assert.equal(of("krbtgt/R@R"), "R");
  assert.equal(of("krbtgt/S@R"), "S");
  for (const name of ["krbtgt@R", "krbtgt/R/x@R", "KRBTGT/R@R", "host/R@R"]) {
    assert.equal(of(name), undefined, name);
  }
});

test("the notation of the HOWTO is read if the last component is a known realm", () => {
  const read = (name: string) => readSlashRealm(name, ["REALM.A", "REALM.B"])?.name;
  assert.equal(read("host/mngt.realm.a/REALM.A"), "host/mngt.realm.a@REALM.A");
  assert.equal(read("bob/REALM.B"), "bob@REALM.B");
  for (
    const name of [
      "host/mngt.realm.a@REALM.A",
      "host/mngt/REALM.C",
      "host/mngt/realm.a",
      "host/REALM.A/mngt",
      "krbtgt/REALM.A",
      "krbtgt/REALM.B/REALM.A",
      "krbtgt/REALM.A@REALM.A",
      "/REALM.A",
      "REALM.A",
      "host/mngt\\/REALM.A",
      "",
    ]
  ) assert.equal(read(name), undefined, name);
});
