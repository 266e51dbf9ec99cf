// auks.acl: the roles the real daemon assigns for each reference file, and where ours differs on purpose.
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { aclHosts, parseAcl, RIGHTS, roleOf } from "../../../lib/auks/acl.ts";
import { parseAddress } from "../../../lib/bytes/host_address.ts";
import { AuksError } from "../../../lib/auks/errors.ts";

const FOLDER = join(import.meta.dirname, "../../auks/reference/configs");
const LOOPBACK = Uint8Array.of(127, 0, 0, 1);
const bytesOf = (text: string) => new TextEncoder().encode(text);
const acl = (text: string, ...realms: string[]) => parseAcl(bytesOf(text), "FILE", realms);
const rule = (principal: string, role = "user", host = "*") =>
  `rule { principal = ${principal} ; host = ${host} ; role = ${role} ; }\n`;

/** Files with hosts other than `*`, which the original never matches. */
const WITH_HOSTS = ["host-address.acl", "host-name.acl"];
/** SIGSEGV as a shell's exit status. */
const CRASHED = 139;

describe("every file of the reference gives the roles of the real daemon", () => {
  const files = readdirSync(FOLDER).filter((name) => name.endsWith(".acl"));
  assert(files.length > 25);
  for (const file of files.filter((name) => !WITH_HOSTS.includes(name))) {
    test(file, () => {
      const bytes = readFileSync(join(FOLDER, file));
      const { auksd } = JSON.parse(readFileSync(join(FOLDER, `${file}.json`), "utf8"));
      if (!auksd.accepted) {
        assert.throws(() => parseAcl(bytes, "FILE"), (error) => {
          assert(error instanceof AuksError);
          assert.equal(error.status, auksd.status === CRASHED ? 147 : auksd.status);
          const log: string[] = auksd["log at -vvvvv"] ?? [];
          // The original continues counting from the last line of auks.conf.
          const line = log.find((each) => each.includes("parse configuration file FILE"))
            ?.replace(/^.*(?=FILE)/, "")
            .replace(/\d+(?=:)/, (number) => `${+number - auksd["lines of auks.conf before it"]}`);
          if (line !== undefined) assert.equal(error.reason, line);
          return true;
        });
        return;
      }
      const rules = parseAcl(bytes, "FILE");
      const roles = Object.keys(auksd.roles).map((principal) => [
        principal,
        roleOf(rules, principal, LOOPBACK) ?? "unknown",
      ]);
      assert.equal(roles.length, 18);
      assert.deepEqual(Object.fromEntries(roles), auksd.roles);
    });
  }
});

test("a star after a byte order mark is not a star", () => {
  const rules = acl(rule('"\ufeff*"'));
  assert.equal(roleOf(rules, "bob@REALM.A", LOOPBACK), undefined);
});

describe("the hosts of rules", () => {
  const MAPPED = Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 127, 0, 0, 1);

  test("match by address, even if a dual-stack socket reports it as IPv6", () => {
    const rules = parseAcl(readFileSync(join(FOLDER, "host-address.acl")), "FILE");
    assert.equal(roleOf(rules, "bob@REALM.A", LOOPBACK), "user");
    assert.equal(roleOf(rules, "bob@REALM.A", MAPPED), "user");
    assert.equal(roleOf(rules, "bob@REALM.A", Uint8Array.of(127, 0, 0, 2)), undefined);
    assert.deepEqual(aclHosts(rules), []);
    for (const at of [0, 9, 10, 11]) {
      const other = MAPPED.slice();
      other[at] = 1;
      assert.equal(roleOf(rules, "bob@REALM.A", other), undefined, `${at}`);
    }
    const six = acl(rule("*", "user", "2001:db8::1"));
    const address = parseAddress("2001:db8::1")!;
    assert.equal(roleOf(six, "bob@REALM.A", address), "user");
    assert.equal(roleOf(six, "bob@REALM.A", LOOPBACK), undefined);
  });

  test("match by name, through the addresses that the caller found for it", () => {
    const rules = parseAcl(readFileSync(join(FOLDER, "host-name.acl")), "FILE");
    assert.deepEqual(aclHosts(rules), ["login"]);
    const hosts = new Map([["login", [Uint8Array.of(10, 0, 0, 9), LOOPBACK]]]);
    assert.equal(roleOf(rules, "bob@REALM.A", LOOPBACK, hosts), "user");
    assert.equal(roleOf(rules, "bob@REALM.A", Uint8Array.of(10, 0, 0, 8), hosts), undefined);
    assert.equal(
      roleOf(rules, "bob@REALM.A", LOOPBACK),
      undefined,
      "a name that was not looked up",
    );
  });

  test("are addresses only in strict notation", () => {
    const hex = (text: string) => {
      const address = parseAddress(text);
      return address && Buffer.from(address).toString("hex");
    };
    assert.equal(hex("10.0.0.255"), "0a0000ff");
    assert.equal(hex("::"), "0".repeat(32));
    assert.equal(hex("::1"), `${"0".repeat(31)}1`);
    assert.equal(hex("fe80::a:b"), "fe8000000000000000000000000a000b");
    assert.equal(hex("1:2:3:4:5:6:7:8"), "00010002000300040005000600070008");
    assert.equal(hex("1:2:3:4:5:6:7::"), "00010002000300040005000600070000");
    assert.equal(hex("::ffff:127.0.0.1"), "00000000000000000000ffff7f000001");
    for (
      const text of [
        "",
        "login",
        "10.0.0",
        "10.0.0.256",
        "10.0.0.01",
        "10.0.0.1.1",
        ":",
        "1:2:3:4:5:6:7",
        "1:2:3:4:5:6:7:8:9",
        "1::2::3",
        "1:2:3:4:5:6:7:8::",
        "12345::",
        "g::",
        "::1.2.3",
        "::1.2.3.256",
      ]
    ) assert.equal(hex(text), undefined, text);
  });
});

