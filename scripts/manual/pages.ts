// What the manual pages say beyond the option tables, in mdoc(7) markup, one sentence per line.
import { CIPHERS } from "../../lib/credential/cipher.ts";
import { ERRORS } from "../../lib/errors.ts";
import { MACS } from "../../lib/credential/mac.ts";
import { ZIPS } from "../../lib/credential/zip.ts";
import { list, type Page } from "./page.ts";

const TYPE_DETAILS = {
  cipher: "The cipher encrypts the contents of the credential.",
  mac: "The message authentication code protects the credential against forgery.",
  zip: "A credential is compressed only if that makes it smaller.",
};
const RESTRICT_UID = `Only processes of this user can open the credential.
Root is not exempt.`;
const RESTRICT_GID = `Only processes in this group, primary or supplementary,
can open the credential.`;
const TTL = `The daemon that opens the credential lowers it to its own
.Fl -max-ttl .`;

const IGNORE = `Such a credential is as good as any:
STATUS is Success, and the exit status is 0.`;

const EACH_REALM = `Without a realm's name, this applies to the default realm
and to all realms that have no such option of their own.`;
const ALGORITHMS = `Names are separated by commas.
The prefix encode: or decode: limits a list to that direction.
If a realm and direction have several lists, the last one counts.
It replaces what
.Fl -security
allows.
${EACH_REALM}`;
const CLIENTS = `Users and groups are separated by commas; everyone lifts the restriction.
${EACH_REALM}`;

const CLIENT_STATUS = `0 on success, otherwise the error's number in
.Xr munge 7 ,
which is 1 for mistakes on the command line.`;

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
makes and opens credentials; see
.Xr munge 7 .
Hosts whose
.Nm
has the same key trust what the others say about users.
Clients connect to a local socket, and the kernel says who they are.
.Pp
.Nm
goes into the background once its socket accepts requests.
It reports anything that prevents this on standard error.`,
    details: {
      "accept-origin": `Credentials from elsewhere are refused with error 18.
The address is what the daemon that made a credential claims:
this does not keep out anyone who has the key.`,
      "allow-ciphers": ALGORITHMS,
      "allow-macs": ALGORITHMS,
      "allow-zips": `${ALGORITHMS}
The list must contain none.`,
      "allow-decode": CLIENTS,
      "allow-encode": CLIENTS,
      security: `Modern allows the ciphers aes128 and aes256
and the MACs sha256 and sha512.
It is the default if the kernel runs in FIPS mode.`,
      benchmark: "This also disables the replay cache, so never run a cluster this way.",
      force: `Problems with files and with the origin become warnings,
and the daemon takes over a socket that another daemon is using.
A key or log that is not a regular file is still refused.`,
      foreground: "Messages go to standard error instead of the log file.",
      "allow-overflow-id": `In a user namespace, as in many containers,
all users outside it that are not mapped into it look like the same user.
Credentials of all of them would name that user,
so they are refused unless this option is given.`,
      "group-check-mtime": `With 0, groups are read again even if the file has not changed,
which is right for users and groups from a network directory.`,
      "group-update-time": `With 0, groups are read only at startup.
With -1, supplementary groups are ignored.`,
      "key-file": `It must be a regular file of at least 32 bytes
that belongs to the daemon's user.
No other user may be able to read or write it,
or to write to the directories above it.`,
      "listen-backlog": `How many clients may wait to be accepted.
0 stands for the default, and \\-1 for the most that the system allows.`,
      "max-payload": `The longest payload of a credential, from 1M to 64M.
K and M stand for 1024 and 1,048,576 bytes,
k and m for 1000 and 1,000,000.
Before they send more than 1M, the clients of mungebox ask the daemon.
Those of the C MUNGE never send more.
Raise the limit on every host that opens such credentials.
Each thread may need eight times as much memory.`,
      "max-ttl": "Longer times-to-live in credentials are lowered to this.",
      mlockall: `This keeps secrets out of swap space.
Unless the daemon runs as root, the limit on locked memory
.Pq Dv RLIMIT_MEMLOCK
has to allow for all of its memory.`,
      "no-replay-dir": `After a restart, credentials opened before it can be opened once more.`,
      origin: `This address goes into every credential made on this host.
