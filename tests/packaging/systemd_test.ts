// The units on a booted systemd: which process it considers the main one when munged replaces itself, and that no client
// is refused while munged restarts on systemd's socket. The clients are those of the C MUNGE.
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { test } from "node:test";
import { NO_BOOT, onBooted } from "./booted.ts";

const skip = NO_BOOT || (!existsSync("/usr/bin/unmunge") && "needs the C MUNGE");

const PREPARE = `
cd $project
rm -rf /etc/munge /var/lib/munge /var/log/munge /lib/systemd/system/munge.service
systemctl() { timeout 60 /bin/systemctl "$@"; }
main() { systemctl show -P MainPID munge.service; }
# munged answers a moment before systemd knows that it has started, or in whose place.
eventually() { for try in $(seq 600); do "$@" && return; sleep 0.1; done; "$@"; }
active() {
  eventually systemctl --quiet is-active munge.service
  systemctl is-active munge.service
}
round() { /usr/bin/munge -n | /usr/bin/unmunge -n >/dev/null; }
install_units() {
  UNITDIR=/etc/systemd/system scripts/install "$@" >/dev/null 2>&1
  setpriv --reuid=munge --regid=munge --clear-groups mungekey --create --force
  echo 'OPTIONS="--origin=127.0.0.1"' >/etc/default/munge
  for unit in munge.service munge.socket; do
    mkdir -p /etc/systemd/system/$unit.d
    # There is no network, and nothing else, to wait for here.
    printf '[Unit]\\nDefaultDependencies=no\\nWants=\\nAfter=\\nStartLimitIntervalSec=0\\n' >/etc/systemd/system/$unit.d/test.conf
  done
  systemctl daemon-reload
}
`;

for (const [type, option] of [["forking", ""], ["notify", "--notify"]] as const) {
  test(`Type=${type}: a reload keeps munged, or with the documented drop-in replaces it`, {
    skip,
  }, () => {
    const output = onBooted(`${PREPARE}
install_units ${option}
systemctl start munge.service
round
first=$(main)
systemctl reload munge.service
round
test $(main) = $first && echo kept
printf '[Service]\\nExecReload=\\nExecReload=/usr/local/sbin/munged --replace $OPTIONS\\n' \\
  >/etc/systemd/system/munge.service.d/replace.conf
systemctl daemon-reload
before=$first
replaced() { test $(main) != $before && test $(main) = $(cat /run/munge/munged.pid); }
for count in 1 2 3; do
  systemctl reload munge.service
  round
  eventually replaced && echo replaced
  eventually test ! -e /proc/$before/exe && echo gone
  before=$(main)
  round
done
systemctl is-active munge.service
systemctl restart munge.service
round
systemctl stop munge.service
systemctl show -P Result munge.service
ls /run/munge
`);
    const replaced = "replaced\ngone\n".repeat(3);
    assert.equal(output, `kept\n${replaced}active\nsuccess\nall done\n`);
  });
}

test("munge.socket: munge's user can't have systemd give it a file of root's", { skip }, () => {
  const output = onBooted(`${PREPARE}
install_units
systemctl start munge.socket munge.service
systemctl stop munge.service 2>/dev/null
stat -c %U /run/munge
install -m 600 /dev/null /etc/victim
setpriv --reuid=munge --regid=munge --clear-groups perl -e '
  my $path = "/run/munge/munge.socket.2";
  for (;;) { if (-S $path && unlink $path) { symlink "/etc/victim", $path; sleep 1 } }' &
for restart in $(seq 8); do
  systemctl restart munge.socket
  sleep 1
done
eventually test -L /run/munge/munge.socket.2 && echo was swapped
stat -c "%U %a" /etc/victim
kill %1
`);
  assert.equal(output, "munge\nwas swapped\nroot 600\nall done\n");
});

test("munge.socket: restarts refuse no client, and a stopped munged is started by the next one", {
  skip,
}, () => {
  const output = onBooted(`${PREPARE}
install_units
systemctl start munge.socket
systemctl is-active munge.service || true
round && active
(
  count=0 failed=0
  until test -e /tmp/enough && test $count -gt 20; do
    round || failed=$((failed + 1))
    count=$((count + 1))
  done
  echo "$failed failed"
) &
for restart in 1 2 3 4 5; do
  systemctl restart munge.service
  sleep 0.3
done
touch /tmp/enough
wait
systemctl stop munge.service 2>/dev/null
ls /run/munge
round && active
systemctl stop munge.socket munge.service
ls /run/munge
`);
  assert.equal(
    output,
    "inactive\nactive\n0 failed\nmunge.socket.2\nactive\nall done\n",
  );
});

test(
  "munge-key.service makes a key that was left for the first start, and no other",
  { skip },
  () => {
    const output = onBooted(`${PREPARE}
install_units
rm /etc/munge/munge.key
for unit in munge.service munge-key.service; do
  mkdir -p /etc/systemd/system/$unit.d
  printf '[Unit]\\nDefaultDependencies=no\\nWants=\\nAfter=\\nStartLimitIntervalSec=0\\n' \\
    >/etc/systemd/system/$unit.d/test.conf
done
printf 'Wants=munge-key.service\\nAfter=munge-key.service\\n' \\
  >>/etc/systemd/system/munge.service.d/test.conf
systemctl daemon-reload
systemctl start munge.service 2>/dev/null || echo "no key, no munged"
setpriv --reuid=munge --regid=munge --clear-groups touch /var/lib/munge/make-key
systemctl start munge.service
round
stat -c '%a %U %s' /etc/munge/munge.key
ls /var/lib/munge/make-key 2>/dev/null || echo "done once"
key=$(sha256sum /etc/munge/munge.key)
systemctl restart munge.service
test "$key" = "$(sha256sum /etc/munge/munge.key)" && echo same
systemctl stop munge.service
`);
    assert.equal(output, "no key, no munged\n600 munge 128\ndone once\nsame\nall done\n");
  },
);