describe("an expression in the notation of the HOWTO", () => {
  const read = (expression: string, ...realms: string[]) => {
    const { rules, warnings } = acl(rule(expression), ...realms);
    return [rules[0]!.principal, warnings.some((warning) => warning.includes("is read as"))];
  };

  test("admits the clients that the HOWTO means if the realm is known, with a warning", () => {
    const bytes = readFileSync(join(FOLDER, "howto.acl"));
    const rules = parseAcl(bytes, "FILE", ["REALM.A"]);
    assert.equal(roleOf(rules, "host/mngt.realm.a@REALM.A", LOOPBACK), "admin");
    assert.equal(roleOf(rules, "bob@REALM.A", LOOPBACK), "user");
    assert.equal(roleOf(rules, "host/login.realm.a@REALM.A", LOOPBACK), undefined);
    assert(
      rules.warnings.includes(
        "FILE : line 2: ^host/mngt.realm.a/REALM.A$ is read as ^host/mngt.realm.a@REALM.A$, " +
          "which is the correct notation",
      ),
    );
  });

  for (
    const [expression, meant] of [
      ["^host/mngt/REALM.A$", "^host/mngt@REALM.A$"],
      ["^host/mngt/REALM\\.A$", "^host/mngt@REALM\\.A$"],
      ["^host/mngt/REALM[.]A$", "^host/mngt@REALM[.]A$"],
      ["^host/mngt/REALM.A", "^host/mngt@REALM.A"],
    ] as const
  ) {
    test(`${expression} is read as ${meant}`, () => {
      assert.deepEqual(read(expression, "REALM.B", "REALM.A"), [meant, true]);
    });
  }

  for (
    const expression of [
      "^host/mngt/REALM.B$",
      "^host/mngt/REALM.A@REALM.A$",
      "^krbtgt/REALM.A$",
      "krbtgt/REALM.A",
      "^krbtgt/x/REALM.A$",
      "/REALM.A",
      "^host/REALMXA$",
    ]
  ) {
    test(`${expression} is left as it is`, () => {
      assert.deepEqual(read(expression, "REALM.A"), [expression, false]);
    });
  }
});

