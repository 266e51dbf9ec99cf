// Who may take part when one munged replaces another: a process of munged's own user, or of root.
import assert from "node:assert/strict";
import { chmodSync, closeSync } from "node:fs";
import { test } from "node:test";
import { handoverPath, trustedPeer } from "../../../../daemon/munged/handover/place.ts";
import { setEffectiveUser } from "../../../../lib/os/identity.ts";
import { connectForPackets, listenForPackets } from "../../../../lib/os/packet_socket.ts";
import { acceptConnection } from "../../../../lib/os/socket.ts";
import { isRoot } from "../../../harness/programs.ts";
import { withDirectory } from "../../../harness/scratch.ts";

const [ROOT, MUNGE, STRANGER] = [0, 65_533, 65_534] as const;
const skip = (process.platform !== "linux" || !isRoot) && "needs Linux and root";

/** What `action` returns as another user. */
function as<T>(uid: number, action: () => T): T {
  setEffectiveUser(uid);
  try {
    return action();
  } finally {
    setEffectiveUser(ROOT);
  }
}

for (
  const [old, replacement, isTrusted] of [
    [MUNGE, MUNGE, true],
    [MUNGE, ROOT, true],
    [MUNGE, STRANGER, false],
    [ROOT, ROOT, true],
    [ROOT, MUNGE, false],
  ] as const
) {
  test(
    `a munged of UID ${old} ${isTrusted ? "trusts" : "refuses"} a new one of UID ${replacement}`,
    {
      skip,
    },
    () => {
      withDirectory((directory) => {
        chmodSync(directory, 0o777); // as if the directory did not keep strangers out
        const path = handoverPath(directory);
        const listener = as(old, () => listenForPackets(path));
        chmodSync(path, 0o777);
        const client = as(replacement, () => connectForPackets(path));
        const accepted = acceptConnection(listener);
        assert.deepEqual(
          as(old, () => trustedPeer(accepted)),
          isTrusted ? { pid: process.pid } : null,
        );
        for (const fd of [accepted, client, listener]) closeSync(fd);
      });
    },
  );
}

test("a new munged refuses an old one of another user", { skip }, () => {
  withDirectory((directory) => {
    chmodSync(directory, 0o777);
    const path = handoverPath(directory);
    const listener = as(STRANGER, () => listenForPackets(path));
    const client = connectForPackets(path);
    assert.equal(trustedPeer(client), null);
    for (const fd of [client, listener]) closeSync(fd);
  });
});
