// mungebox.cluster, the Ansible collection, on a host whose service manager is systemd: a throw-away copy of this machine, in
// which it is fast enough. tests/fleet has the hosts without systemd, and what does not depend on it.
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { test } from "node:test";
import { NO_BOOT, onBooted } from "../packaging/booted.ts";
import { MUNGEBOX } from "../harness/programs.ts";

/** Ten playbooks on a busy machine. */
const TIMEOUT_MS = 800_000;

/** A host without any MUNGE, its controller, and the function `play`, which prints the status and whether anything was changed. */
const PREPARE = `
rm -rf /usr/bin/*munge /usr/sbin/munge* /lib/systemd/system/munge.service /etc/init.d/munge /etc/munge \\
  /etc/default/munge /var/lib/munge /var/log/munge /run/munge /usr/local/bin/*munge* /usr/local/sbin/munge* \\
  /usr/local/lib/systemd /usr/local/share/mungebox
sed -i /^munge:/d /etc/passwd /etc/group /etc/shadow /etc/gshadow
systemctl daemon-reload
export HOME=/root LANG=C.UTF-8 ANSIBLE_NOCOLOR=1
mkdir -p -m 700 /root/fleet && cd /root/fleet
cat >hosts.ini <<END
[munge]
node ansible_connection=local ansible_python_interpreter=/usr/bin/python3
[munge:vars]
mungebox_source=$project
mungebox_controller_executable=$project/dist/mungebox
mungebox_settings={"key-rotation-time": 1}
END
printf '[defaults]\\ninventory = hosts.ini\\ncollections_path = collections\\n' >ansible.cfg
ansible-galaxy collection install $project/packaging/ansible >log
play() {
  local status=0
  ansible-playbook mungebox.cluster."$@" >log 2>&1 || status=$?
  grep -q '^node .* changed=0 ' log && echo "$1: $status, unchanged" || echo "$1: $status, changed"
}
must() { play "$@" | grep ": 0," || { cat log; return 1; }; }
main() { systemctl show -P MainPID munge.service; }
# Prints whether munged is the same process as the last time.
process() { test "$(main)" = "\${last:-}" && echo same || echo new; last=$(main); }
munge=/usr/local/bin/munge unmunge=/usr/local/bin/unmunge
works() { $munge -n | $unmunge -n && echo works; }
`;

const SCRIPT = `
must install --check -e mungebox_create_key=true
ls /etc/munge /usr/local/bin/mungebox 2>/dev/null || echo nothing there
must install -e mungebox_create_key=true
systemctl is-active munge.service; systemctl is-enabled munge.service
process; works
must install; process
must upgrade --check; process
mkdir /root/newer
(cd $project && cp -r --parents dist/mungebox dist/share packaging scripts/install /root/newer)
echo '.\\" newer' >>/root/newer/dist/share/man/man8/munged.8
must upgrade -e mungebox_source=/root/newer; process; works
cp -r /root/newer /root/broken
cat >/root/broken/dist/mungebox <<'END'
#!/bin/bash
[[ $0 != */munged ]] || { echo it is broken >&2; exit 1; }
exec -a "$0" /usr/local/bin/mungebox.old "$@"
END
play upgrade -e mungebox_source=/root/broken; grep -o 'The upgrade of node failed[^:]*' log | tr -d '\\\\'
must rollback --limit node; process; works
old=$(sha256sum </etc/munge/munge.key)
must rotate --tags stage; works
must rotate --tags promote; works
must rotate --tags retire; process; works
test "$(sha256sum </etc/munge/munge.key)" != "$old" && ls /etc/munge
must doctor
systemctl is-active munge.service
`;

const EXPECTED = `install: 0, changed
nothing there
install: 0, changed
active
enabled
new
works
install: 0, unchanged
same
upgrade: 0, unchanged
same
upgrade: 0, changed
new
works
upgrade: 2, changed
The upgrade of node failed in the task "Replace munged"
rollback: 0, changed
new
works
rotate: 0, changed
works
rotate: 0, changed
works
rotate: 0, changed
same
works
munge.conf
munge.key
doctor: 0, unchanged
active
all done
`;

const SKIP = NO_BOOT || (
  existsSync("/usr/bin/ansible-playbook") && existsSync(MUNGEBOX)
    ? false
    : "needs ansible-core and dist/mungebox"
);

test("the playbooks install, upgrade, roll back, rotate and diagnose", { skip: SKIP }, () => {
  assert.equal(onBooted(`${PREPARE}${SCRIPT}`, TIMEOUT_MS), EXPECTED);
});
