// mungekey: its options and the files it makes.
import type { Chapter } from "../case.ts";
import { KEY_MODE, LICENSE } from "./reasons.ts";

export const MUNGEKEY: Chapter = {
  title: "mungekey",
  areas: [
    {
      title: "-h, --help; -L, --license; -V, --version",
      cases: [
        "mungekey -h",
        "mungekey -vh",
        { run: "mungekey -L | head -n 2", differs: LICENSE },
        "mungekey --version",
      ],
    },
    {
      title: "Command line",
      cases: [
        "mungekey -x",
        "mungekey --xyz=3",
        "mungekey -xyz",
        "mungekey stray",
        "mungekey -- stray",
        "mungekey -k -y stray",
        "mungekey -k",
        "mungekey --keyfile",
        "mungekey --force=x",
        "mungekey --b",
        "mungekey ''",
        "mungekey -é",
        "mungekey -$(printf '\\1')",
        "mungekey -k k >&-; mungekey -V >/dev/full",
      ],
    },
    {
      title: "-c, --create",
      cases: ["mungekey -c -k k", "mungekey --create -v -k k", "mungekey -cvk k", "mungekey -k k"],
    },
    {
      title: "-b, --bits=INT",
      cases: [
        ..."255|256|257|263|264|300|1024|8191|8192|8193|0|-1|x|''|300x|' 300'|+300|0x200|2147483648|99999999999999999999"
          .split("|").map((bits) => `mungekey -v -k k -b ${bits}`),
        "mungekey --bits=512 -v -k k",
        "mungekey --bits=x -k k",
        "mungekey -b 256 -b 512 -v -k k",
        "mungekey -b",
      ],
    },
    {
      title: "-f, --force",
      before: "echo old >k; chmod 644 k; mkdir d; ln -s nowhere l; ln -s k m",
      cases: [
        "mungekey -k k",
        "mungekey -f -k k",
        "mungekey --force -v --keyfile=k",
        "mungekey -f -k d",
        "mungekey -k l",
        "mungekey -f -k l",
        "mungekey -f -k m",
        "mungekey -f -v -k new",
      ],
    },
    {
      title: "-k, --keyfile=PATH",
      cases: [
        "mungekey",
        "rm /etc/munge/munge.key; mungekey",
        "mungekey -k ''",
        "mungekey -k .",
        "mungekey -k nodir/k",
        "mungekey -k -",
        "mungekey -k /proc/x",
        "as 1 mungekey -k /mnt/k",
        "umask 0; mungekey -k k",
        "umask 077; mungekey -k k",
        { run: "umask 0777; mungekey -k k", better: KEY_MODE },
      ],
    },
    {
      title: "-v, --verbose",
      cases: [
        "mungekey -v -k k",
        "mungekey --verbose -k /mnt/k",
        "mungekey --verb -k k; mungekey -v -k k",
      ],
    },
  ],
};
