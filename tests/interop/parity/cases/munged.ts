// munged: its options, start, stop, --stop, and what it logs.
import type { Chapter } from "../case.ts";
import {
  CLEAN_FAILURE,
  CLOSED_DESCRIPTORS,
  FIFO_SEED,
  HANGUP,
  LICENSE,
  LINKED_LOCK,
  NAMED_OPTION,
  NEW_FILES,
  NO_LOCK,
  REPLAY_DIRECTORY,
  REPLAY_SECURITY,
  SEED_FIRST,
  UMASK,
  WRAPPED_NUMBERS,
} from "./reasons.ts";

/** A foreground daemon with all its files in the case's own directory. */
const HERE = "--key-file=key --socket=sock --pid-file=pid --seed-file=seed --log-file=log";
const NUMBERS = "''|x|-1|10x|' 5'|+5|2147483647|2147483648|99999999999999999999|true";

/** A daemon whose PID file's directory is in some state. */
function inDirectory(state: string): string {
  return `${state}; briefly munged -F --pid-file=pid; s=$?; chown 0 .; exit $s`;
}

export const MUNGED: Chapter = {
  title: "munged",
  areas: [
    {
      title: "-h, --help; -L, --license; -V, --version",
      cases: [
        "munged -h",
        { run: "munged -L | head -n 2", differs: LICENSE },
        "munged --version",
        "munged -FVh",
      ],
    },
    {
      title: "Command line",
      cases: [
        "munged -x",
        "munged --xyz=3",
        "munged -Fx",
        "munged stray",
        "munged -- stray",
        "munged -F ''",
        "munged --f",
        "munged --fo",
        "munged --s",
        "munged --group",
        "munged --key-file",
        "munged -S",
        "munged --socket",
        "munged --max-ttl",
        "munged --max-ttl=",
        { run: "munged --syslog=x", better: NAMED_OPTION },
        { run: "munged --benchmark=1", better: NAMED_OPTION },
        "munged --key-file= --no-such",
        "munged -W",
        "munged -é",
      ],
    },
    {
      title: "-F, --foreground",
      cases: [
        "briefly munged -F",
        "briefly munged --foreground",
        "briefly munged --foreg -v",
        "briefly munged -Fv --log-file=nodir/log",
        "cp /etc/munge/munge.key key; briefly munged -F " + HERE,
        "begin munged -F; end INT",
        "begin munged -F; kill -HUP $daemon; await grep -q Hangup $directory/daemon; end",
        "begin munged -F --group-check-mtime=0; kill -HUP $daemon; sleep 1; end",
        "umask 0; start; signal KILL",
      ],
    },
    {
      title: "Background start",
      cases: [
        "start",
        "start; munged --stop",
        "umask 0; start",
        "umask 077; start",
        "umask 0777; start",
        "cp /etc/munge/munge.key key; munged " + HERE + "; await told log",
        "mkdir s; cd s; cp /etc/munge/munge.key key; munged " + HERE +
        "; await told log; munged -s -v -S sock",
        "rm /etc/munge/munge.key; munged",
        "munged --log-file=nodir/log",
        "munged --log-file=/proc/log",
        "as 1 munged",
        "chmod 755 .; mkdir mine; cp /etc/munge/munge.key mine/key; chmod 600 mine/key; chown -R 1:1 mine; cd mine; as 1 munged " +
        HERE +
        "; await told log; munge -n -S sock | unmunge -S sock -k UID,GID; as 1 munged --stop -S sock",
        "start; munged --group-update-time=-1",
        "start; munged -F --group-update-time=-1",
        { run: "start; munged -F -S other --pid-file=nodir/pid", differs: REPLAY_DIRECTORY },
        "start; signal KILL; start",
        "start; signal INT",
        "start; kill -HUP $(cat /run/munge/munged.pid); await grep -q Hangup $log; munge -n | unmunge -k UID",
        {
          run: "start; kill -HUP $(cat /run/munge/munged.pid); sleep 1; grep -c Found $log",
          better: HANGUP,
        },
        "start --group-check-mtime=0; kill -HUP $(cat /run/munge/munged.pid); sleep 1; grep -c Found $log",
        "start; grep -o 'Found 1 user with supplementary groups in' $log",
        "start; signal USR1; munged --stop -v",
        { run: "start; rm /run/munge/munge.socket.2; munged --stop -v", better: SEED_FIRST },
        "start; rm /run/munge/munged.pid; munged --stop -v",
        "start; rm /run/munge/munge.socket.2.lock; munged --stop -v; munge -n | cut -c 1-6",
      ],
    },
    {
      title: "Process attributes",
      cases: [
        "start; pidof munged >/dev/null && echo pidof; pgrep -x munged >/dev/null && echo pgrep; ps -C munged -o comm=",
        "start; ps -C munged -o args=",
        "start -v --num-threads=3; ps -C munged -o tty=,ppid=,user=,args=",
        "start; pid=$(cat /run/munge/munged.pid); test $(ps -o sid= $pid) != $pid && echo follows; test $(ps -o sid= $pid) != $(ps -o sid= $$) && echo apart",
        "start; readlink /proc/$(cat /run/munge/munged.pid)/cwd",
        "start; cd /proc/$(cat /run/munge/munged.pid)/fd; readlink 0 1 2",
        "start; grep -E 'Max core file' /proc/$(cat /run/munge/munged.pid)/limits",
        { run: "start; grep Umask /proc/$(cat /run/munge/munged.pid)/status", differs: UMASK },
        {
          run:
            "exec 8</dev/zero; start; ls -l /proc/$(cat /run/munge/munged.pid)/fd | grep -c /dev/zero",
          better: CLOSED_DESCRIPTORS,
        },
        "munged | cat; echo closed",
        "start; ps -e -o stat=,comm= | grep -c '^Z.*munged'",
        "rm /etc/munge/munge.key; munged; pidof munged",
        "perl -e 'setpgrp; exec @ARGV' munged; kill -0 $(cat /run/munge/munged.pid) && echo alive",
      ],
    },
    {
      title: "-S, --socket=PATH; lock file",
      cases: [
        ...[
          "touch sock",
          "ln -s nowhere sock",
          "mkfifo sock",
          "touch sock.lock; chmod 200 sock.lock",
          "touch sock.lock; chmod 644 sock.lock",
          "touch sock.lock; chmod 600 sock.lock",
          "touch sock.lock; chmod 200 sock.lock; chown 1 sock.lock",
        ].flatMap((leftover) => [
          `${leftover}; briefly munged -F -S sock`,
          `${leftover}; briefly munged -F -f -S sock`,
        ]),
        { run: "mkdir sock; briefly munged -F -S sock", better: CLEAN_FAILURE },
        { run: "mkdir sock; briefly munged -F -f -S sock", better: CLEAN_FAILURE },
        "mkdir sock.lock; briefly munged -F -S sock",
        { run: "mkdir sock.lock; briefly munged -F -f -S sock", better: NO_LOCK },
        { run: "ln -s x sock.lock; briefly munged -F -S sock", better: LINKED_LOCK },
        "ln -s x sock.lock; briefly munged -F -f -S sock",
        {
          run: "ln -s /etc/munge/munge.key sock.lock; briefly munged -F -S sock",
          better: LINKED_LOCK,
        },
        "ln -s /etc/munge/munge.key sock.lock; briefly munged -F -f -S sock",
        {
          run:
            "mkfifo sock.lock; chmod 200 sock.lock; munged -F -S sock & sleep 2; kill -KILL $! 2>/dev/null; wait $!",
          better: LINKED_LOCK,
        },
        { run: "munged -F -S ''", better: CLEAN_FAILURE },
        "munged -F -S $(printf %0120d 1)",
        "briefly munged -F --socket ../mnt/./sock",
        "echo junk >sock.lock; chmod 200 sock.lock; start -S sock; wc -c <sock.lock; munged --stop -S sock",
      ],
    },
    {
      title: "-s, --stop",
      before: "cd /mnt",
      cases: [
        "munged --stop",
        "munged --stop -v",
        "munged -sv -S nodir/sock",
        "touch sock.lock; munged -sv -S sock",
        "mkdir sock.lock; munged -sv -S sock",
        "start; munged -s",
        "start; munged --stop --verbose",
        "start; munged -v --stop --socket=/run/munge/munge.socket.2",
        "start; signal KILL; munged -s -v",
        "start; as 1 munged -s -v; echo $?; munge -n | cut -c 1-6",
        "start -S sock; munged -s -v -S sock",
        "start; munged -s; start; munged -sv",
        "start; pid=$(cat /run/munge/munged.pid); munged -s; alive $pid && echo alive",
      ],
    },
    {
      title: "-s, --stop of a stopped process",
      waits: true,
      before: "start; kill -STOP $(cat /run/munge/munged.pid)",
      cases: ["munged -s -v; echo $?; munged -s -v", "munged -s"],
    },
    {
      title: "-s, --stop of the C daemon",
      cases: [
        "/usr/sbin/munged; await told $log; munged --stop -v",
        "start; /usr/sbin/munged --stop -v",
        "start; PATH=/usr/sbin:$PATH munged --group-update-time=-1",
        "/usr/sbin/munged; await told $log; munged --group-update-time=-1",
      ],
    },
    {
      title: "-f, --force",
      cases: [
        {
          run:
            "chmod 644 /etc/munge/munge.key; chmod 777 /var/lib/munge; munged --force; await told $log",
          differs: REPLAY_SECURITY,
        },
        {
          run: "start; munged --force; await told $log; munge -n | unmunge -k UID",
          differs: REPLAY_DIRECTORY,
        },
        "munged -F -f --key-file=missing",
        "chmod 644 /etc/munge/munge.key; start --force",
      ],
    },
    {
      title: "-M, --mlockall",
      cases: [
        "briefly munged -F -M",
        "briefly munged -F --mlockall",
        "start -M; munged --stop",
        ...["munged -F -M", "munged -M"].map((daemon) => ({
          run:
            `prlimit --memlock=65536:65536 setpriv --bounding-set -ipc_lock --inh-caps -ipc_lock ${daemon}`,
          better: CLEAN_FAILURE,
        })),
        "prlimit --memlock=unlimited setpriv --bounding-set -ipc_lock --inh-caps -ipc_lock munged -M; munged --stop -v",
      ],
    },
    {
      title: "-v, --verbose; --benchmark",
      cases: ["briefly munged -Fv --benchmark", "start --benchmark; munge -n | unmunge -k STATUS"],
    },
    {
      title: "--group-check-mtime=BOOL",
      cases: `0|1|${NUMBERS}`.split("|").map((value) =>
        `briefly munged -F --group-check-mtime=${value}`
      ),
    },
    {
      title: "--group-update-time=SECS",
      cases: [
        ...`0|1|-2|${NUMBERS}`.split("|").map((value) =>
          `briefly munged -F --group-update-time=${value}`
        ),
        "start; munge -n -g staff -o c; as 1000 unmunge -k GID_RESTRICTION -i c",
        "start --group-update-time=-1; munge -n -g staff -o c; as 1000 unmunge -k GID_RESTRICTION -i c",
      ],
    },
    {
      title: "Changing group membership",
      waits: true,
      cases: [
        "start --group-update-time=1; sleep 1.1; echo games:x:60:bob >>/etc/group; sleep 2.2; munge -n -g games | as 1001 unmunge -k GID_RESTRICTION",
        "start; sleep 1.1; echo games:x:60:bob >>/etc/group; kill -HUP $(cat /run/munge/munged.pid); sleep 1; munge -n -g games | as 1001 unmunge -k GID_RESTRICTION",
      ],
    },
    {
      title: "--key-file=PATH",
      cases: [
        ...["0", "31", "32", "5000"].map((size) =>
          `head -c ${size} /dev/zero >key; chmod 600 key; briefly munged -F --key-file=key`
        ),
        "munged -F --key-file=missing",
        "munged -F --key-file=''",
        "munged --key-file=missing",
        "munged --key-file=nodir/key",
      ],
    },
    {
      title: "--listen-backlog=INT",
      cases: [
        // More clients at once than the backlog holds; each retries.
        "start --listen-backlog=1 --num-threads=1; for i in $(seq 20); do munge -n -o c$i & done; wait; ls c* | wc -l; rm c*",
        ...["0", "1", "-1", "-2", "''", "x", "128", "10000", "2147483648"].map((backlog) =>
          `briefly munged -F --listen-backlog=${backlog}`
        ),
      ],
    },
    {
      title: "--log-file=PATH",
      cases: [
        ...[
          "touch log; chmod 644 log",
          "touch log; chmod 664 log",
          "touch log; chmod 646 log",
          "touch log; chown 1 log",
          "ln -s r log",
          "ln -s r log; touch r",
          "mkdir log",
          "mkfifo log",
          "chmod 777 .",
          "chmod 775 .",
          "chmod 1777 .",
          "chown 1 .",
        ].flatMap((state) => [
          `${state}; timeout 5 munged --log-file=log && await told log; munged --stop; chown 0 .`,
          `${state}; timeout 5 munged -f --log-file=log && await told log; munged --stop; chown 0 .`,
        ]),
        "echo old >log; chmod 600 log; munged --log-file=log; await told log; munged --stop",
      ],
    },
    {
      title: "--max-ttl=SECS",
      cases: [
        ...`0|1|3600|3601|-2|${NUMBERS}`.split("|").map((value) =>
          `briefly munged -F --max-ttl=${value}`
        ),
        "start --max-ttl=10; for t in -1 0 5 11 300; do munge -n -t $t | unmunge -k TTL; done",
      ],
    },
    {
      title: "--num-threads=INT",
      cases: ["1", "3", "0", ...NUMBERS.split("|").filter((value) => !value.startsWith("214"))].map(
        (value) => `briefly munged -F --num-threads=${value}`,
      ),
    },
    {
      title: "--pid-file=PATH",
      cases: [
        ...["ln -s nowhere pid", "mkfifo pid", "echo 1 >pid"].map(inDirectory),
        { run: inDirectory("mkdir pid"), differs: NEW_FILES },
        { run: inDirectory("chmod 777 ."), better: CLEAN_FAILURE },
        { run: inDirectory("chmod 775 ."), better: CLEAN_FAILURE },
        { run: inDirectory("chown 1 ."), better: CLEAN_FAILURE },
        { run: "munged --pid-file=nodir/pid", better: CLEAN_FAILURE },
        { run: "munged -F --pid-file=nodir/pid", better: CLEAN_FAILURE },
      ],
    },
    {
      title: "--seed-file=PATH",
      cases: [
        ...[
          "head -c 1024 /dev/zero >seed; chmod 640 seed",
          "head -c 1024 /dev/zero >seed; chmod 602 seed",
          "head -c 1024 /dev/zero >seed; chmod 400 seed",
          "head -c 1024 /dev/zero >seed; chmod 600 seed; chown 1 seed",
          "head -c 10 /dev/zero >seed; chmod 600 seed",
          "head -c 5000 /dev/zero >seed; chmod 600 seed",
          "touch seed; chmod 600 seed",
          "ln -s nowhere seed",
          "ln -s /etc/passwd seed",
        ].map((state) => `${state}; briefly munged -F --seed-file=seed`),
        "mkdir seed; briefly munged -F --seed-file=seed",
        {
          run:
            "mkfifo seed; munged -F --seed-file=seed 2>/dev/null & sleep 2; serving /run/munge/munge.socket.2 && echo serves; kill -KILL $!",
          better: FIFO_SEED,
        },
        "start; munged --stop; start; munged --stop",
        "munged -F --seed-file=nodir/seed",
      ],
    },
    {
      title: "--syslog",
      before: "syslog",
      cases: [
        "munged --syslog; await told heard; munge -n -u 1 | unmunge -k STATUS; kill $(cat /run/munge/munged.pid); await grep -q Stopping heard",
        "rm /etc/munge/munge.key; munged --syslog",
        "briefly munged -F --syslog",
        "munged --syslog; await told heard; munged --stop -v",
      ],
    },
    {
      title: "--origin=ADDR",
      network: true,
      cases: [
        ..."lo|eth9|127.0.0.1|10.9.8.7|10.1.2.3|255.255.255.255|localhost|node9|elsewhere|1.2.3"
          .split("|").map((origin) => `briefly munged -F --origin=${origin}`),
        ..."link9|169.254.9.9|0.0.0.0|linked|six|::1|fd00::9|nosuchhost|''|1.2.3.4.5"
          .split("|").flatMap((origin) => [
            `briefly munged -F --origin=${origin}`,
            `briefly munged -F -f --origin=${origin}`,
          ]),
        "briefly munged -F -f --origin=10.9.8.7",
        "briefly munged -F --origin node9 --origin=eth9",
        "munged --force --origin=nosuchhost; await told $log",
        "munged --force --origin=link9; await told $log",
        "munged --origin=nosuchhost",
        "start --origin=eth9; munge -n | unmunge -k ENCODE_HOST",
        "hostname nowhere; briefly munged -F",
        "hostname node9; briefly munged -F",
      ],
    },
    {
      title: "--trusted-group=GID",
      before: "mkdir d; cp /etc/munge/munge.key d/key; chmod 600 d/key; chmod 775 d; chgrp staff d",
      cases: [
        ..."staff|50|bin|2|nosuch|-1|4294967295|1x|''".split("|").map((group) =>
          `briefly munged -F --key-file=d/key --trusted-group=${group}`
        ),
        {
          run: "briefly munged -F --key-file=d/key --trusted-group=4294967296",
          better: WRAPPED_NUMBERS,
        },
        "chmod 777 d; briefly munged -F --key-file=d/key --trusted-group=staff",
        "briefly munged -F -S d/sock --trusted-group=staff",
        "briefly munged -F --seed-file=d/seed --trusted-group=staff",
        "munged --log-file=d/log --trusted-group=bin; await told d/log",
      ],
    },
  ],
};
