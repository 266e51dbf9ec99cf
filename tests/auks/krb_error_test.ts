// The explanations that users get for KRB-ERRORs of the real daemon.
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { explainKrbError } from "../../lib/auks_client/krb_error.ts";
import { krbError } from "./scripted_auksd.ts";

const TRANSCRIPTS = join(import.meta.dirname, "reference/transcripts");
const SERVICE = "host/mngt.realm.a@REALM.A";
/** APPLICATION 30 */
const KRB_ERROR = 0x7e;

interface Transcript {
  readonly clock: number;
  readonly messages: readonly { readonly from: string; readonly bytes: string | null }[];
}

/** The KRB-ERROR of a conversation: the daemon's last message, after its length. */
function recordedError(name: string): { error: Uint8Array; clock: number } | undefined {
  const { clock, messages } = JSON.parse(
    readFileSync(join(TRANSCRIPTS, name), "utf8"),
  ) as Transcript;
  for (const { from, bytes } of messages) {
    if (from !== "server" || bytes === null) continue;
    const data = Buffer.from(bytes, "base64");
    if (data[4] === KRB_ERROR && data.readUInt32BE(0) === data.length - 4) {
      return { error: data.subarray(4), clock };
    }
  }
  return undefined;
}

const EXPECTED: Readonly<Record<string, RegExp>> = {
  "head-bad-kvno": /keytab lacks the version of the key for host\/mngt/,
  "head-bad-key": /the daemon's key for host\/mngt.* is not the KDC's/,
  "head-no-keytab": /can't read a key for host\/mngt/,
  "head-no-principal-in-keytab": /can't read a key for host\/mngt/,
  "ap-req-skew-early": /^the clocks differ: the daemon's is \d+ s (ahead|behind)$/,
  "ap-req-skew-late": /^the clocks differ: /,
  "ap-req-ticket-expired": /has expired by the daemon's clock, which is \d+ s (ahead|behind)$/,
  "ap-req-ticket-not-yet-valid": /not yet valid by the daemon's clock, which is \d+ s/,
  "ap-req-ticket-invalid-flag": /Ticket has invalid flag set$/,
  "ap-req-other-client": /name different clients/,
  "ap-req-authenticator-key": /is not the KDC's/,
};

describe("explainKrbError()", () => {
  for (const [name, reason] of Object.entries(EXPECTED)) {
    it(`${name}: ${reason.source}`, () => {
      const { error, clock } = recordedError(`${name}.json`)!;
      const explanation = explainKrbError(error, SERVICE, clock * 1000);
      assert.match(explanation.reason, reason);
      assert.equal(explanation.isTransient, false);
    });
  }

  it("explains every recorded error, whole or truncated", () => {
    let count = 0;
    for (const name of readdirSync(TRANSCRIPTS)) {
      const recorded = recordedError(name);
      if (recorded === undefined) continue;
      count++;
      for (let length = 0; length <= recorded.error.length; length++) {
        const { reason } = explainKrbError(recorded.error.subarray(0, length), SERVICE, 0);
        assert.notEqual(reason, "");
        assert.doesNotMatch(reason, /undefined|NaN/);
      }
    }
    assert(count > 15, `${count}`);
  });

  it("reports a replay as transient, and shows the number of an unknown error", () => {
    assert.equal(explainKrbError(krbError(34), SERVICE, 0).isTransient, true);
    assert.match(explainKrbError(krbError(99), SERVICE, 0).reason, /: error 99$/);
  });
});
