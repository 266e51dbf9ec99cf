// What the manual pages say beyond the option tables, in mdoc(7) markup: a sentence a line.
import { CIPHERS } from "../../lib/credential/cipher.ts";
import { ERRORS } from "../../lib/errors.ts";
import { MACS } from "../../lib/credential/mac.ts";
import { ZIPS } from "../../lib/credential/zip.ts";

/** A manual page. */
export interface Page {
  readonly name: string;
  readonly section: 1 | 7 | 8;
  /** Completes "munge - ...". */
  readonly summary: string;
  readonly description: string;
  /** More about options than their line in --help says, by long name. */
  readonly details?: Readonly<Record<string, string>>;
  /** Sections after the options, in the order mdoc(7) wants them. */
  readonly sections: readonly (readonly [title: string, text: string])[];
  /** Pages to see also, `munge 1`. */
  readonly seeAlso: readonly string[];
}

const TYPE_DETAILS = {
  cipher: "The cipher encrypts the credential's contents.",
  mac: "The message authentication code protects the credential against forgery.",
  zip: "A credential that compression would not make smaller is not compressed.",
};
const RESTRICT_UID = `Only a process of this user can open the credential.
Not even root is exempt.`;
const RESTRICT_GID = `Only a process of this group, by its primary or a supplementary group,
can open the credential.`;
const TTL = `The daemon that opens the credential lowers it to its own
.Fl -max-ttl .`;

const CLIENT_STATUS = `0 if all went well, otherwise the number of the error in
.Xr munge 7 ,
which is 1 for mistakes on the command line.`;

const list = (items: readonly (readonly [term: string, text: string])[]) =>
  [".Bl -tag -width Ds", ...items.map(([term, text]) => `.It ${term}\n${text}`), ".El"].join("\n");

/** A table of numbered names as a compact list. */
const numbers = (rows: readonly { readonly number: number; readonly name: string }[]) =>
  [".Bl -tag -width Ds -compact", ...rows.map((row) => `.It ${row.number}\n${row.name}`), ".El"]
    .join("\n");

