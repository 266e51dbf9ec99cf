// unmunge: its options, where it writes metadata and payload, and its messages about bad credentials.
import type { Case, Chapter } from "../case.ts";
import {
  LICENSE,
  LOGGED_REFUSALS,
  NAMED_OPTION,
  REFUSED_EARLY,
  RESTART,
  SAME_FILE,
  WHOLE_OUTPUT,
} from "./reasons.ts";

/** Decodes a credential made by another daemon, whose clock is off by `offset`. */
function decodeLater(offset: string): string {
  return `begin at ${offset} munged -F -S then --pid-file=/mnt/then.pid --seed-file=/mnt/seed; munge -s pay -t 300 -S then | unmunge -k STATUS,TTL; s=$?; end && exit $s`;
}

/** A case whose credential is refused, and logged. */
function isLogged(run: string): Case {
  return { run, differs: LOGGED_REFUSALS };
}

export const UNMUNGE: Chapter = {
  title: "unmunge",
  areas: [
    {
      title: "-h, --help; -L, --license; -V, --version",
      cases: [
        "unmunge -h",
        "unmunge --help -x",
        { run: "unmunge -L | head -n 2", differs: LICENSE },
        "unmunge -V",
        "unmunge --license=x",
      ],
    },
    {
      title: "Command line",
      cases: [
        "unmunge -x",
        "unmunge --xyz=3",
        "unmunge stray",
        "unmunge -- stray",
        "unmunge -k -y stray",
        "unmunge --n",
        "unmunge --li",
        "unmunge --no-output=x",
        "unmunge -i",
        "unmunge --input",
        "unmunge -S",
        "unmunge -k",
        "unmunge -m",
        "unmunge -o",
      ],
    },
    {
      title: "-i, --input=PATH",
      served: true,
      before: "munge -s pay -o c; mkdir d; chmod 600 c",
      cases: [
        "unmunge -k UID -i c",
        "unmunge -k UID --input=c",
        "unmunge -k UID --inp c",
        "unmunge -k UID <c",
        "unmunge -k UID -i - <c",
        "unmunge -i missing -i c -k UID",
        "unmunge -i missing",
        "unmunge -i missing -m m",
        "unmunge -i ''",
        "unmunge -i d",
        "as 1 unmunge -i c",
        "unmunge <&-",
        "unmunge -i c -o c; cat c",
        "unmunge -i c -m c; cat c",
        "unmunge -i c -m c -o c",
        {
          run: "unmunge -i c -o ./c; wc -c <c",
          better: SAME_FILE,
        },
        {
          run: "ln c e; unmunge -i c -m e; wc -c <c",
          better: SAME_FILE,
        },
      ],
    },
    {
      title: "-n, --no-output",
      served: true,
      before: "munge -s pay -o c",
      cases: [
        "unmunge -n -i c",
        "unmunge --no -i c",
        "unmunge -n -m m -i c",
        "unmunge -m m -n -i c",
        "unmunge -n -o o -i c",
        "unmunge -o o -n -i c",
      ],
    },
    {
      title: "-m, --metadata=PATH; -o, --output=PATH",
      served: true,
      before: "munge -s pay -o c",
      cases: [
        "unmunge -k UID -i c -m m",
        "unmunge -k UID -i c --metadata=m",
        "unmunge -k UID -i c -o o",
        "unmunge -k UID -i c --output o",
        "unmunge -k UID -i c -m m -o o",
        "unmunge -k UID -i c -m m -o m",
        "unmunge -k UID -i c -m - -o -",
        "unmunge -k UID -i c -m - -o o",
        "unmunge -k UID -i c -m m -o -",
        "unmunge -k UID -i c -m /dev/stderr",
        "unmunge -k UID -i c -o /dev/stderr",
        "unmunge -k UID -i c -m nodir/m",
        "unmunge -k UID -i c -o nodir/o",
        "unmunge -k UID -i c -m ''",
        "unmunge -k UID -i c -m /dev/full",
        "unmunge -k UID -i c -o /dev/full",
        "unmunge -k UID -i c >/dev/full",
        "head -c 5000 /dev/zero | munge | unmunge >/dev/full",
        "head -c 5000 /dev/zero | munge | unmunge -k UID -o /dev/full",
        // The reader of the output is gone before it is written.
        "{ sleep 0.3; unmunge -i c; echo $? >s; } | true; cat s",
        "unmunge -i c -n; { sleep 0.3; unmunge -i c; echo $? >s; } | true; cat s",
        "{ sleep 0.3; head -c 5000 /dev/zero | munge | unmunge; echo $? >s; } | true; cat s",
        "{ sleep 0.3; unmunge -K; echo $? >s; } | true; cat s",
        "unmunge -k UID -i c >&-",
        "umask 0; unmunge -i c -k UID -m m -o o",
        "umask 077; unmunge -i c -k UID -m m -o o",
        "munge -n | unmunge -k UID",
        "munge -n | unmunge -k UID -m m -o o",
        "printf 'a\\n' | munge | unmunge -k UID",
        "printf '\\0\\1' | munge | unmunge -k UID",
        { run: "unmunge -k UID -i c -m m -o ./m", better: WHOLE_OUTPUT },
      ],
    },
    {
      title: "-k, --keys=STR",
      served: true,
      before: "munge -s pay -u 0 -o c",
      cases: [
        ..."|,| |uid|UID|uId,GiD|gid uid|uid;gid.ttl|uid:gid|uid/gid|uid|foo|uid,foo|foo,,uid|uid uid|ui|uidx|uid_|UID_RESTRICTION|LENGTH,STATUS|all|uid\tgid|uid\ngid|uid|status"
          .split("|").filter((keys, index, all) => all.indexOf(keys) === index)
          .map((keys) => `unmunge -N -i c -k '${keys}'`),
        "unmunge -N -i c --keys=uid",
        "unmunge -N -i c --key uid,gid",
        "unmunge -N -i c -k uid -k gid",
        "unmunge -N -i c -k uid -k foo",
        "unmunge -i c -k STATUS,ENCODE_HOST,TTL,CIPHER,MAC,ZIP,UID,GID,UID_RESTRICTION,GID_RESTRICTION,LENGTH",
      ],
    },
    {
      title: "-K, --list-keys",
      cases: [
        "unmunge -K",
        "unmunge --list-keys",
        "unmunge -K -k foo",
        "unmunge -k foo -K",
        "unmunge -K >/dev/full",
        "start; for key in $(unmunge -K | grep '^  ' | grep -v REALM); do echo $key; munge -n | unmunge -N -k $key | wc -l; done",
      ],
    },
    {
      title: "-N, --numeric",
      served: true,
      before: "munge -s pay -u 0 -g 0 -c aes256 -m sha512 -t 77 -o c",
      cases: [
        "unmunge -i c",
        "unmunge -N -i c",
        "unmunge --numeric -i c",
        "unmunge --num -Nn -i c",
      ],
    },
    {
      title: "Names of users, groups, hosts and time zones",
      served: true,
      cases: [
        "munge -n -U 54321 -G 54322 | unmunge -k UID,GID",
        "munge -n -U 4294967294 | unmunge -N -k UID",
        "munge -n -u 54321 -g 54322 | setpriv --reuid 54321 --regid 54322 --clear-groups unmunge -k UID_RESTRICTION,GID_RESTRICTION",
        "munge -n -U alice -G staff | unmunge -k UID,GID",
        ...[
          "UTC",
          "America/New_York",
          "Asia/Kolkata",
          "Australia/Lord_Howe",
          "nonsense",
          "EST5EDT,M3.2.0,M11.1.0",
        ]
          .map((zone) => `munge -n | TZ=${zone} unmunge -k ENCODE_TIME,DECODE_TIME`),
        "munge -n | LC_ALL=de_DE.UTF-8 unmunge -k ENCODE_HOST",
      ],
    },
    {
      title: "Hosts without a name or with IPv6 only",
      cases: ["10.9.8.7", "10.9.8.6", "8.8.8.8", "255.255.255.255", "0.0.0.0", "169.254.9.9"]
        .flatMap((address) => [
          `munged --force --origin=${address}; rm /var/log/munge/munged.log; munge -n | unmunge -k ENCODE_HOST`,
        ]),
    },
    {
      title: "-S, --socket=PATH",
      before: "echo x >file",
      cases: [
        "echo x | unmunge",
        "echo x | unmunge -S missing",
        "echo x | unmunge --socket=file",
        "echo x | unmunge -S ''",
        "munged -S sock; munge -n -S sock | unmunge --socket sock -k UID",
      ],
    },
    {
      title: "Malformed credentials",
      before: "start",
      cases: [
        "unmunge </dev/null",
        "printf '   \\n\\t ' | unmunge",
        ...[
          "garbage",
          "MUNGE",
          "MUNGE:",
          "MUNGE::",
          "MUNGE:AAAA:",
          "MUNGE:A:",
          "munge:AAAA:",
          "MUNGE:A!AA:",
          "MUNGE:AAA=:",
          "MUNGE:AA=A:",
          "MUNGE:====:",
          "MUNGE:AwQ=:",
          "MUNGE:BAQF:",
          "MUNGE:AwkF:",
          "MUNGE:AwQJ:",
          "MUNGE:AwQFCQ==:",
          "MUNGE:AwQFAA==:",
        ].map((text) => `echo '${text}' | unmunge`),
        "munge -n | sed s/MUNGE:..../MUNGE:AwQG/ | unmunge",
        "munge -n | tr -d : | unmunge",
        "munge -n | sed 's/:$//' | unmunge",
        "munge -n | fold -w 20 | unmunge -k STATUS",
        "{ echo '  '; munge -n; } | unmunge -k STATUS",
        "{ echo hello; munge -n; } | unmunge -k STATUS",
        "{ munge -n; echo trailing words; } | unmunge -k STATUS",
        "{ munge -n; echo trailing: words; } | unmunge -k STATUS",
        "{ munge -n; munge -n; } | unmunge -k STATUS",
        "{ munge -n | tr -d '\\n'; printf '\\0x:'; } | unmunge -k STATUS",
        ...[2097147, 2097152, 2097153, 3000000].map((length) =>
          `head -c ${length} /dev/zero | tr '\\0' A | unmunge`
        ),
        ...[2097148, 2097151].map((length) => ({
          run: `head -c ${length} /dev/zero | tr '\\0' A | unmunge`,
          better: REFUSED_EARLY,
        })),
      ],
    },
    {
      title: "Replayed credentials",
      before: "start; munge -s pay -o c; unmunge -n -i c",
      cases: [
        ...[
          "unmunge -i c",
          "unmunge -n -i c",
          "unmunge -N -k STATUS,LENGTH -i c",
          "unmunge -m m -o o -i c",
        ].map(isLogged),
        "munged --stop; start --benchmark; unmunge -n -i c; unmunge -k STATUS -i c",
        {
          run: "munged --stop; start; unmunge -k STATUS -i c",
          better: RESTART,
        },
        {
          run: "signal KILL; start; unmunge -k STATUS -i c",
          better: RESTART,
        },
      ],
    },
    {
      title: "Expired and rewound credentials",
      waits: true,
      before: "start",
      cases: [
        ...["unmunge -i c", "unmunge -n -i c", "unmunge -m m -o o -i c"].map((decode) =>
          isLogged(`munge -s pay -t 1 -o c; sleep 2.2; ${decode}`)
        ),
        ...["-299s", "+299s"].map(decodeLater),
        ...["-400s", "+400s", "-4000s", "+4000s"].map((offset) => isLogged(decodeLater(offset))),
        "begin at -400s munged -F -S then --pid-file=/mnt/then.pid --seed-file=/mnt/seed; munge -u 1 -n -S then | unmunge; s=$?; end && exit $s",
      ],
    },
    {
      title: "--ignore-ttl; --ignore-replay",
      waits: true,
      before: "start; munge -s pay -o c; unmunge -n -i c",
      cases: [
        ...[
          "munge -s pay -t 1 -o e; sleep 2.2; unmunge --ignore-ttl -k STATUS -i e",
          "munge -s pay -t 1 -o e; sleep 2.2; unmunge --ignore-replay -k STATUS -i e",
          "unmunge --ignore-replay -k STATUS -i c",
          "unmunge --ignore-ttl -k STATUS -i c",
          "unmunge --ignore-ttl --ignore-replay -N -k STATUS -i c",
          "unmunge --ignore-replay -n -i c",
          "begin at +400s munged -F -S then --pid-file=/mnt/then.pid --seed-file=/mnt/seed; munge -n -S then | unmunge --ignore-ttl -k STATUS; s=$?; end && exit $s",
        ].map(isLogged),
        { run: "unmunge --ignore-replay=x -i c", better: NAMED_OPTION },
        "unmunge --ignore -i c",
        "munge -n -u 1 -o u; unmunge --ignore-ttl -i u",
      ],
    },
    {
      title: "Unauthorized credentials",
      before: "start; munge -s pay -u 1 -o u; munge -s pay -g 1 -o g",
      cases: [
        "unmunge -i u",
        { run: "unmunge -i u -m m -o o", better: WHOLE_OUTPUT },
        "unmunge -i g",
        "as 1 unmunge -k UID_RESTRICTION -i u",
        "as 1 unmunge -k GID_RESTRICTION -i g",
        "as 2 unmunge -n -i g",
        isLogged("unmunge -n -i u; as 1 unmunge -n -i u; as 1 unmunge -n -i u"),
      ],
    },
  ],
};
