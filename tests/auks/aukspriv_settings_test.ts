// aukspriv's variables, durations, and the choice among a keytab's principals.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { parseDuration } from "../../daemon/aukspriv/duration.ts";
import { chooseCandidates } from "../../daemon/aukspriv/principal.ts";
import { readSettings, SettingError } from "../../daemon/aukspriv/settings.ts";

describe("parseDuration()", () => {
  for (
    const [text, seconds] of [
      ["0", 0],
      ["36000", 36_000],
      ["10h", 36_000],
      ["1d12h", 129_600],
      ["2m5s", 125],
      ["10:30", 37_800],
      ["0:00:07", 7],
    ] as const
  ) {
    it(`${text} is ${seconds} s`, () => assert.equal(parseDuration(text), seconds));
  }
  for (const text of ["", "x", "-1", "5 m", "1h1d", "1.5h", "1:60", "99999999999", "h"]) {
    it(`"${text}" is not a duration`, () => assert.equal(parseDuration(text), undefined));
  }
});

describe("readSettings()", () => {
  it("has the original's defaults", () => {
    assert.deepEqual(readSettings({}), {
      user: "root",
      keytab: "/etc/krb5.keytab",
      principal: undefined,
      request: { lifetime: 36_000 },
      ccache: undefined,
      renewInterval: undefined,
      errorInterval: 60,
      timeout: 10,
      syslogPriority: "local3.notice",
    });
  });

  it("treats an empty variable as unset", () => {
    assert.deepEqual(readSettings({ AUKS_PRIV_PRINC: "", AUKS_PRIV_KEYTAB: "" }), readSettings({}));
  });

  it("reads kinit's options, clustered and separate", () => {
    const { request, ccache } = readSettings({
      AUKS_KINIT_OPTS: " -r 2d -fP -l10h  -c KEYRING:session:host ",
      AUKS_PRIV_LIFETIME: "77",
    });
    assert.deepEqual(request, {
      lifetime: 36_000,
      renewLifetime: 172_800,
      forwardable: true,
      proxiable: false,
    });
    assert.equal(ccache, "KEYRING:session:host");
  });

  for (
    const [environment, text] of [
      [
        { AUKS_PRIV_ERROR_INT: "soon" },
        'AUKS_PRIV_ERROR_INT: "soon" is not a positive number of seconds',
      ],
      [{ AUKS_PRIV_RENEW_INT: "0" }, "AUKS_PRIV_RENEW_INT"],
      [{ AUKS_KINIT_OPTS: "-T /tmp/armor" }, "AUKS_KINIT_OPTS: -T is not supported"],
      [{ AUKS_KINIT_OPTS: "-r" }, "AUKS_KINIT_OPTS: -r without a value"],
      [{ AUKS_KINIT_OPTS: "bob" }, "AUKS_KINIT_OPTS: bob is not supported"],
    ] as const
  ) {
    it(`refuses ${JSON.stringify(environment)}`, () => {
      assert.throws(
        () => readSettings(environment),
        (error) => error instanceof SettingError && error.message.startsWith(text),
      );
    });
  }
});

describe("chooseCandidates()", () => {
  const choose = (principals: string[], host: string) =>
    chooseCandidates(principals, host).map(({ principal }) => principal);

  it("takes the only one, whatever its name", () => {
    assert.deepEqual(choose(["nfs/a.realm.a@REALM.A", "nfs/a.realm.a@REALM.A"], "mngt"), [
      "nfs/a.realm.a@REALM.A",
    ]);
  });

  it("takes the machine account of Active Directory before its aliases", () => {
    const keytab = [
      "RestrictedKrbHost/NODE1@AD.EXAMPLE",
      "host/NODE1@AD.EXAMPLE",
      "host/node1.ad.example@AD.EXAMPLE",
      "NODE1$@AD.EXAMPLE",
    ];
    assert.equal(choose(keytab, "node1.ad.example")[0], "NODE1$@AD.EXAMPLE");
    assert(!choose(keytab, "node1").includes("RestrictedKrbHost/NODE1@AD.EXAMPLE"));
  });

  it("prefers this host's name, and never takes a service's", () => {
    const keytab = [
      "nfs/mngt.realm.a@REALM.A",
      "host/alias.realm.a@REALM.A",
      "host/mngt.realm.a@REALM.A",
      "auks@REALM.A",
    ];
    for (const host of ["mngt", "mngt.realm.a", "MNGT"]) {
      assert.deepEqual(choose(keytab, host), [
        "host/mngt.realm.a@REALM.A",
        "host/alias.realm.a@REALM.A",
        "auks@REALM.A",
      ], host);
    }
  });

  it("finds none if there are only services, or nothing", () => {
    assert.deepEqual(choose(["nfs/a@R", "HTTP/a@R"], "a"), []);
    assert.deepEqual(choose([], "a"), []);
  });
});

describe("aukspriv.service", () => {
  const unit = readFileSync(
    join(import.meta.dirname, "../../packaging/auks/aukspriv.service"),
    "utf8",
  );

  it("makes the directory of the cache that aukspriv(8) suggests, and never removes it", () => {
    assert.match(unit, /^RuntimeDirectory=auks$/m);
    assert.match(unit, /^RuntimeDirectoryMode=0755$/m);
    assert.match(unit, /^RuntimeDirectoryPreserve=yes$/m);
  });
});
