// munge: its options, where it reads the payload and writes the credential, and its messages about sockets.
import type { Chapter } from "../case.ts";
import {
  LICENSE,
  NOT_UTF8,
  SAME_FILE,
  TRUE_LENGTH,
  WHOLE_OUTPUT,
  WRAPPED_NUMBERS,
} from "./reasons.ts";

const OPEN = "unmunge -k STATUS,TTL,CIPHER,MAC,ZIP,UID,GID,UID_RESTRICTION,GID_RESTRICTION,LENGTH";
const IDS = "unmunge -k UID,GID";
const RESTRICTIONS = "unmunge -N -k UID_RESTRICTION,GID_RESTRICTION";

/** munge asks a daemon with a `fault`, see fake_daemon.ts. */
function askWrongDaemon(fault: string): string {
  return `$FAKE_DAEMON sock ${fault} & await test -S sock; munge -n -S sock; s=$?; { kill $!; wait $!; } 2>/dev/null; exit $s`;
}

export const MUNGE: Chapter = {
  title: "munge",
  areas: [
    {
      title: "-h, --help",
      cases: ["munge -h extra -x", "munge --help", "munge --he", "munge -x -h", "munge --help=x"],
    },
    {
      title: "-L, --license",
      cases: ["munge -LV | head -n 2", "munge --lice | head -n 2"].map((run) => ({
        run,
        differs: LICENSE,
      })),
    },
    { title: "-V, --version", cases: ["munge -V", "munge --version", "munge -Vh"] },
    {
      title: "Command line",
      cases: [
        "munge -x",
        "munge -xyz",
        "munge --xyz",
        "munge --xyz=3",
        "munge stray",
        "munge -- stray",
        "munge --",
        "munge ''",
        "munge -",
        "munge -n stray1 stray2",
        "munge -n '-?'",
        "munge -:",
        "munge -é",
        "munge -né",
        "munge -$(printf '\\1')",
        "munge --$(printf 'n\\1')=3",
        "munge --l",
        "munge --list",
        "munge --restrict",
        "munge --res=1",
        "sh -c 'exec /usr/bin/env --argv0=/foo/bar munge -x' || munge -x",
      ],
    },
    {
      title: "-n, --no-input",
      served: true,
      cases: [
        `munge -n | ${OPEN}`,
        `munge --no-input | ${OPEN}`,
        `munge --no | ${OPEN}`,
        `munge -ns pay | ${OPEN}`,
        `munge -s pay -n | ${OPEN}`,
        "munge --no-input=x",
        "munge -i missing -n | unmunge -k LENGTH",
      ],
    },
    {
      title: "-s, --string=STR",
      served: true,
      cases: [
        `munge -s pay | ${OPEN}`,
        `munge -spay | ${OPEN}`,
        `munge --string=pay | ${OPEN}`,
        `munge --string pay | ${OPEN}`,
        `munge --str=pay | ${OPEN}`,
        `munge -s '' | ${OPEN}`,
        `munge -s a -s bc | ${OPEN}`,
        "munge -s 'a\nb' | unmunge -n -o out",
        "munge -s \"$(head -c 120000 /dev/zero | tr '\\0' a)\" | unmunge -k LENGTH -o out",
        "munge -s",
        "munge --string",
        "munge -n --string",
      ],
    },
    {
      title: "-i, --input=PATH",
      served: true,
      before: "echo hello >f; mkdir d; printf secret >r; chmod 0 r; chmod 755 .",
      cases: [
        "munge -i f | unmunge -k LENGTH",
        "munge --input=f | unmunge -k LENGTH",
        "echo hi | munge | unmunge -k LENGTH",
        "echo hi | munge -i - | unmunge -k LENGTH",
        "munge </dev/null | unmunge -k LENGTH",
        "printf 'no newline' | munge | unmunge -k LENGTH",
        "printf '\\0\\1\\377' | munge | unmunge -n -o out",
        "printf '\\0\\1\\377\\n' | munge | unmunge -n -o out",
        "munge -i missing",
        "munge -i d",
        "munge -i ''",
        "as 1 munge -i r",
        "munge -s \"$(printf 'a\\377b')\" | unmunge -k LENGTH",
        "munge -s\"$(printf '\\303\\251\\303')\" --cipher=aes128 | unmunge -n -o out",
        "munge --string=\"$(printf '\\360\\237\\230\\200\\377\\357\\277\\275')\" | unmunge -n -o out",
        { run: "munge -i \"$(printf 'a\\377b')\"", differs: NOT_UTF8 },
        { run: "munge -\"$(printf '\\377')\" -n", differs: NOT_UTF8 },
        "munge -s \"$(printf '\\357\\277\\275')\" | unmunge -k LENGTH",
        "munge -i f -s abc | unmunge -k LENGTH",
        "munge -s abc -i f | unmunge -k LENGTH",
        "munge -i missing -s abc | unmunge -k LENGTH",
        "munge -i f -i - </dev/null | unmunge -k LENGTH",
        "munge <&-",
        "munge </dev/null >out; cut -c 1-6 out; rm out",
        "munge 0<>/dev/null | cut -c 1-6",
        "munge -i f <&- | cut -c 1-6",
        "head -c 780000 /dev/zero | munge | unmunge -k LENGTH -o /dev/null",
        "head -c 1048557 /dev/zero | munge -o out; unmunge -i out -k LENGTH -o /dev/null; rm out",
        "head -c 5000000 /dev/zero | munge",
        "head -c 1048576 /dev/zero | munge -o out; unmunge -i out -k LENGTH -o /dev/null; rm out",
        "head -c 1048577 /dev/zero | munge",
      ],
    },
    {
      title: "-o, --output=PATH",
      served: true,
      before: "echo hello >f; mkdir d; touch r; chmod 0 r",
      cases: [
        "munge -n -o out",
        "munge -n --output=out",
        "munge -n -o -",
        "munge -n -o ''",
        "munge -n -o d",
        "munge -n -o nodir/out",
        "munge -n -o /dev/full",
        "munge -n >/dev/full",
        "head -c 5000 /dev/zero | munge >/dev/full",
        // The reader of the output is gone before it is written.
        "{ sleep 0.3; munge -n; echo $? >s; } | true; cat s",
        "{ sleep 0.3; head -c 5000 /dev/zero | munge; echo $? >s; } | true; cat s",
        "{ sleep 0.3; munge -h; echo $? >s; } | true; cat s",
        "munge -n >&-",
        "head -c 5000 /dev/zero | munge >&-",
        "munge -V >&-; munge -V >/dev/full",
        "munge -x 2>&-",
        "munge -x 2>/dev/full",
        "as 1 munge -n -o r",
        "umask 0; munge -n -o out",
        "umask 077; munge -n -o out",
        "printf A%0500d 1 >out; chmod 640 out; munge -n -o out",
        "munge -n -o o1 -o o2",
        "munge -i missing -o out",
        { run: "munge -n -o out -S missing", better: WHOLE_OUTPUT },
        "munge -n -c foo -o out",
        "munge -i - -o - <f | unmunge -k LENGTH",
        "munge -i f >>f; wc -l <f",
        {
          run: "munge -i f -o f",
          better: SAME_FILE,
        },
        {
          run: "ln f g; munge -i f -o g",
          better: SAME_FILE,
        },
      ],
    },
    {
      title: "-c, --cipher=STR",
      served: true,
      cases: [
        ...["none", "default", "blowfish", "cast5", "aes128", "aes256", "0", "1", "2", "3", "5"]
          .map(
            (name) => `munge -n -c ${name} | unmunge -k CIPHER`,
          ),
        ..."foo|''|6|-1|' 1'|1x|Blowfish|AES128|aes|04|0x4|99999999999".split("|").map(
          (name) => `munge -n -c ${name} | cut -c 1-6`,
        ),
        "munge -n --cipher=foo",
        "munge -n --cipher foo",
        "munge -c",
        "munge -n -c 99 -c aes128",
        "munge -n -c aes256 -m md5",
        "munge -n -c 5 -m sha1",
        "munge -n -m foo -c foo",
      ],
    },
    {
      title: "-C, --list-ciphers",
      cases: ["munge -C", "munge --list-ciphers", "munge -CM", "munge -CX", "munge -c foo -C"],
    },
    {
      title: "-m, --mac=STR",
      served: true,
      cases: [
        ...["default", "md5", "sha1", "ripemd160", "sha256", "sha512", "1", "2", "6"].map(
          (name) => `munge -n -m ${name} -c aes128 | unmunge -k MAC`,
        ),
        ..."none|foo|''|0|7|-1|MD5|rmd160|sha".split("|").map((name) =>
          `munge -n -m ${name} | cut -c 1-6`
        ),
        "munge -n --mac=sha99",
        "munge -m",
      ],
    },
    { title: "-M, --list-macs", cases: ["munge -M", "munge --list-macs", "munge -m foo -M"] },
    {
      title: "-z, --zip=STR",
      served: true,
      before: "head -c 500 /dev/zero | tr '\\0' a >f",
      cases: [
        ...["none", "default", "bzlib", "zlib", "0", "1", "2", "3"].map((name) =>
          `munge -i f -z ${name} | unmunge -k ZIP,LENGTH`
        ),
        ..."foo|''|4|-1|gzip|bzip2|Zlib".split("|").map((name) =>
          `munge -n -z ${name} | cut -c 1-6`
        ),
        "munge -s incompressible -z zlib | unmunge -k ZIP",
        "munge -n --zip=x",
        "munge -z",
      ],
    },
    { title: "-Z, --list-zips", cases: ["munge -Z", "munge --list-zips"] },
    {
      title: "-u, --restrict-uid=UID",
      served: true,
      cases: [
        ..."root|0|daemon|nosuch|''|-1|-2|4294967294|4294967295|1x|0x1|99999999999999999999|Daemon"
          .split("|").map((id) => `munge -n -u ${id} | ${RESTRICTIONS}`),
        ..."1|' 1'|+1|01|1002".split("|").map((id) => `munge -n -u ${id} | as 1 ${RESTRICTIONS}`),
        { run: `munge -n -u 4294967296 | ${RESTRICTIONS}`, better: WRAPPED_NUMBERS },
        "munge -n --restrict-uid=1 | as 1 unmunge -k UID_RESTRICTION",
        "munge -n --restrict-u 1 | as 1 unmunge -k UID_RESTRICTION",
        "munge -n -u 0numeric | as 1002 unmunge -k UID_RESTRICTION",
        "munge -n -u",
      ],
    },
    {
      title: "-g, --restrict-gid=GID",
      served: true,
      cases: [
        ..."root|daemon|nosuch|''|-1|4294967294|4294967295|1x|99999999999999999999".split("|")
          .map((id) => `munge -n -g ${id} | ${RESTRICTIONS}`),
        { run: `munge -n -g 4294967296 | ${RESTRICTIONS}`, better: WRAPPED_NUMBERS },
        "munge -n -g staff | as 1000 unmunge -k GID_RESTRICTION",
        "munge -n --restrict-gid=staff | as 1001 unmunge -k GID_RESTRICTION",
        "munge -n -u alice -g staff | as 1000 unmunge -k UID_RESTRICTION,GID_RESTRICTION",
        "munge -n -g",
      ],
    },
    {
      title: "-U, --uid=UID",
      served: true,
      cases: [
        ..."root|daemon|1|nosuch|''|-1|54321|4294967295|1x".split("|").map((id) =>
          `munge -n -U ${id} | ${IDS}`
        ),
        { run: `munge -n -U 4294967296 | ${IDS}`, better: WRAPPED_NUMBERS },
        `munge -n --uid=daemon --gid=bin | ${IDS}`,
        `as 1 munge -n -U root | ${IDS}`,
        `as 1 munge -n -U 2 | ${IDS}`,
        `as 1 munge -n -U 1 | ${IDS}`,
        "munge -n -U nosuch -u nosuch2",
        "munge -U",
      ],
    },
    {
      title: "-G, --gid=GID",
      served: true,
      cases: [
        ..."root|staff|1|nosuch|''|-1|54321|4294967295".split("|").map((id) =>
          `munge -n -G ${id} | ${IDS}`
        ),
        { run: `munge -n -G 4294967296 | ${IDS}`, better: WRAPPED_NUMBERS },
        `as 1 munge -n -G root | ${IDS}`,
        `as 1 munge -n -U 0 -G 0 | ${IDS}`,
        "munge -n -g nosuch -U nosuch2 -t x -c foo",
        "munge -G",
      ],
    },
    {
      title: "-t, --ttl=SECS",
      served: true,
      cases: [
        ..."-1|0|1|3600|3601|4294967294|4294967295|4294967296|2147483648|-2|''|abc|10x|' 10'|'10 '|+10|0x10|010|1.5|99999999999999999999|-99999999999999999999|1e3"
          .split("|").map((ttl) => `munge -n -t ${ttl} | unmunge -k TTL`),
        "munge -n --ttl=-1 | unmunge -k TTL",
        "munge -n -t x -t 5",
        "munge -t",
      ],
    },
    {
      title: "-S, --socket=PATH",
      before: "echo x >file; mkdir dir; mkfifo fifo; ln -s nowhere dangling; mkdir -m 700 closed",
      cases: [
        "munge -n",
        ..."missing|''|file|dir|fifo|dangling|/etc/passwd/x|-".split("|").map((path) =>
          `munge -n -S ${path}`
        ),
        "as 1 munge -n -S closed/socket",
        "munge -n -S missing$(printf %0200d 1)",
        "munge -n -S $(printf %0107d 1)",
        "munge -n -S $(printf %0108d 1)",
        "munge -n --socket=missing",
        "munged -S sock && munge -n --socket sock | cut -c 1-6",
        "munged && ln -s /run/munge/munge.socket.2 link && munge -n -S link | cut -c 1-6",
        "munge -S",
      ],
    },
    {
      title: "Program name, terminal and limits",
      served: true,
      cases: [
        'ln -s "$(command -v munge)" munge.real; ./munge.real -x; ./munge.real -n | cut -c 1-6; rm munge.real',
        "sleep 1 | munge -o c & sleep 0.4; kill -HUP $!; wait $!; s=$?; cut -c 1-6 c; rm c; exit $s",
        "sleep 1 | unmunge & sleep 0.4; kill -HUP $!; wait $!",
        "remunge -D 1 >/dev/null & sleep 0.4; kill -HUP $!; wait $!",
      ],
    },
    {
      title: "A dead daemon",
      waits: true,
      before: "start -S stale; signal KILL",
      cases: ["munge -n -S stale", "echo x | unmunge -S stale", "as 1 munge -n -S stale"],
    },
    {
      title: "A misbehaving daemon",
      waits: true,
      cases: [
        ...["close", "magic", "version", "type", "unknown-type", "second-try"].map(askWrongDaemon),
        ...["error-text", "error-code", "unknown-error", "empty", "extra", "unpack", "hang"].map(
          askWrongDaemon,
        ),
        { run: askWrongDaemon("short"), better: TRUE_LENGTH },
        { run: askWrongDaemon("huge"), better: TRUE_LENGTH },
      ],
    },
  ],
};
