// remunge: what it prints, counts and refuses.
import type { Chapter } from "../case.ts";
import { LICENSE, LONGEST_DURATION, NEGATIVE_COUNT } from "./reasons.ts";

/** Numbers of runs limited by time, where the count of credentials is meaningless. */
const COUNTED = "sed 's/Processed [0-9]* cred/Processed N cred/; s/^[0-9][0-9]*$/RATE/'";

export const REMUNGE: Chapter = {
  title: "remunge",
  areas: [
    {
      title: "-h, --help; -L, --license; -V, --version",
      cases: [
        "remunge -h",
        { run: "remunge -L | head -n 2", differs: LICENSE },
        "remunge --version",
        "remunge -hx",
      ],
    },
    {
      title: "Command line",
      cases: [
        "remunge -x",
        "remunge --xyz",
        "remunge stray",
        "remunge -- stray",
        "remunge --num",
        "remunge --num-creds",
        "remunge --quiet=x",
      ],
    },
    {
      title: "-c, --cipher=STR; -m, --mac=STR; -z, --zip=STR",
      served: true,
      cases: [
        "remunge -c foo",
        "remunge -m none",
        "remunge -z foo",
        "remunge -N 20 -c aes256 -m sha512 -z zlib -l 10k -d",
        "remunge -N 3 -c 5 -m md5",
        "remunge -N 2 --cipher=none --mac=sha1 --zip none",
      ],
    },
    {
      title: "-C, --list-ciphers; -M, --list-macs; -Z, --list-zips",
      cases: ["remunge -C", "remunge -M", "remunge --list-zips"],
    },
    {
      title: "-e, --encode; -d, --decode",
      served: true,
      cases: [
        "remunge -e -N 5",
        "remunge -d -N 5",
        "remunge --encode --decode -N 5",
        "remunge -d -e -N 5",
      ],
    },
    {
      title: "-q, --quiet",
      served: true,
      cases: [
        "remunge -N 1 | grep -c WARNING",
        "{ sleep 0.3; remunge -N 5; echo $? >s; } | true; cat s",
        `remunge -q -N 20 | ${COUNTED}`,
        `remunge --quiet -D 1 | ${COUNTED}`,
      ],
    },
    {
      title: "-l, --length=BYTES",
      served: true,
      cases: [
        ..."0|1|-1|x|1x|1kk|' 1'|+1|1.5|4294967295|99999999999999999999|1s|1m|1k|1K|5000G".split(
          "|",
        ).map(
          (length) => `remunge -N 3 -l${length}`,
        ),
        "remunge -N 3 --length=1h",
        "remunge -N 2 -l 1M",
        "remunge -N 2 -l 1048577",
        "remunge -N 2 -l 2M",
        "remunge -N 2 -l 3M",
        "remunge -N 2 -d -l 1048577",
      ],
    },
    {
      title: "-u, --restrict-uid=UID; -g, --restrict-gid=GID",
      served: true,
      cases: [
        "remunge -u nosuch",
        "remunge -g nosuch",
        "remunge -N 5 -u daemon -d",
        "remunge -N 5 -u root --restrict-gid=0 -d",
      ],
    },
    {
      title: "-t, --ttl=SECS",
      served: true,
      cases: "0|1|-1|-2|''|x|1x|' 1'|+1|1.5|4294967295|4294967296|99999999999999999999|1s|1m".split(
        "|",
      ).map((ttl) => `remunge -N 3 --ttl=${ttl}`),
    },
    {
      title: "-S, --socket=PATH",
      cases: [
        "remunge -N 5 -S missing",
        "remunge -N 5 -S missing -d -T 1",
        "remunge -N 2 -q --socket=missing",
        "munged -S sock; remunge -N 2 -S sock",
      ],
    },
    {
      title: "-D, --duration=SECS",
      served: true,
      cases: [
        ..."0|1|-2|''|x|1x|1kk|' 1'|+1|1.5|4294967295|99999999999999999999|1s|1m|1h|1d|1k|1K|1S|1M|1H|1D|25000d"
          .split("|").map(
            (duration) => `remunge -N 3 --duration=${duration}`,
          ),
        { run: "remunge -N 3 --duration=-1", better: LONGEST_DURATION },
        `remunge -D 1 | ${COUNTED}`,
        `remunge -D 1s -d -T 2 | ${COUNTED}`,
        `remunge | ${COUNTED}`,
      ],
    },
    {
      title: "-N, --num-creds=INT",
      served: true,
      cases: [
        ..."0|1|''|x|1x|1kk|' 1'|+1|1.5|99999999999999999999|1s|1k|1K|1h".split("|").map(
          (count) => `remunge --num-creds=${count}`,
        ),
        ..."-1|4294967296|1m|1M|1g|1G|5000G".split("|").map(
          (count) => `remunge -D 1 --num-creds=${count} | ${COUNTED}`,
        ),
        { run: `remunge -D 1 --num-creds=-2 | ${COUNTED}`, better: NEGATIVE_COUNT },
      ],
    },
    {
      title: "-T, --num-threads=INT",
      served: true,
      cases: [
        ..."0|1|-1|''|x|1x|' 1'|+1|1.5|1s|1k".split("|").map((threads) =>
          `remunge -N 3 --num-threads=${threads}`
        ),
        "remunge -N 20 -T 2",
        "remunge -N 20 -T 30",
        "remunge -N 20 -T 99999999999999999999 2>&1 | sed 's/of [0-9]* threads/of MAX threads/'",
      ],
    },
    {
      title: "-W, --warn-time=SECS",
      before: "start",
      cases: [
        ..."0|1|-1|''|x|1x|' 1'|+1|1.5|4294967295|99999999999999999999|1s|1m".split("|").map((
          seconds,
        ) => `remunge -N 3 --warn-time=${seconds}`),
      ],
    },
    {
      title: "A daemon that pauses",
      waits: true,
      before: "start; read -r pid </run/munge/munged.pid",
      cases: [
        "(sleep 0.5; kill -STOP $pid; sleep 1.6; kill -CONT $pid) & remunge -W 1 -D 3 | sed 's/Processed [0-9]* cred/Processed N cred/; s/#[0-9]*/#N/; s/took [0-9.]*/took N/'",
      ],
    },
  ],
};
