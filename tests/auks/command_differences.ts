// Where ours deliberately differs from the original's recorded output in tests/auks/reference/commands.json, and why.

/** What is expected instead of the recorded outcome. */
export interface Difference {
  readonly why: string;
  readonly status?: number;
  readonly out?: string;
  /** A text, or a pattern where the original prints nothing. */
  readonly err?: string | RegExp;
  readonly endedBy?: string;
  readonly afterwards?: string;
}

const USAGE = { why: "an error on the command line is a failure", status: 1 };
const EXPIRED = {
  why: "an expired ticket is reported at once, and never sent",
  status: 250,
  err: "Auks API request failed : krb5 cred : TGT has expired\n",
};
const NOT_STORED = {
  why: "the expired ticket of row 86, or ghost's of row 97, was never stored",
  status: 147,
  out: "",
  err: "Auks API request failed : auks api : reply type is invalid\n",
};
const ANSWERED = {
  status: 0,
  out: "Auks API request succeed\n",
  err: "",
};
/** Ours also reports on standard error why it does not start. */
const REPORTED = /^auksdrenewer: unable to parse configuration file \(.+\)\n$/;
const AUKSPRIV = "TIME [INFO1] aukspriv:  unable to get ccache for ";

/** By the number of the row. */
export const DIFFERENT: Readonly<Record<number, Difference>> = {
  3: USAGE,
  4: USAGE,
  5: { ...USAGE, why: "-H has no meaning", err: "auks: invalid option -- 'H'\n" },
  6: USAGE,
  7: USAGE,
  8: USAGE,
  10: {
    ...USAGE,
    err: "auks: option '--re' is ambiguous; possibilities: '--remove' '--receive' '--renew'\n",
  },
  49: {
    why: "the original crashes",
    status: 0,
    out: "succeeds",
    err: "",
  },
  50: { why: "ours logs no steps of a success", afterwards: "not compared" },
  59: {
    why: "standard input is checked before it is accepted as a ticket",
    status: 146,
    err: "Auks API request failed : auks api : reply seems corrupted\n",
  },
  84: EXPIRED,
  86: { ...EXPIRED, out: "" },
  97: {
    why: "a principal without an account belongs to no user",
    status: 43,
    out: "",
    err: "Auks API request failed : auks cred : getpwnam failed\n",
  },
  98: {
    why: NOT_STORED.why,
    out: "UID        PRINCIPAL                          START_TIME               " +
      "END_TIME                 RENEW_UNTIL             \nAuks API request succeed\n",
  },
  99: NOT_STORED,
  105: { why: NOT_STORED.why, afterwards: "0\n" },
  106: NOT_STORED,
  117: {
    why: "the loop continues while the ticket is valid",
    status: 143,
    err: "",
    endedBy: "SIGTERM",
  },
  119: {
    why: "a directory is reported as one",
    status: 63,
    err: "Auks API init failed : unable to parse configuration file\n",
  },
  124: {
    why: "the original crashes",
    status: 62,
    err: "Auks API init failed : no configuration blocks found in configuration file\n",
  },
  131: { why: "the HOWTO's notation is accepted", ...ANSWERED },
  133: { why: "our auksd follows the client's NAT setting", ...ANSWERED },
  134: { why: "our auksd follows the client's NAT setting", ...ANSWERED },
  183: USAGE,
  151: { why: "--help is our own option", err: "" },
  152: USAGE,
  153: USAGE,
  158: { why: "the original crashes", status: 62 },
  173: { why: "a missing CacheDir is reported at startup", status: 201 },
  174: { why: "a missing keytab is reported at startup", status: 158 },
  178: { why: "an unreadable file is reported at startup", status: 201 },
  181: { why: "a port in use is reported before going into the background", status: 29 },
  184: { why: "a failure is reported", err: REPORTED },
  185: { why: "a failure is reported", err: REPORTED },
  186: {
    why: "the original prints a made-up number",
    err: "TIME [INFO1] [euid=0,pid=PID] renewer: unable to dump auksd creds : " +
      "auks api : request processing failed\n" +
      "TIME [INFO1] [euid=0,pid=PID] renewer: ending main loop\n" +
      "TIME [INFO1] [euid=0,pid=PID] renewer: exiting\n",
  },
  197: {
    why: "--help is our own option",
    status: 0,
    out: "Usage: aukspriv [-h|-v]\n\n\t\t-h\t\tprint this message\n" +
      "\t\t-v\t\tlog on stdout instead of syslog\n" +
      "\t--once\t\tfill the cache once, report it on stdout, and exit\n\n",
  },
  200: {
    why: "a missing keytab is reported as missing",
    out: `${AUKSPRIV}a principal using \t      ktfile /nowhere/krb5.keytab : ` +
      "Key table file '/nowhere/krb5.keytab' not found\n",
    err: "",
  },
  201: {
    why: "no kinit is run",
    out: `${AUKSPRIV}nobody@REALM.A using \t      ktfile /etc/krb5.keytab : ` +
      "Keytab contains no suitable keys for nobody@REALM.A while getting initial credentials\n",
  },
  203: {
    why: "no kinit is run",
    out: (`${AUKSPRIV}x using \t      ktfile /nowhere/k : ` +
      "Client 'x@REALM.A' not found in Kerberos database while getting initial credentials\n")
      .repeat(3),
  },
};