/** All pages. */
export const PAGES: readonly Page[] = [
  {
    name: "munged",
    section: 8,
    summary: "MUNGE authentication daemon",
    description: `.Nm
makes and opens credentials, see
.Xr munge 7 .
All hosts whose
.Nm
has the same key trust each other's statements about users.
Clients ask it over a local socket, and the kernel tells it who they are.
.Pp
It goes into the background once its socket takes requests.
Whatever keeps it from getting there is told on standard error.`,
    details: {
      benchmark: "This also turns the replay cache off, so it is no way to run a cluster.",
      force: `Problems with files and with the origin become warnings,
and the socket is taken from another daemon.
Nothing makes a key or log that is not a regular file acceptable.`,
      foreground: "Messages go to standard error instead of the log file.",
      "group-check-mtime": `With 0, groups are read anew even if the file has not changed,
which suits users and groups that come over the network.`,
      "group-update-time": `With 0, groups are read at the start only.
With -1, supplementary groups are not looked at.`,
      "key-file": `It must be a regular file of at least 32 bytes that belongs to the daemon's user
and that nobody else may read or write.
Nobody else may be able to write to the directories above it.`,
      "listen-backlog": `How many clients may wait until they are accepted.
The kernel has its own limit.`,
      "max-ttl": "A longer time-to-live in a credential is lowered to this.",
      mlockall: `Secrets then can't reach swap space.
The limit on locked memory
.Pq Dv RLIMIT_MEMLOCK
must be unlimited.`,
      "no-replay-dir": `Credentials that were opened before a restart
could then be opened once more after it.`,
      origin: `The address is put into every credential made here.
It does not restrict who may connect.`,
      "replay-dir": `Remembers across restarts and crashes which credentials were opened.
By default it is beside the seed file.
Each daemon on a host needs its own.`,
      socket: `Everybody must be able to reach it:
all directories above it need execute permission for all.`,
      stop: `Waits until that daemon is gone.
One that does not end in five seconds is killed.`,
      "trusted-group": "Directories above the files may be writable by this group.",
    },
    sections: [
      [
        "FILES",
        list([
          ["Pa /etc/munge/munge.key", "the key"],
          ["Pa /run/munge/munge.socket.2", "the socket, beside it its lock"],
          ["Pa /run/munge/munged.pid", "the process ID"],
          ["Pa /var/log/munge/munged.log", "the log"],
          ["Pa /var/lib/munge/munged.seed", "the seed of the random number generator"],
          ["Pa /var/lib/munge/munged.replay", "the replay cache"],
          ["Pa /etc/default/munge", "options for the system's service"],
        ]),
      ],
      ["EXIT STATUS", "0 if the daemon was started or stopped, 1 otherwise."],
      [
        "SIGNALS",
        list([
          ["Dv SIGHUP", "Read the groups anew, and open the log file anew."],
          [
            "Dv SIGTERM , SIGINT",
            "Answer what was asked, remove socket and process ID file, and end.",
          ],
        ]),
      ],
      [
        "EXAMPLES",
        `Start a second daemon for tests, and stop it:
.Bd -literal -offset indent
$ mungekey --create --keyfile=$HOME/munge/key
$ munged --key-file=$HOME/munge/key --socket=$HOME/munge/socket \\e
    --pid-file=$HOME/munge/pid --log-file=$HOME/munge/log \\e
    --seed-file=$HOME/munge/seed
$ munged --stop --socket=$HOME/munge/socket
.Ed`,
      ],
    ],
    seeAlso: ["munge 1", "remunge 1", "unmunge 1", "munge 7", "mungekey 8"],
  },
  {
    name: "mungekey",
    section: 8,
    summary: "make the key that the hosts of a realm share",
    description: `.Nm
writes a new random key, readable by its owner alone.
Whoever has the key can claim to be any user on every host of the realm:
copy it over encrypted channels only.
.Pp
.Nm create-munge-key
is an older name of
.Nm Fl -create .`,
    details: {
      create: "There is nothing else it does, so this may be left out.",
      bits: "The number is from 256 to 8192, and 1024 without this option.",
      force: "The old key is gone only when the new one is whole and on disk.",
    },
    sections: [
      ["FILES", list([["Pa /etc/munge/munge.key", "the key"]])],
      ["EXIT STATUS", "0 if the key was made, 1 otherwise."],
    ],
    seeAlso: ["munge 7", "munged 8"],
  },
  {
    name: "munge",
    section: 1,
    summary: "make a credential",
    description: `.Nm
asks
.Xr munged 8
for a credential that says who runs
.Nm ,
with a payload that may be empty.
It is a single line of printable characters.`,
    details: {
      ...TYPE_DETAILS,
      "restrict-uid": RESTRICT_UID,
      "restrict-gid": RESTRICT_GID,
      uid: "Only root may name another than its own.",
      gid: "Only root may name another than its own.",
      ttl: TTL,
      output: "A file that is there is replaced only once there is a credential.",
    },
    sections: [
      ["EXIT STATUS", CLIENT_STATUS],
      [
        "EXAMPLES",
        `Make a credential here and open it on another host:
.Dl $ munge -n | ssh host unmunge
.Pp
Send a message that only one user can open:
.Dl $ munge --string=hello --restrict-uid=alice`,
      ],
    ],
    seeAlso: ["remunge 1", "unmunge 1", "munge 7", "munged 8"],
  },
  {
    name: "unmunge",
    section: 1,
    summary: "check and open a credential",
    description: `.Nm
has
.Xr munged 8
check a credential, and prints what it says:
who made it, when, and on which host,
then an empty line and its payload.
On each host a credential can be opened once only.`,
    details: {
      keys: "Names of lines, separated by commas, in any order.",
      numeric: "Addresses, times, types and users are then not translated to names.",
      "ignore-ttl": "The line STATUS still tells the truth.",
      "ignore-replay": "The line STATUS still tells the truth.",
    },
    sections: [
      [
        "EXIT STATUS",
        `${CLIENT_STATUS}
A credential that is expired, rewound or replayed is still printed.`,
      ],
      [
        "EXAMPLES",
        `Print nothing but the user's number:
.Dl $ unmunge --input=credential --keys=UID --numeric --output=/dev/null`,
      ],
    ],
    seeAlso: ["munge 1", "remunge 1", "munge 7", "munged 8"],
  },
  {
    name: "remunge",
    section: 1,
    summary: "measure how fast credentials are made",
    description: `.Nm
has
.Xr munged 8
make credentials, and open them if asked to, with as many threads as wanted,
and tells how many there were in a second.
Without a number of credentials or a duration it runs for a second.`,
    details: {
      ...TYPE_DETAILS,
      "restrict-uid": RESTRICT_UID,
      "restrict-gid": RESTRICT_GID,
      ttl: TTL,
      duration: "A letter may follow: s, m, h or d.",
      length: "A letter may follow: k, m or g for powers of 1000, K, M or G for powers of 1024.",
      "num-creds": "A letter may follow, as after the payload's length.",
    },
    sections: [["EXIT STATUS", "0 if it ran to its end, 1 for a mistake on the command line."]],
    seeAlso: ["munge 1", "unmunge 1", "munge 7", "munged 8"],
  },
  {
    name: "mungebox",
    section: 1,
    summary: "all of MUNGE in one executable",
    description: `.Nm
is
.Xr munged 8 ,
.Xr munge 1 ,
.Xr unmunge 1 ,
.Xr remunge 1
and
.Xr mungekey 8
in one file: it is the one whose name it is called by.
Under its own name it takes that name as its first argument.
Some commands are called in this way only:
.Bl -tag -width Ds
.It Nm Cm container Op Ar munged-options
Runs
.Xr munged 8
in the foreground, with its log on standard output.
The key is read from the file in the environment variable
.Ev MUNGE_SECRET ,
whoever owns it and be it a symbolic link, and copied to memory for the daemon.
.It Nm Cm doctor Oo Fl -json Oc Oo Ar munged-options Oc Op Ar host ...
Names the cause if munge does not work here, or between this host and others,
and the command that mends it.
.It Nm Cm health Op Fl S Ar path
Makes a credential and opens it, as a probe of the daemon.
.El`,
    details: {
      list: "These are the commands that have a name of their own.",
      install: "Symbolic links are made to the file this program is in.",
    },
    sections: [
      [
        "ENVIRONMENT",
        list([[
          "Ev MUNGE_SECRET",
          `Path of the key for
.Nm Cm container .
Without it, the path is
.Pa /run/secrets/munge.key .`,
        ]]),
      ],
      ["EXIT STATUS", "That of the command, or 1 if there is none of the name."],
      ["EXAMPLES", "Provide all commands on a host:\n.Dl # mungebox --install /usr/local/bin"],
    ],
    seeAlso: ["munge 1", "remunge 1", "unmunge 1", "munge 7", "munged 8", "mungekey 8"],
  },
  {
    name: "munge",
    section: 7,
    summary: "authentication with credentials among hosts that share a key",
    description: `MUNGE tells a process on one host of a cluster
which user runs a process on another.
A process has
.Xr munged 8
on its host make a credential, and sends it along with its request.
The receiver has the daemon on its own host check and open it,
and learns the UID and GID of the sender.
.Pp
A credential is valid for a limited time
.Pq the time-to-live, 300 s unless another is asked for ,
and on each host only once.
It carries a payload that only the holders of the key can read.
Clocks of the hosts have to agree.
.Pp
The hosts that share a key, with the same users and groups, form a realm.
.Ss Ciphers
${numbers(CIPHERS)}
.Ss Message authentication codes
${numbers(MACS.slice(1))}
.Ss Compression
${numbers(ZIPS)}
.Ss Errors
${numbers(ERRORS.map(([, name], number) => ({ number, name })))}`,
    sections: [
      [
        "FILES",
        list([
          ["Pa /etc/munge/munge.key", "the key"],
          ["Pa /run/munge/munge.socket.2", "the daemon's socket"],
        ]),
      ],
    ],
    seeAlso: ["munge 1", "mungebox 1", "remunge 1", "unmunge 1", "munged 8", "mungekey 8"],
  },
];