It does not restrict who may connect.`,
      replace: `The new daemon, which may be of another version and have other settings,
prepares everything, takes the socket over from the running one,
and reads what that one has decoded.
Then the old one exits.
Meanwhile, clients wait for a few milliseconds; none is refused.
If anything fails, the old one keeps serving, and the exit status is 1.
If no daemon is running, one is started.
Both must use the same
.Fl -socket
and
.Fl -replay-dir .
Linux only.`,
      "replay-dir": `The cache remembers which credentials were opened,
across restarts and crashes of the daemon.
By default it is beside the seed file.
Each daemon on a host needs its own.`,
      "replay-scope": `Replays in the realm
.Ar NAME ,
or in all realms without a scope of their own,
are refused on the host that decoded the credential first,
or on all hosts that use the same store.
Without
.Fl -replay-store ,
every scope is
.Ql host .`,
      "replay-store": `The hosts of a realm share a record of the credentials that were decoded.
See
.Sx REPLAYS IN THE WHOLE REALM .`,
      "replay-store-ca-file":
        `Certificates, in PEM format, of the authorities trusted to sign the store's.
By default, these are the ones that the system trusts.`,
      "replay-store-password-file": `The first line of the file is the password.
It must belong to the daemon's user, and no other user may be able to read it.
It is read again for each connection.`,
      "replay-store-policy": `What to do with a credential if the store does not answer.
