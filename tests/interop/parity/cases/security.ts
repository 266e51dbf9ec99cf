// Security of munged's files and of every directory above them.
import type { Area, Case, Chapter } from "../case.ts";
import { CLEAN_FAILURE, NO_LOCK, REPLAY_SECURITY } from "./reasons.ts";

/** Each file's option, and how to start the daemon: only a background daemon has a log file. */
const FILES: Readonly<Record<string, { option: string; background?: true }>> = {
  key: { option: "--key-file" },
  log: { option: "--log-file", background: true },
  pid: { option: "--pid-file" },
  seed: { option: "--seed-file" },
  sock: { option: "--socket" },
};

/** States, good and bad, of a file's directory `a/b` or of `a` above it. */
const DIRECTORIES = [
  "chmod 700 a/b",
  "chmod 710 a/b",
  "chmod 775 a/b",
  "chmod 757 a/b",
  "chmod 777 a/b",
  "chmod 1775 a/b",
  "chmod 1777 a/b",
  "chown 1 a/b",
  "chown 1 a/b; chmod 1777 a/b",
  "chmod 775 a",
  "chmod 777 a",
  "chmod 1777 a",
  "chmod 700 a",
  "chown 1 a",
  "mv a real; ln -s real a",
  "rm -r a/b",
  "rm -r a/b; touch a/b",
];

const INSECURE = /^(chmod (775|757|777)|chown 1) /;

/** The case `run`, marked if this state makes a difference. */
const DIFFERENCES: Readonly<
  Record<string, (state: string, forced: boolean, run: string) => Case | undefined>
> = {
  pid: (state, forced, run) =>
    state === "rm -r a/b" || (!forced && INSECURE.test(state))
      ? { run, better: CLEAN_FAILURE }
      : undefined,
  seed: (state, forced, run) =>
    state.endsWith("touch a/b") || (forced && INSECURE.test(state))
      ? { run, differs: REPLAY_SECURITY }
      : undefined,
  sock: (state, forced, run) =>
    state.endsWith("touch a/b") && forced ? { run, better: NO_LOCK } : undefined,
};

function directoriesOf(name: string): Area {
  const { option, background } = FILES[name]!;
  const path = `a/b/${name}`;
  const start = (force: string) =>
    background
      ? `munged ${force} ${option}=${path} && await told ${path} && munged --stop -v; s=$?; chown -R 0 a; exit $s`
      : `briefly munged -F ${force} ${option}=${path}; s=$?; chown -R 0 a; exit $s`;
  return {
    title: `Directories of ${option}`,
    before: "mkdir -p a/b" +
      (name === "key" ? "; cp /etc/munge/munge.key a/b/key; chmod 600 a/b/key" : ""),
    cases: DIRECTORIES.flatMap((state) =>
      ["", "--force"].map((force) => {
        const run = `${state}; ${start(force)}`;
        return DIFFERENCES[name]?.(state, force === "--force", run) ?? run;
      })
    ),
  };
}

/** States, good and bad, of the key file itself. */
const KEYS = [
  ...["000", "400", "700", "640", "620", "610", "604", "602", "601", "644", "666"].map((mode) =>
    `chmod ${mode} k`
  ),
  "chown 1 k",
  "chgrp 1 k",
  "mv k r; ln -s r k",
  "rm k; mkdir k",
  "rm k; mkfifo k",
  "rm k; ln -s /dev/zero k",
];

export const SECURITY: Chapter = {
  title: "Security of munged's files",
  areas: [
    {
      title: "The key file",
      before: "cp /etc/munge/munge.key k; chmod 600 k",
      cases: KEYS.flatMap((state) => [
        `${state}; briefly munged -F --key-file=k`,
        `${state}; briefly munged -F --force --key-file=k`,
      ]),
    },
    ...Object.keys(FILES).map(directoriesOf),
  ],
};
