// What the manual pages of AUKS say beyond the option tables, in mdoc(7) markup, one sentence per line.
import { AUKS_ERRORS, auksExitStatus } from "../../lib/auks/errors.ts";
import { list, type Page } from "./page.ts";

const CONFIG_OPTION = `Without it, the file is the one that
.Ev AUKS_CONF
names, then
.Pa /etc/auks/auks.conf ,
then
.Pa /etc/auks.conf .`;

const REASONS = `A failure prints one line on standard error:
the original AUKS's message, with the reason in parentheses.
The exit status is the low byte of the error's number;
a failure never exits with 0.`;

const SEE_ALSO = [
  "auks 1",
  "auks.acl 5",
  "auks.conf 5",
  "auks.so 8",
  "auksd 8",
  "auksdrenewer 8",
  "aukspriv 8",
];
const others = (own: string) => SEE_ALSO.filter((page) => page !== own);

const keys = (rows: readonly (readonly [key: string, preset: string, meaning: string])[]) =>
  list(rows.map(([key, preset, meaning]) => [
    `Ic ${key}`,
    preset === "" ? meaning : `${meaning}.\nDefault: ${preset}.`,
  ]));

/** All pages. */
export const AUKS_PAGES: readonly Page[] = [
  {
    name: "auks",
    section: 1,
    summary: "forward Kerberos tickets to batch jobs",
    description: `.Nm
sends the user's ticket-granting ticket to
.Xr auksd 8 ,
and the nodes that run the user's jobs fetch it from there.
It also fetches, removes and lists tickets,
and renews the one in a credential cache.
.Pp
It authenticates with the default credential cache
.Pq Ev KRB5CCNAME .
If several actions are given, the last one wins.`,
    details: {
      add: `The ticket comes from
.Fl -ccache ,
or from the default cache.
A ticket that is bound to addresses is exchanged for one that is not.
With
.Fl -verbose ,
it reports whether the daemon stored the ticket or kept a better one.`,
      ccache: `For
.Fl -add
and
.Fl -renew
the cache to read; for
.Fl -get ,
.Fl -receive
and
.Fl -renew
the cache to fill.
It may have any type that libkrb5 supports.
A file is replaced atomically:
a reader sees either the old tickets or the new ones.`,
      config: CONFIG_OPTION,
      dump: "Only admins may use it.",
      get: `Without
.Fl -ccache ,
this replaces the cache that
.Nm
authenticates with.`,
      receive: "Needs neither a ticket nor a daemon.",
      renew: `The mode is
.Cm once
or
.Cm loop .
A ticket is due when
.Ic MinLifeTime
of
.Xr auks.conf 5
or less remains.
If
.Xr auksd 8
has a ticket that expires later, that one replaces it;
otherwise the KDC renews it.
Service tickets stay in the cache.
The loop checks every
.Ic Delay
seconds, takes a later ticket from the daemon even if its own is not due,
and keeps trying through failures of the daemon and the KDC
until the ticket has expired.`,
      send: "The output is secret, so it is never written to a terminal.",
      uid: "A number or a name.\nThe default is the caller.",
      verbose: `Given twice, it shows the blocks that are read; three times, their values.
Once the configuration has been read, the levels set there apply.`,
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
        `0 on success, 1 for errors on the command line.
${REASONS}
The most common ones:
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
        `Send a ticket to the daemon, and check that the daemon answers:
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
Users send theirs when they submit jobs,
and the nodes that run the jobs fetch them;
see
.Xr auks 1 .
.Xr auks.acl 5
sets who may do what.
.Nm
needs a keytab, and never contacts a KDC.`,
    details: {
      "check-config": "The exit status tells whether the daemon would start.",
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
          [
            "Dv SIGHUP",
            "Reload the configuration and the ACL; if either is invalid, keep the old ones.",
          ],
          ["Dv SIGTERM , SIGINT", "Finish the requests in progress, then exit."],
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
keeps, has the KDC renew those that are due, and returns them.
It authenticates with its default credential cache, which
.Xr aukspriv 8
fills, and needs the role admin in
.Xr auks.acl 5 .
.Pp
A ticket is due when
.Ic MinLifeTime
or less remains, or up to an eighth of its lifetime earlier,
so that tickets obtained together are not renewed together.
When no KDC of a realm answers,
.Nm
leaves the realm alone for 5 seconds,
then for longer each time, up to 5 minutes.
.Pp
Several may run, on several hosts:
each checks the ticket again right before renewing it,
and skips it if another one has already renewed it.`,
    details: {
      config: CONFIG_OPTION,
      "log-file": "With it, raising a level does not keep the daemon in the foreground.",
      "metrics-file": `For the textfile collector of Prometheus's node exporter.
Written every 15 seconds, and removed on exit.`,
      status: `The list is that of
.Nm auks
.Fl -dump ,
with the state of each ticket.`,
      verbose: "Messages after the configuration has been read go to the log of the api block.",
    },
    sections: [
      [
        "SIGNALS",
        list([
          ["Dv SIGHUP", "Reload the configuration; if it is invalid, keep the old one."],
          ["Dv SIGTERM , SIGINT", "Finish the renewals in progress, then exit."],
        ]),
      ],
      ["EXIT STATUS", `0 on success, 1 for errors on the command line.\n${REASONS}`],
    ],
    seeAlso: others("auksdrenewer 8"),
  },
  {
    name: "aukspriv",
    section: 8,
    summary: "keep a host's own Kerberos ticket",
    description: `.Nm
uses a keytab to obtain a ticket,
puts it in the credential cache of root or of another account,
and repeats this when two thirds of the ticket's lifetime have passed.
.Xr auksdrenewer 8
and the nodes that fetch tickets from
.Xr auksd 8
authenticate with it.
It goes into the background and logs to syslog.
.Pp
If the keytab holds several principals, it tries them in this order:
the Active Directory machine account
.Pq Li NODE$ ,
.Li host/
with the host's name, any machine account, any
.Li host/ ,
and any other that is not a service's.
If the KDC does not know one, it tries the next.
It logs which one it chose, and why.`,
    details: { once: "The exit status is 1 if it gets no ticket." },
    sections: [
      [
        "ENVIRONMENT",
        `The service reads these from
.Pa /etc/sysconfig/aukspriv .
Times are in seconds, or have units as in 10h or 1d12h.
${
          list([
            ["Ev AUKS_PRIV_USER", "the account whose cache is filled.\nDefault: root."],
            ["Ev AUKS_PRIV_KEYTAB", "Default: /etc/krb5.keytab."],
            ["Ev AUKS_PRIV_PRINC", "the principal to use instead of choosing one"],
            ["Ev AUKS_PRIV_LIFETIME", "the lifetime of the ticket.\nDefault: 36000."],
            [
              "Ev AUKS_PRIV_RENEW_INT",
              "the longest time between two tickets, whatever their lifetime",
            ],
            [
              "Ev AUKS_PRIV_ERROR_INT",
              "the time between a failure and the next attempt.\nDefault: 60.",
            ],
            ["Ev AUKS_PRIV_KINIT_TIMEOUT", "how long one attempt may take.\nDefault: 10."],
            [
              "Ev AUKS_PRIV_SYSLOG_PRIO",
              "facility and level, or none for standard output.\nDefault: local3.notice.",
            ],
            [
              "Ev AUKS_KINIT_OPTS",
              `options for kinit;
.Fl l , r , c , f , F , p , P , C
mean what they mean to kinit`,
            ],
            ["Ev KRB5CCNAME", "the cache to fill instead of the account's default one"],
          ])
        }`,
      ],
      [
        "A CACHE OF ITS OWN",
        `rpc.gssd and gssproxy also write to root's default cache,
and a host that finds another principal there can't authenticate to
.Xr auksd 8 .
Give the host's ticket a cache that no other program uses:
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
A value is a word, a string in single quotes, or a string in double quotes,
where a backslash quotes the next character.
.Li #
starts a comment, even inside quotes.
Key names are not case-sensitive; block names are.
If a key appears twice, the first one wins.
Unknown blocks and keys are ignored.
.Pp
Clients need the blocks common and api; auksd needs common and auksd.`,
    sections: [
      [
        "BLOCK COMMON",
        keys([
          [
            "PrimaryHost",
            "localhost",
            "the host name of the primary auksd, by which it recognizes its role",
          ],
          ["PrimaryAddress", "PrimaryHost", "the address to bind and to connect to"],
          ["PrimaryPort", "12345", "a number, or the name of a service"],
          ["PrimaryPrincipal", "none", "the Kerberos principal of auksd"],
          [
            "SecondaryHost , SecondaryAddress , SecondaryPort , SecondaryPrincipal",
            "",
            "the same for the secondary auksd,\nwhich clients ask when the primary does not answer",
          ],
          ["CrossRealm", "none", "the realm whose ticket-granting ticket is added to the user's"],
          [
            "NAT",
            "no",
            "whether messages omit addresses;\nour auksd follows each client, the original needs the same value on all hosts",
          ],
          ["Retries", "3", "how many times to try the primary and the secondary"],
          ["Timeout", "10", "seconds allowed for connecting; 0 for the system's limit"],
          ["Delay", "10", "seconds between rounds"],
        ]),
      ],
      [
        "BLOCK API",
        keys([
          ["LogFile , DebugFile", "none", "where clients log"],
          ["LogLevel , DebugLevel", "0", "how much, from 0 to 9"],
          ["UseSyslog", "0", "any other number: syslog instead of the files"],
          [
            "HelperScript",
            "none",
            `the absolute path of a program to run as the user
after each change of a ticket, with
.Ev KRB5CCNAME
set, and
.Ev AUKS_EVENT
set to
.Li stored
when a job has got its ticket, to
.Li renewed ,
or to
.Li expiring
when a ticket that can no longer be renewed is about to expire.
It is killed after a minute, or after 20 seconds if a job waits for it`,
          ],
        ]),
      ],
      [
        "BLOCK AUKSD",
        keys([
          ["PrimaryKeytab , SecondaryKeytab", "/etc/auks/auks.keytab", "the keytab, by role"],
          ["CacheDir", "/var/cache/auks", "where tickets are kept, as aukscc_UID"],
          ["ACLFile", "/etc/auks/auks.acl", "who may do what"],
          ["QueueSize", "50", "how many connections may wait to be accepted"],
          ["CleanDelay", "300", "seconds between removals of expired tickets"],
          ["ReplayCache", "yes", "whether to reject replayed authenticators"],
          ["LogFile , DebugFile", "/var/log/auksd.log", "where it logs when in the background"],
          ["LogLevel , DebugLevel", "1 and 0", "how much, from 0 to 9"],
          [
            "Workers , RepoSize",
            "10 and 500",
            "accepted from files of the original AUKS, without effect",
          ],
        ]),
      ],
      [
        "BLOCK RENEWER",
        keys([
          ["Delay", "60", "seconds between checks of the tickets"],
          ["MinLifeTime", "300", "how many seconds before it expires a ticket is renewed"],
          [
            "LogFile , DebugFile",
            "/var/log/auksdrenewer.log",
            "where it logs when in the background",
          ],
          ["LogLevel , DebugLevel", "1 and 0", "how much, from 0 to 9"],
        ]),
      ],
      [
        "BLOCK MUNGEBOX",
        `The original ignores this block; unknown keys in it are errors.
${
          keys([
            [
              "Dialect",
              "auto",
              "the format of the credentials that auksd writes:\nauto, 0.4, 0.5 or head; it reads all",
            ],
            [
              "Replicate",
              "no",
              "whether primary and secondary forward the tickets they accept\nto each other",
            ],
            ["Sync", "yes", "whether a ticket must be on disk before auksd acknowledges it"],
            ["LockMemory", "no", "whether auksd locks its memory, so that it is never swapped out"],
            ["PidFile", "none", "an absolute path"],
            ["MetricsFile", "none", "an absolute path, for Prometheus's textfile collector"],
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
    description: `The file has the syntax of
.Xr auks.conf 5
and consists of rules.
The first rule whose principal and host match decides;
a request that matches none is refused.
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
            `a POSIX extended regular expression,
searched for in the principal's name, or
.Li *
for any principal.
Begin it with
.Li ^ ,
end it with
.Li $ ,
and write a literal dot as
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
          ["Cm user", "may add, fetch and remove their own ticket."],
          ["Cm guest", "may add their own ticket."],
        ]),
      ],
    ],
    seeAlso: others("auks.acl 5"),
  },
  {
    name: "auks.so",
    section: 8,
    summary: "Slurm plugin that gives jobs their users' Kerberos tickets",
    description: `The SPANK plugin
.Nm
sends the ticket of a user who runs
.Nm srun ,
.Nm sbatch
or
.Nm salloc
to
.Xr auksd 8 ,
and on compute nodes fetches it into a credential cache of the job,
which it renews and finally destroys.
All steps of a job on a node share one cache and one renewer.
.Pp
To use it, add a line to
.Pa plugstack.conf
on login and compute nodes:
.Bd -literal -offset indent
optional auks.so default=enabled minimum_uid=1000
.Ed
.Pp
With
.Li required
instead of
.Li optional ,
the tasks of a job that should have a ticket do not run without one.
The plugin itself does not use Kerberos; it runs
.Pa mungebox .`,
    sections: [
      [
        "OPTION OF SLURM'S COMMANDS",
        list([
          ["Fl -auks Ns = Ns Cm yes", "Send the ticket, and give it to the job."],
          [
            "Fl -auks Ns = Ns Cm done",
            "Give the job the ticket that\n.Xr auksd 8\nalready has.",
          ],
          [
            "Fl -auks Ns = Ns Cm no",
            "Do neither.\nThis also applies to the steps of the job, whatever its environment says.",
          ],
        ]),
      ],
      [
        "ARGUMENTS IN PLUGSTACK.CONF",
        list([
          [
            "Cm default Ns = Ns enabled|disabled",
            "What to do if the option is not given.\nDefault: disabled.",
          ],
          ["Cm minimum_uid Ns = Ns Ar uid", "Do nothing for users with a lower UID.\nDefault: 0."],
          [
            "Cm enforced",
            "Treat a user without a ticket as an error,\nwhich stops the job if the plugin is\n.Li required .",
          ],
          [
            "Cm conf Ns = Ns Ar file",
            "The configuration to use instead of\n.Pa /etc/auks/auks.conf .",
          ],
          [
            "Cm hostcredcache Ns = Ns Ar ccache",
            "The cache with the compute node's own ticket, if not root's default one.\nA file must belong to root.",
          ],
          [
            "Cm ccache Ns = Ns Ar template",
            `The name of a job's cache, in which
.Li %u
is the UID,
.Li %j
the job,
.Li %s
the step and
.Li %%
a percent sign.
.Li XXXXXX
at the end makes the name unique.
Use
.Pa /tmp/krb5cc_%u_%j
for
.Nm rpc.gssd ,
which looks for names with that beginning.
Default: a new cache of the type in
.Pa krb5.conf .`,
          ],
          ["Cm force_file_ccache", "Short for\n.Cm ccache Ns = Ns Pa /tmp/krb5cc_%u_%j_XXXXXX ."],
          [
            "Cm no_cc_switch",
            "Do not make the job's cache the primary one of its collection\n(KEYRING, KCM, DIR) while the job runs.",
          ],
          [
            "Cm per_step",
            "Give each step a cache and a renewer of its own, as the original AUKS does.",
          ],
          [
            "Cm spankstackcred Ns = Ns yes",
            "Also set\n.Ev KRB5CCNAME\nfor the plugins that follow.",
          ],
          [
            "Cm sync Ns = Ns yes|all",
            "Write all file systems to disk\nbefore the cache is destroyed, for file systems that still need the ticket.",
          ],
          ["Cm program Ns = Ns Ar path", "The executable.\nDefault:\n.Pa /usr/bin/mungebox ."],
        ]),
      ],
      [
        "ENVIRONMENT",
        `.Bl -tag -width Ds
.It Ev SLURM_SPANK_AUKS
.Li yes
or
.Li done ,
like the option; any other value means
.Li no .
Of the option, only
.Cm no
overrides it.
The plugin sets it for the job.
.It Ev KRB5CCNAME
The job's cache.
If it is set when the job starts, and that cache holds an unexpired ticket,
the plugin uses it instead of a new one.
.El`,
      ],
      [
        "FILES",
        `.Bl -tag -width Ds
.It Pa /run/auks/jobs
One file for each job on the node, with the name of its cache.
What killed steps have left behind is removed when the job ends.
.El`,
      ],
      [
        "DIAGNOSTICS",
        `Messages begin with
.Qq spank-auks .
Errors reach the user's terminal, and the log of
.Nm slurmd ;
normal operation is logged at the level
.Li verbose .`,
      ],
    ],
    seeAlso: others("auks.so 8"),
  },
];