With
.Ql refuse ,
it is refused with an error.
With
.Ql host ,
this host's own replay cache decides alone.`,
      "replay-store-replicas":
        `A decode is answered only once this many replicas of the store's master
have recorded it, so that it is not lost when one of them becomes the master.`,
      "replay-store-timeout": `After this time, the policy applies.`,
      "replay-sync": `A crash of the daemon loses nothing.
A crash of the system or a power failure can lose
the record of what was decoded during this time.
With 0, each decode is answered only once it is on disk.`,
      socket: `All users must be able to reach it:
the directories above it need execute permission for all.`,
      stop: `Waits until that daemon is gone,
and kills it if it takes longer than five seconds.`,
      "trusted-group": "This group may have write permission for the directories above the files.",
    },
    sections: [
      [
        "ENVIRONMENT",
        `An option that is not given, and that the configuration file sets,
can also be set by a variable: its long name in capitals after
.Ev MUNGEBOX_ ,
as in
.Ev MUNGEBOX_MAX_TTL .
A variable overrides the file, and the command line overrides both.
Three variables have names of their own:
.Ev MUNGE_TTL ,
.Ev MUNGE_TIMESTAMP_DRIFT_MAX
and
.Ev MUNGE_KEY_ROTATION_SECONDS .`,
      ],
      [
        "REPLAYS IN THE WHOLE REALM",
        `Without a store, a daemon refuses replays only of what it has decoded itself.
With
.Fl -replay-store ,
it also asks a Valkey or Redis store whether any host has,
once for each credential that is new to it.
The store learns the key's fingerprint and the first bytes of the MAC,
and forgets them a few minutes after the credential has expired.
The forms of a URL are:
.Bl -tag -width Ds
.It Ar redis://[USER@]HOST[:PORT]
A single server.
.It Ar redis+sentinel://[USER@]HOST[:PORT]/MASTER
The master of that name, from any of several sentinels.
.It Ar redis+cluster://[USER@]HOST[:PORT]
A cluster, from any of several of its servers.
.El
.Pp
With
.Ql rediss
in place of
.Ql redis ,
connections use TLS.
.Pp
A server that has been restarted, or has just become the master,
may not know of everything that was decoded before.
For credentials made up to
.Fl -timestamp-drift-max
seconds
.Pq 5 if unset
after that, the policy applies as if it did not answer.`,
      ],
      [
        "SOCKET ACTIVATION",
        `A service manager can pass the socket as a descriptor, in systemd's way
.Pq Ev LISTEN_PID , LISTEN_FDS .
It must be exactly one stream socket that listens on the path of
.Fl -socket .
The daemon does not remove such a socket when it ends,
so that clients wait for the next daemon.`,
      ],
      [
        "FILES",
        list([
          ["Pa /etc/munge/munge.conf", "options, one a line, as in max-ttl=600"],
          ["Pa /etc/munge/munge.key", "the key"],
          ["Pa /etc/munge/realms", "keys of other realms, each NAME.key"],
          ["Pa /run/munge/munge.socket.2", "the socket, with its lock beside it"],
          ["Pa /run/munge/munged.pid", "the process ID"],
          ["Pa /var/log/munge/munged.log", "the log"],
          ["Pa /var/lib/munge/munged.seed", "the seed of the random number generator"],
          ["Pa /var/lib/munge/munged.replay", "the replay cache"],
          ["Pa /etc/default/munge", "options for the system's service"],
        ]),
      ],
      [
        "EXIT STATUS",
        `0 if the daemon was started or stopped,
or the requested information was printed, 1 otherwise.
With
.Fl -status ,
the number of an error in
.Xr munge 7
if the daemon does not answer.`,
      ],
      [
        "SIGNALS",
        list([
          [
            "Dv SIGHUP",
            "Read the groups and the keys again, and reopen the log file.",
          ],
          [
            "Dv SIGTERM , SIGINT",
            "Answer pending requests, remove the socket and process ID file, and exit.",
          ],
        ]),
      ],
      [
        "EXAMPLES",
        `Start a second daemon for tests, then stop it:
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
    summary: "create the key that the hosts of a realm share",
    description: `.Nm
creates a new random key that only its owner can read.
Anyone with the key can impersonate any user on every host of the realm,
so copy it over encrypted channels only.
It also replaces a key while daemons are running:
.Fl -stage
a new key on all hosts, then
.Fl -promote
it on all hosts, and later
.Fl -retire
the old one.
.Pp
.Nm create-munge-key
is an older name for
.Nm Fl -create .`,
    details: {
      create: "This is the default, so it may be omitted.",
      bits: "From 256 to 8192; the default is 1024.",
      force: "The old key is replaced only once the new one is complete and on disk.",
      promote: `If a
.Xr munged 8
that reads this file is running,
mungekey notifies it and waits until all of its threads encode with the new key.`,
      stage: `If a
.Xr munged 8
that reads this file is running,
mungekey notifies it and waits until all of its threads accept the new key.`,
    },
    sections: [
      [
        "FILES",
        list([
          ["Pa /etc/munge/munge.key", "the key"],
          ["Pa /etc/munge/munge.key.next", "the staged key"],
          ["Pa /etc/munge/munge.key.old", "the retired key"],
        ]),
      ],
      ["EXIT STATUS", "0 on success, 1 otherwise."],
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
for a credential that identifies the user who runs
.Nm ,
with a payload that may be empty.
A credential is a single line of printable characters.`,
    details: {
      ...TYPE_DETAILS,
      "restrict-uid": RESTRICT_UID,
      "restrict-gid": RESTRICT_GID,
      uid: "Only root may name a user other than itself.",
      gid: "Only root may name a group other than its own.",
      ttl: TTL,
      output: "An existing file is replaced only once the credential is complete.",
    },
    sections: [
      ["EXIT STATUS", CLIENT_STATUS],
      [
        "EXAMPLES",
        `Make a credential and open it on another host:
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
check a credential, and prints its contents:
who made it, when, and on which host,
followed by an empty line and the payload.
A credential can be opened only once on each host.`,
    details: {
      keys: `Names of lines, in any order, separated by commas.
Restrictions that the credential does not have are left out.`,
      numeric: "Prints numbers instead of names for addresses, times, types and users.",
      "ignore-ttl": IGNORE,
      "ignore-replay": IGNORE,
      "no-output": "Then the name service is not queried either.",
    },
    sections: [
      [
        "EXIT STATUS",
        `${CLIENT_STATUS}
Expired, rewound and replayed credentials are still printed.`,
      ],
      [
        "EXAMPLES",
        `Print only the user's number:
.Dl $ unmunge --input=credential --keys=UID --numeric --output=/dev/null`,
      ],
    ],
    seeAlso: ["munge 1", "remunge 1", "munge 7", "munged 8"],
  },
  {
    name: "remunge",
    section: 1,
    summary: "measure how fast munged makes credentials",
    description: `.Nm
has
.Xr munged 8
make credentials, and optionally open them, from a given number of threads,
and reports how many there were per second.
Without a number of credentials or a duration, it runs for one second.`,
    details: {
      ...TYPE_DETAILS,
      "restrict-uid": RESTRICT_UID,
      "restrict-gid": RESTRICT_GID,
      ttl: TTL,
      duration: "A letter may follow: s, m, h or d.",
      length: "A letter may follow: k, m or g for powers of 1000, K, M or G for powers of 1024.",
      "num-creds": "A letter may follow, as for the payload's length.",
    },
    sections: [[
      "EXIT STATUS",
      "0 if it ran to the end, 1 for a mistake on the command line,\n130 if it was interrupted.",
    ]],
    seeAlso: ["munge 1", "unmunge 1", "munge 7", "munged 8"],
  },
  {
    name: "mungebox",
    section: 1,
    summary: "all of MUNGE and AUKS in one executable",
    description: `.Nm
is
.Xr munged 8 ,
.Xr munge 1 ,
.Xr unmunge 1 ,
.Xr remunge 1
and
.Xr mungekey 8
.Pq also as create-munge-key , its older name ,
and for sites with Kerberos
.Xr auks 1 ,
.Xr auksd 8 ,
.Xr auksdrenewer 8
and
.Xr aukspriv 8 ,
in one file: it acts as the command under whose name it is called.
Under its own name, it takes the command as its first argument.
These commands are available only in this way:
.Bl -tag -width Ds
.It Nm Cm auks-pam
Sends a user's Kerberos ticket to auksd at login, when
.Pa pam_exec.so
runs it.
.It Nm Cm auks-step
Does the Kerberos work of
.Xr auks.so 8 ,
which runs it.
.It Nm Cm container Op Ar munged-options
Runs
.Xr munged 8
in the foreground, with its log on standard output.
The key is the file named by the environment variable
.Ev MUNGE_SECRET .
If it is on a read-only mount, as Kubernetes and other engines mount secrets,
it may be reached through symbolic links, belong to root,
and be readable by others;
elsewhere, the rules of
.Fl -key-file
apply.
.It Nm Cm container Fl -make-directories
Gives the directories of the daemon's socket and state to the user munge,
if they belong to root.
.It Nm Cm doctor Oo Fl -json Oc Oo Ar munged-options Oc Op Ar host ...
Finds out why munge does not work on this host, or between it and others,
and prints the cause and what to do about it.
.It Nm Cm health Op Fl S Ar path
Makes and opens a credential, as a health check for the daemon.
.It Nm Cm transact
Asks the daemon on behalf of a command that cannot call the C library,
which runs it.
.El`,
    details: {
      list: "These are the commands that can be called by their own names.",
      install: "The links are symbolic links to this program's own file.",
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
      ["EXIT STATUS", "That of the command, or 1 if there is no such command."],
      [
        "EXAMPLES",
        "Make all commands available on a host:\n.Dl # mungebox --install /usr/local/bin",
      ],
    ],
    seeAlso: [
      "auks 1",
      "munge 1",
      "remunge 1",
      "unmunge 1",
      "munge 7",
      "auksd 8",
      "munged 8",
      "mungekey 8",
    ],
  },
  {
    name: "munge",
    section: 7,
    summary: "authentication with credentials among hosts that share a key",
    description: `MUNGE proves to a process on one host of a cluster
which user runs a process on another.
A process asks
.Xr munged 8
on its host for a credential, and sends it along with a request.
The receiver has the daemon on its own host check and open the credential,
and learns the UID and GID of the sender.
.Pp
A credential is valid for a limited time
.Pq the time-to-live, by default 300 s ,
and only once on each host.
It carries a payload that only holders of the key can read.
The clocks of the hosts must agree.
.Pp
The hosts that share a key, and the same users and groups, form a realm.
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
