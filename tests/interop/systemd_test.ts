// munged as a systemd service: Type=notify in the foreground, Type=forking in the background.
import assert from "node:assert/strict";
import { test } from "node:test";
import { needs, runOurs } from "./sandboxed.ts";

/** Prints each datagram that arrives at a socket. */
const LISTEN =
  `perl -MSocket -e '$| = 1; socket(S, AF_UNIX, SOCK_DGRAM, 0); $ARGV[0] =~ s/^@/\\0/; bind(S, sockaddr_un($ARGV[0])) or die;
print "listening\\n"; print "$m\\n" while defined recv(S, $m, 999, 0)'`;

for (const address of ["/mnt/notify", "@notify"]) {
  test(
    `munged notifies ${address} when it is ready and when it stops`,
    needs("/usr/bin/perl"),
    async () => {
      const { output, whole } = await runOurs(`
${LISTEN} ${address} >heard &
await grep -q listening heard
NOTIFY_SOCKET=${address} begin munged --foreground
await grep -q READY heard
serving /run/munge/munge.socket.2 && echo serves
end
await grep -q STOPPING heard
cat heard`);
      assert.deepEqual(output, ["serves", "listening", "READY=1", "STOPPING=1"], whole);
    },
  );
}

test("a failed start sends the manager no notification", needs("/usr/bin/perl"), async () => {
  const { output, whole } = await runOurs(`
${LISTEN} notify >heard &
await grep -q listening heard
rm /etc/munge/munge.key
NOTIFY_SOCKET=/mnt/notify munged --foreground
echo $?
cat heard`);
  assert.deepEqual(output, ["1", "listening"], whole);
});

test(
  "a background start returns when requests are served, with the PID in the file",
  needs(),
  async () => {
    const { output, whole } = await runOurs(`
munged && serving /run/munge/munge.socket.2 && echo serves
kill -0 "$(cat /run/munge/munged.pid)" && echo runs`);
    assert.deepEqual(output, ["serves", "runs"], whole);
  },
);
