// Broken or hostile servers: their answers do no harm and reveal nothing.
import assert from "node:assert/strict";
import { type AddressInfo, createServer } from "node:net";
import { test } from "node:test";
import { diagnose } from "../../../../daemon/munged/replay_store/diagnosis.ts";
import { Master } from "../../../../daemon/munged/replay_store/master.ts";
import { shardsIn } from "../../../../daemon/munged/replay_store/topology.ts";

const PASSWORD = "a secret";
const ACCESS = { user: "munge", password: PASSWORD, tls: null };

/** Calls `use` with the address of a server that answers each command in `answers`, by its name. */
async function withServer<T>(
  answers: Readonly<Record<string, string>>,
  use: (address: { host: string; port: number }) => Promise<T>,
): Promise<T> {
  const server = createServer((socket) => {
    socket.on("error", () => {});
    socket.on("data", (bytes) => {
      for (const [, name] of bytes.toString().matchAll(/\*\d+\r\n\$\d+\r\n(\w+)/g)) {
        socket.write(answers[name!] ?? "+OK\r\n");
      }
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  try {
    return await use({ host: "127.0.0.1", port: (server.address() as AddressInfo).port });
  } finally {
    server.close();
  }
}

test("a password that a server repeats is not reported", async () => {
  for (
    const [answer, reported] of [
      // A Sentinel or server of version 5, or one whose command was renamed.
      [
        `ERR unknown command 'AUTH', with args beginning with: 'munge' '${PASSWORD}' `,
        "ERR unknown command 'AUTH'",
      ],
      [`ERR no user with the password ${PASSWORD}!`, "ERR no user with the password ...!"],
    ] as const
  ) {
    const found = await withServer(
      { AUTH: `-${answer}\r\n` },
      (address) => diagnose(address, ACCESS, 2_000),
    );
    assert.equal(found, reported);
  }
});

test("an answer to WAIT that is not a number confirms nothing", async () => {
  const answers = {
    HELLO: "%1\r\n$5\r\nproto\r\n:3\r\n",
    INFO: "$28\r\nrole:master\r\nrun_id:abcdef\r\n\r\n",
    TIME: "*2\r\n$10\r\n1700000000\r\n$1\r\n0\r\n",
    GET: "$10\r\n1700000000\r\n",
  };
  const settings = { access: ACCESS, token: "x", replicas: 1, timeout: 1_000, tag: "" };
  const open = (wait: string) =>
    withServer({ ...answers, WAIT: wait }, async (address) => {
      const { link } = await Master.open(address, settings);
      link.close();
    });
  await open(":1\r\n");
  for (const wait of [":0\r\n", "+many\r\n", "*2\r\n:1\r\n:1\r\n"]) {
    await assert.rejects(open(wait), /NOREPLICAS/, wait);
  }
});

test("a cluster has no more masters than munged has descriptors for", () => {
  const rows = (count: number) => Array.from({ length: count }, (_, i) => [i, i, ["h", 1000 + i]]);
  const asked = { host: "10.0.0.9", port: 1 };
  assert.equal(shardsIn(rows(100), asked).length, 100);
  assert.throws(() => shardsIn(rows(101), asked), /names more than 100 masters/);
});
