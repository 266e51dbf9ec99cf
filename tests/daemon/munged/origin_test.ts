// Which origins munged accepts.
import { spawnSync } from "node:child_process";
import { networkInterfaces } from "node:os";
import { test } from "node:test";
import assert from "node:assert/strict";
import { announceOrigin, resolveOrigin } from "../../../daemon/munged/origin.ts";
import { memoryLogger } from "../memory_logger.ts";

const loopback = Object.entries(networkInterfaces()).find(([, addresses]) =>
  addresses?.some(({ address }) => address === "127.0.0.1")
)?.[0];

for (
  const [origin, line] of [
    [
      "127.0.0.5",
      "warning: Set origin address to 127.0.0.5 - loopback, only meaningful on local host",
    ],
    ["0.0.0.0", "warning: Set origin address to 0.0.0.0 - null address"],
    [
      "169.254.9.9",
      "warning: Set origin address to 169.254.9.9 - link-local, only valid on local segment",
    ],
    ["203.0.113.7", "info: Set origin address to 203.0.113.7"],
    ["203.0.113", "info: Set origin address to 203.0.0.113"],
  ] as const
) {
  test(`origin ${origin} is logged`, () => {
    const logger = memoryLogger();
    announceOrigin(resolveOrigin({ origin, force: false }, logger), logger);
    assert.deepEqual(logger.lines, [line]);
  });
}

test("interface names and host names are valid origins", { skip: loopback === undefined }, () => {
  for (const origin of [loopback!, "localhost", "127.0.0.1"]) {
    const found = resolveOrigin({ origin, force: false }, memoryLogger());
    assert.deepEqual(found, { address: Uint8Array.of(127, 0, 0, 1), interfaceName: loopback });
  }
});

const canAddInterface = process.geteuid!() === 0 &&
  spawnSync("unshare", ["--net", "ip", "link", "show"]).status === 0;

test("an interface that is down is a valid origin", { skip: !canAddInterface }, () => {
  const script =
    `ip link add ib0 type veth peer name ib1 && ip addr add 192.0.2.7/24 dev ib0 && exec "$@"`;
  const module = new URL("../../../daemon/munged/origin.ts", import.meta.url).pathname;
  const program =
    `import { resolveOrigin } from "${module}"; console.log(resolveOrigin({ origin: "ib0", force: false }, console).address.join("."))`;
  const { stdout, stderr } = spawnSync(
    "unshare",
    ["--net", "sh", "-c", script, "sh", process.execPath, "--eval", program],
    { encoding: "utf8" },
  );
  assert.equal(stdout, "192.0.2.7\n", stderr);
});

test("resolveOrigin() refuses what it can't resolve, and only warns with --force", () => {
  const origin = "no such host";
  assert.throws(() => resolveOrigin({ origin, force: false }, memoryLogger()), {
    message: 'Failed to resolve origin "no such host": Host not found',
  });
  const logger = memoryLogger();
  const found = resolveOrigin({ origin, force: true }, logger);
  assert.deepEqual(found, { address: new Uint8Array(4), interfaceName: undefined });
  assert.deepEqual(logger.lines, [
    'warning: Failed to resolve origin "no such host": Host not found',
  ]);
});
