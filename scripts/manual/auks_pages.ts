// What the manual pages of AUKS say beyond the option tables, in mdoc(7) markup, one sentence per line.
import { AUKS_ERRORS, auksExitStatus } from "../../lib/auks/errors.ts";
import { list, type Page } from "./page.ts";

const CONFIG_OPTION = `Without it, the file is the one that
.Ev AUKS_CONF
names, then
.Pa /etc/auks/auks.conf ,
then
.Pa /etc/auks.conf .`;

const REASONS = `A failure is one line on standard error:
what the original AUKS says, and in parentheses the reason.
The exit status is the low byte of the error's number,
and never 0 for a failure.`;

const SEE_ALSO = [
  "auks 1",
  "auks.acl 5",
  "auks.conf 5",
  "auksd 8",
  "auksdrenewer 8",
  "aukspriv 8",
];
const others = (own: string) => SEE_ALSO.filter((page) => page !== own);

const keys = (rows: readonly (readonly [key: string, preset: string, meaning: string])[]) =>
  list(rows.map(([key, preset, meaning]) => [
    `Ic ${key}`,
    preset === "" ? meaning : `${meaning}\nDefault: ${preset}.`,
  ]));

/** All pages. */
export const AUKS_PAGES: readonly Page[] = [
  {
    name: "auks",
    section: 1,
    summary: "forward Kerberos tickets to batch jobs",
    description: `.Nm
gives the user's ticket-granting ticket to
.Xr auksd 8 ,
from where the nodes that run the user's jobs fetch it.
It also fetches, removes and lists tickets,
and renews the one in a credential cache.
.Pp
It authenticates with the default credential cache
.Pq Ev KRB5CCNAME .
Of several actions the last one counts.`,
    details: {
      add: `The ticket is that of
.Fl -ccache ,
or of the default cache.
A ticket that is bound to addresses is exchanged for one that is not.
With
.Fl -verbose ,
it says whether the daemon stored the ticket or kept a better one.`,
      ccache: `For
.Fl -add
and
.Fl -renew
the cache to read, for
.Fl -get ,
.Fl -receive
and
.Fl -renew
the one to fill, of any type that libkrb5 knows.
A file is replaced in one step: whoever reads it finds the old tickets or the
new ones.`,
      config: CONFIG_OPTION,
      dump: "Only admins may ask for it.",
      get: `Without
.Fl -ccache ,
this replaces the cache that
.Nm
authenticates with.`,
      receive: "It needs neither a ticket nor a daemon.",
      renew: `The mode is
.Cm once
or
.Cm loop .
A ticket is due when
.Ic MinLifeTime
of
.Xr auks.conf 5
or less is left.
It is replaced by the one that
.Xr auksd 8
has, if that ends later, otherwise renewed at the KDC.
Tickets for services stay in the cache.
The loop looks every
.Ic Delay
seconds, takes a later ticket from the daemon even if its own is not due,
and goes on through failures of daemon and KDC until the ticket has expired.`,
      send: "The output is a secret; it is not written to a terminal.",
      uid: "A number or a name.\nWithout it, the caller's own is meant.",
      verbose: `Twice shows the blocks that are read, three times their values.
Once the configuration is read, its own levels count.`,
    },
    sections: [
      [
        "ENVIRONMENT",
        list([
          ["Ev AUKS_CONF", "the configuration file"],
          ["Ev KRB5CCNAME", "the default credential cache"],
          ["Ev KRB5_CONFIG", "the configuration of Kerberos"],
        ]),
      ],
      [
        "EXIT STATUS",
        `0 on success, 1 for mistakes on the command line.
${REASONS}
The most frequent ones:
${
          list(
            ([
              "API_REQUEST",
              "API_REPLY_TYPE",
              "API_REPLY_CORRUPTED",
              "API_CONNECTION",
              "STREAM_SENDAUTH",
              "KRB5_CCACHE_READ",
              "KRB5_NO_TGT",
              "CRED_NO_LOCAL_NAME",
              "CRED_STILL_VALID",
              "KRB5_RENEW",
              "CONFIG_PARSE",
            ] as const).map((name) => {
              const [code, text] = AUKS_ERRORS[name];
              return [`${auksExitStatus(code)}`, text];
            }),
          )
        }`,
      ],
      [
        "EXAMPLES",
        `Give the daemon a ticket, and see whether it answers:
.Bd -literal -offset indent
kinit && auks -a
auks -p
.Ed
.Pp
Fetch a user's ticket as an admin:
.Bd -literal -offset indent
auks -g -u bob -C /tmp/krb5cc_bob
.Ed`,
      ],
    ],
    seeAlso: others("auks 1"),
  },
  {
    name: "auksd",
    section: 8,
    summary: "keep Kerberos tickets for batch jobs",
    description: `.Nm
keeps one ticket-granting ticket for each user, in memory and in files.
Users give it theirs when they submit jobs,
and the nodes that run the jobs fetch them;
see
.Xr auks 1 .
Who may do what is in
.Xr auks.acl 5 .
.Nm
needs a keytab, and never talks to a KDC.`,
    details: {
      "check-config": "The exit status says whether the daemon would start.",
      config: `Without it, the file is the one that
.Ev AUKSD_CONF
names, then
.Pa /etc/auks/auks.conf ,
then
.Pa /etc/auks.conf .`,
      foreground: "Messages go to standard error.",
    },
    sections: [
      [
        "SIGNALS",
        list([
          ["Dv SIGHUP", "Read configuration and ACL again; bad ones leave the old ones in force."],
          ["Dv SIGTERM , SIGINT", "Answer what was asked, and end."],
        ]),
      ],
      ["EXIT STATUS", `0 on success.\n${REASONS}`],
    ],
    seeAlso: others("auksd 8"),
  },
  {
    name: "auksdrenewer",
    section: 8,
    summary: "renew the tickets that auksd keeps",
    description: `Every
.Ic Delay
seconds,
.Nm
lists the tickets that
.Xr auksd 8
keeps, has the KDC renew those that are due, and gives them back.
It authenticates with its default credential cache, which
.Xr aukspriv 8
fills, and needs the role admin in
.Xr auks.acl 5 .
.Pp
A ticket is due when
.Ic MinLifeTime
or less is left, and up to an eighth of its life earlier:
tickets that were obtained together are not renewed together.
When no KDC of a realm answers, the realm is left alone for 5 seconds,
and longer each time, up to 5 minutes.
.Pp
Several may run, on several hosts:
each looks at the ticket again right before renewing it,
and leaves alone what another one has renewed.`,
    details: {
      config: CONFIG_OPTION,
      "log-file": "It does not keep the daemon in the foreground when a level is increased.",
      "metrics-file": `It is for the textfile collector of Prometheus's node exporter,
is written every 15 seconds, and is removed at the end.`,
      status: `A list as
.Nm auks
.Fl -dump
prints it, with the state of each ticket.`,
      verbose: "What follows the reading of the configuration goes to the log of the block api.",
    },
    sections: [
      [
        "SIGNALS",
        list([
          ["Dv SIGHUP", "Read the configuration again; a bad one leaves the old one in force."],
          ["Dv SIGTERM , SIGINT", "End, when the renewals under way are done."],
        ]),
      ],
      ["EXIT STATUS", `0 on success, 1 for mistakes on the command line.\n${REASONS}`],
    ],
    seeAlso: others("auksdrenewer 8"),
  },
  {
    name: "aukspriv",
    section: 8,
    summary: "keep a host's own Kerberos ticket",
    description: `.Nm
fills the credential cache of root, or of another account,
with a ticket that it obtains with a keytab,
and does so again when two thirds of the ticket's life are over.
.Xr auksdrenewer 8
and the nodes that fetch tickets from
.Xr auksd 8
authenticate with it.
It goes into the background and logs to syslog.
.Pp
Of several principals in the keytab it takes, in this order,
the machine account of Active Directory
.Pq Li NODE$ ,
.Li host/
with the host's name, any machine account, any
.Li host/ ,
and any other that is not a service's;
if the KDC does not know one, the next.
It says which it took, and why.`,
    details: { once: "The exit status is 1 if there is no ticket." },
    sections: [
      [
        "ENVIRONMENT",
        `The service reads these from
.Pa /etc/sysconfig/aukspriv .
Times are in seconds, or as in 10h or 1d12h.
${
          list([
            ["Ev AUKS_PRIV_USER", "whose cache it is\nDefault: root."],
            ["Ev AUKS_PRIV_KEYTAB", "Default: /etc/krb5.keytab."],
            ["Ev AUKS_PRIV_PRINC", "the principal, if it is not to be chosen"],
            ["Ev AUKS_PRIV_LIFETIME", "of the ticket\nDefault: 36000."],
            [
              "Ev AUKS_PRIV_RENEW_INT",
              "the longest time between two tickets, however long they live",
            ],
            ["Ev AUKS_PRIV_ERROR_INT", "the time to the next try after a failure\nDefault: 60."],
            ["Ev AUKS_PRIV_KINIT_TIMEOUT", "how long one try may take\nDefault: 10."],
            [
              "Ev AUKS_PRIV_SYSLOG_PRIO",
              "facility and level, or none for standard output\nDefault: local3.notice.",
            ],
            [
              "Ev AUKS_KINIT_OPTS",
              `options of kinit:
.Fl l , r , c , f , F , p , P , C
mean what they mean there`,
            ],
            ["Ev KRB5CCNAME", "the cache to fill, if it is not the account's default one"],
          ])
        }`,
      ],
      [
        "A CACHE OF ITS OWN",
        `rpc.gssd and gssproxy write to root's default cache, too,
and a host that then finds another principal there
can't authenticate to
.Xr auksd 8 .
Give the host's ticket a cache that nobody else knows:
.Bd -literal -offset indent
# /etc/sysconfig/aukspriv
KRB5CCNAME=FILE:/run/auks/host.ccache
.Ed
.Pp
Set the same variable for
.Xr auksdrenewer 8 ,
and
.Li hostcredcache=FILE:/run/auks/host.ccache
in plugstack.conf for Slurm.`,
      ],
    ],
    seeAlso: others("aukspriv 8"),
  },
  {
    name: "auks.conf",
    section: 5,
    summary: "configuration of AUKS",
    description: `The file consists of blocks:
.Bd -literal -offset indent
common {
  PrimaryHost = "mngt" ;
  PrimaryPrincipal = "host/mngt.example@EXAMPLE" ;
}
api { }
.Ed
.Pp
Each key is followed by
.Li = ,
a value and
.Li \\&; .
A value is a word, or a text in double quotes,
where a backslash quotes the next character,
or in single quotes.
.Li #
starts a comment, even within quotes.
The names of keys may be in any case, those of blocks may not.
Of a key that is given twice, the first counts; unknown blocks and keys are
ignored.
.Pp
Clients want the blocks common and api, auksd wants common and auksd.`,
    sections: [
      [
        "BLOCK COMMON",
        keys([
          [
            "PrimaryHost",
            "localhost",
            "the host name of the primary auksd, which finds its role by it",
          ],
          ["PrimaryAddress", "PrimaryHost", "the address to bind and to connect to"],
          ["PrimaryPort", "12345", "a number, or the name of a service"],
          ["PrimaryPrincipal", "none", "the Kerberos principal of auksd"],
          [
            "SecondaryHost , SecondaryAddress , SecondaryPort , SecondaryPrincipal",
            "",
            "the same for the secondary auksd,\nwhich is asked when the primary does not answer",
          ],
          ["CrossRealm", "none", "the realm whose ticket-granting ticket is added to the user's"],
          ["NAT", "no", "whether addresses are left out of messages; the same on all hosts"],
          ["Retries", "3", "rounds over primary and secondary"],
          ["Timeout", "10", "seconds to connect; 0 for the system's limit"],
          ["Delay", "10", "seconds between two rounds"],
        ]),
      ],
      [
        "BLOCK API",
        keys([
          ["LogFile , DebugFile", "none", "where clients log"],
          ["LogLevel , DebugLevel", "0", "how much, from 0 to 9"],
          ["UseSyslog", "0", "any other number: syslog in place of the files"],
          [
            "HelperScript",
            "none",
            `a program that is run after each renewal, as the user, with
.Ev KRB5CCNAME
set, and
.Ev AUKS_EVENT
set to
.Li renewed ,
or to
.Li expiring
when a ticket that can't be renewed any more is about to expire`,
          ],
        ]),
      ],
      [
        "BLOCK AUKSD",
        keys([
          ["PrimaryKeytab , SecondaryKeytab", "/etc/auks/auks.keytab", "the keytab, by role"],
          ["CacheDir", "/var/cache/auks", "where tickets are kept, as aukscc_UID"],
          ["ACLFile", "/etc/auks/auks.acl", "who may do what"],
          ["QueueSize", "50", "connections that wait to be accepted"],
          ["CleanDelay", "300", "seconds between two removals of expired tickets"],
          ["ReplayCache", "yes", "whether replayed authenticators are looked for"],
          ["LogFile , DebugFile", "/var/log/auksd.log", "where it logs in the background"],
          ["LogLevel , DebugLevel", "1 and 0", "how much, from 0 to 9"],
          ["Workers , RepoSize", "10 and 500", "accepted for compatibility"],
        ]),
      ],
      [
        "BLOCK RENEWER",
        keys([
          ["Delay", "60", "seconds between two looks at the tickets"],
          ["MinLifeTime", "300", "seconds that are left of a ticket when it is renewed"],
          ["LogFile , DebugFile", "/var/log/auksdrenewer.log", "where it logs in the background"],
          ["LogLevel , DebugLevel", "1 and 0", "how much, from 0 to 9"],
        ]),
      ],
      [
        "BLOCK MUNGEBOX",
        `The original ignores this block.
${
          keys([
            [
              "Dialect",
              "auto",
              "how auksd writes credentials: auto, 0.4, 0.5 or head; all are read",
            ],
            ["Replicate", "no", "whether primary and secondary tell each other what they accept"],
          ])
        }`,
      ],
    ],
    seeAlso: others("auks.conf 5"),
  },
  {
    name: "auks.acl",
    section: 5,
    summary: "who may do what with auksd",
    description: `The file has the grammar of
.Xr auks.conf 5
and consists of rules.
The first one whose principal and host match decides;
whom none matches is refused.
.Bd -literal -offset indent
rule {
  principal = ^host/[^@]+[.]example@EXAMPLE$ ;
  host = * ;
  role = admin ;
}
rule {
  principal = ^[^/@]+@EXAMPLE$ ;
  host = * ;
  role = user ;
}
.Ed`,
    sections: [
      [
        "RULES",
        keys([
          [
            "principal",
            "",
            `a POSIX extended regular expression that is looked for in the principal's name,
or
.Li *
for everybody.
Begin it with
.Li ^ ,
end it with
.Li $ ,
and write a dot as
.Li [.]`,
          ],
          ["host", "", "where requests come from: an address, a host's name, or\n.Li *"],
          ["role", "", "admin, user or guest"],
        ]),
      ],
      [
        "ROLES",
        list([
          ["Cm admin", "may add, fetch and remove any ticket, and list them."],
          ["Cm user", "may add, fetch and remove the own ticket."],
          ["Cm guest", "may add the own ticket."],
        ]),
      ],
    ],
    seeAlso: others("auks.acl 5"),
  },
];
