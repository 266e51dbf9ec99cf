// Who owns a credential cache that root fills or renews.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import {
  chmodSync,
  chownSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { after, before, it } from "node:test";
import { prepareCredential } from "../../lib/auks_client/outgoing_credential.ts";
import { storeCredential } from "../../lib/auks_client/received_credential.ts";
import { Context } from "../../lib/krb5/context.ts";
import { suite } from "../suite.ts";
import { BOB_IS_DAEMON, Kdc, KDC_NEEDS } from "./kdc.ts";

const BOB = 1;
const MALLORY = 65_534;

suite("the owner of a cache", { ...KDC_NEEDS, root: process.getuid!() === 0 }, () => {
  let kdc: Kdc;
  let context: Context;
  let krbCred: Uint8Array;

  before(async () => {
    kdc = await Kdc.start({ realmLines: BOB_IS_DAEMON });
    kdc.enter();
    kdc.login("bob");
    context = Context.open();
    const source = { ccache: kdc.cache("bob"), crossRealm: "", warn: () => {} };
    ({ krbCred } = prepareCredential(context, source));
  });

  after(async () => {
    context?.close();
    await kdc?.stop();
  });

  function ownerOf(name: string, previous: number | undefined): number {
    const path = join(kdc.directory, name);
    if (previous !== undefined) {
      writeFileSync(path, "");
      chmodSync(path, 0o666);
      chownSync(path, previous, previous);
    }
    storeCredential(context, path, krbCred);
    const { uid, mode } = statSync(path);
    assert.equal(mode & 0o777, 0o600);
    return uid;
  }

  it("stays the user whose tickets it holds", () => {
    assert.equal(ownerOf("bobs", BOB), BOB);
  });

  it("is root for a new cache", () => {
    assert.equal(ownerOf("new", undefined), 0);
  });

  it("is never another user who planted a file there to get the tickets", () => {
    assert.equal(ownerOf("planted", MALLORY), 0);
  });

  it("is not set on a device such as /dev/null, which is not replaced", () => {
    const path = join(kdc.directory, "device");
    execFileSync("mknod", [path, "c", "1", "3"]);
    assert.throws(() => storeCredential(context, path, krbCred), /device: It is a device/);
    assert(lstatSync(path).isCharacterDevice());
  });

  it("is right even if another user has taken names in its directory", () => {
    for (let number = 0; number < 100; number++) {
      mkdirSync(join(kdc.directory, `taken.${process.pid}.${number}`));
    }
    assert.equal(ownerOf("taken", undefined), 0);
    const files = readdirSync(kdc.directory).filter((name) => name.startsWith("taken"));
    assert.equal(files.length, 101, "nothing unfinished is left");
  });
});