describe("a rule", () => {
  const warnings = (text: string) => acl(text).warnings.join("\n");

  test("causes no warning if its expression is correct", () => {
    for (
      const expression of [
        "*",
        "^bob@REALM[.]A$",
        "^[a-z.]+/.*@REALM\\.A$",
        "^.+@R\\.A$",
        "^[[:alnum:]_.-]+@R$",
        "^[[:alnum:]]@R$",
        "^(a|b)@R$",
        "(^a@R$|^b@R$)",
        "\\`a@R$",
        "(^)+a$",
      ]
    ) {
      assert.equal(warnings(rule(expression)), "", expression);
    }
  });

  for (
    const [text, expected] of [
      [
        `\n${rule("^(bob@")}`,
        /FILE : line 2: the rule matches no principal, because \^\(bob@ is not a valid expression/,
      ],
      [rule("^bob@REALM.A$"), /a dot in \^bob@REALM\.A\$ matches any character/],
      [rule("^bob@REALM[.]A.B$"), /a dot in/],
      [rule("^(a|[.]|.)@R$"), /a dot in/],
      [rule("bob@R$"), /is between \^ and \$, so/],
      [rule("^bob@R"), /is between \^ and \$, so/],
      [rule("^bob@R\\$"), /is between \^ and \$, so/],
      [rule("^a@R$|b@R$"), /is between \^ and \$, so/],
      [rule("(^a@R$|b@R$)"), /is between \^ and \$, so/],
      [rule("^?a@R$"), /is not a valid expression/],
      [rule("(^)*a@R$"), /is between \^ and \$, so/],
      [rule("^[[:alnum:]]*@R$"), /matches no name with -, _ or \. where it has \[\[:alnum:\]\]/],
      [rule("^(x/)?([0-9A-Za-z]+)@R$"), /matches no name with -, _ or \./],
      [rule('""'), /an empty expression matches every principal/],
      [rule("*", "admin"), /makes every principal an admin/],
      ["rule { principal = x ; host = * ; }", /line 1: the rule has no role and is left out/],
      [
        "Rule { }",
        /line 1: block "Rule" is not a rule and is ignored\nFILE : no rule, so no client is admitted/,
      ],
    ] as const
  ) {
    test(`${JSON.stringify(text)} causes a warning`, () => assert.match(warnings(text), expected));
  }
});

describe("errors name the place and the mistake", () => {
  for (
    const [text, reason] of [
      ["\nrule { host = * ; role = user ; }", "FILE : line 2: the rule has no principal"],
      ["rule { principal = * ; role = user ; }", "FILE : line 1: the rule has no host"],
      [
        "rule { principal = * ; host = * ;\n role = Admin ; }",
        'FILE : line 2: "Admin" is not a role: admin, user or guest',
      ],
      ["", "FILE has no block"],
    ] as const
  ) {
    test(reason, () => {
      assert.throws(
        () => acl(text),
        (error) => error instanceof AuksError && error.reason === reason,
      );
    });
  }
});

test("a principal that a rule takes too long to match gets no more than that rule's role", () => {
  const slow = "^(a*)(a*)(a*)(a*)(a*)\\1\\2\\3\\4\\5b$";
  const rules = acl(rule(slow, "guest") + rule("*", "admin"));
  assert.equal(roleOf(rules, "a@R", LOOPBACK), "admin");
  assert.equal(roleOf(rules, "aab", LOOPBACK), "guest");
  assert.equal(roleOf(rules, "a".repeat(127), LOOPBACK), "guest");
  const reversed = acl(rule(slow, "admin") + rule("*", "user"));
  assert.equal(roleOf(reversed, "a".repeat(127), LOOPBACK), "user");
  assert.equal(roleOf(acl(rule(slow)), "a".repeat(127), LOOPBACK), undefined);
});

test("a host without known addresses does not escape a rule for it", () => {
  const rules = acl(
    rule("^eve@", "user", "login") + rule("*", "guest", "login") + rule("*", "admin"),
  );
  const known = new Map([["login", [LOOPBACK]]]);
  const elsewhere = Uint8Array.of(10, 0, 0, 1);
  assert.equal(roleOf(rules, "bob@R", LOOPBACK, known), "guest");
  assert.equal(roleOf(rules, "eve@R", LOOPBACK, known), "user");
  assert.equal(roleOf(rules, "bob@R", elsewhere, known), "admin");
  for (const unknown of [new Map(), new Map([["login", []]])]) {
    assert.equal(roleOf(rules, "bob@R", elsewhere, unknown), "guest");
    assert.equal(roleOf(rules, "eve@R", elsewhere, unknown), "guest");
  }
});

test("an admin may do everything, a user what concerns their own ticket, and a guest only add it", () => {
  const rows = Object.entries(RIGHTS).map(([role, { add, get, remove, dump }]) =>
    [role, add, get, remove, dump].join(" ")
  );
  assert.deepEqual(rows, [
    "admin any any any true",
    "user own own own false",
    "guest own none none false",
  ]);
});
