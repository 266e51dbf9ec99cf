// The Debian packages that tests need, and their installation.
import { run } from "./test_processes.ts";

const IS_ROOT = process.getuid?.() === 0;

/** Debian packages that tests need, each with a file that shows it is installed. */
const PEERS: Readonly<Record<string, string>> = {
  "ansible-core": "/usr/bin/ansible-playbook",
  "ansible-lint": "/usr/bin/ansible-lint",
  munge: "/usr/sbin/munged",
  "btrfs-progs": "/usr/sbin/mkfs.btrfs",
  e2fsprogs: "/usr/sbin/mkfs.ext4",
  "libmunge-dev": "/usr/include/munge.h",
  gcc: "/usr/bin/gcc",
  "libc6-dev": "/usr/include/stdio.h",
  faketime: "/usr/bin/faketime",
  iproute2: "/usr/sbin/ip",
  "openssh-client": "/usr/bin/ssh",
  "openssh-server": "/usr/sbin/sshd",
  logrotate: "/usr/sbin/logrotate",
  pamtester: "/usr/bin/pamtester",
  procps: "/usr/bin/pgrep",
  "libnss-extrausers": "/usr/share/doc/libnss-extrausers/copyright",
  slurmctld: "/usr/sbin/slurmctld",
  slurmd: "/usr/sbin/slurmd",
  "slurm-client": "/usr/bin/srun",
  "libslurm-dev": "/usr/include/slurm/spank.h",
  strace: "/usr/bin/strace",
  systemd: "/lib/systemd/systemd",
  openssl: "/usr/bin/openssl",
  sudo: "/usr/bin/sudo",
  prometheus: "/usr/bin/promtool",
  python3: "/usr/bin/python3",
  "redis-sentinel": "/usr/bin/redis-sentinel",
  "redis-server": "/usr/bin/redis-server",
  "redis-tools": "/usr/bin/redis-cli",
  "krb5-kdc": "/usr/sbin/krb5kdc",
  "krb5-admin-server": "/usr/sbin/kadmin.local",
  "krb5-user": "/usr/bin/kinit",
  // Packaging: other systems, package formats, manual pages and completions.
  binutils: "/usr/bin/readelf",
  "binutils-aarch64-linux-gnu": "/usr/bin/aarch64-linux-gnu-as",
  checkpolicy: "/usr/bin/checkmodule",
  crun: "/usr/bin/crun",
  debootstrap: "/usr/sbin/debootstrap",
  fish: "/usr/bin/fish",
  "libkrb5-3:arm64": "/usr/lib/aarch64-linux-gnu/libkrb5.so.3",
  "libc6-arm64-cross": "/usr/aarch64-linux-gnu/lib/libc.so.6",
  mandoc: "/usr/bin/mandoc",
  podman: "/usr/bin/podman",
  "qemu-user-static": "/usr/bin/qemu-aarch64-static",
  "python3-rpm": "/usr/lib/python3/dist-packages/rpm/__init__.py",
  rpm: "/usr/bin/rpmbuild",
  "selinux-policy-default": "/etc/selinux/default/policy/policy.33",
  "selinux-policy-dev": "/usr/share/selinux/devel/Makefile",
  "selinux-utils": "/usr/sbin/matchpathcon",
  "semodule-utils": "/usr/bin/semodule_package",
  setools: "/usr/bin/sesearch",
  zsh: "/usr/bin/zsh",
};

/** More packages, for parts that run only when they are named. */
const MORE_PEERS: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  musl: {
    "g++": "/usr/bin/x86_64-linux-gnu-g++",
    "g++-aarch64-linux-gnu": "/usr/bin/aarch64-linux-gnu-g++",
    "gcc-12-source": "/usr/share/doc/gcc-12-source/copyright",
    make: "/usr/bin/make",
    "musl-dev": "/usr/lib/x86_64-linux-musl/musl-gcc.specs",
    "musl-dev:arm64": "/usr/lib/aarch64-linux-musl/musl-gcc.specs",
    "xz-utils": "/usr/bin/xz",
  },
  vm: {
    mmdebstrap: "/usr/bin/mmdebstrap",
    policycoreutils: "/usr/sbin/setfiles",
    "qemu-system-x86": "/usr/bin/qemu-system-x86_64",
    "qemu-utils": "/usr/bin/qemu-img",
  },
};

/**
 * Installs missing peers if run as root.
 *
 * @param parts names of the parts that will run, if not all do.
 * @returns those that are still missing.
 */
export async function installPeers(parts: readonly string[]): Promise<string[]> {
  const peers = Object.assign({}, PEERS, ...parts.map((name) => MORE_PEERS[name]));
  const missing = () =>
    Object.entries<string>(peers).filter(([, path]) => !Bun.file(path).size).map(([name]) => name);
  if (missing().length > 0 && IS_ROOT && Bun.which("apt-get") !== null) {
    const quiet = { DEBIAN_FRONTEND: "noninteractive" };
    if (missing().some((name) => name.endsWith(":arm64"))) {
      await run(["dpkg", "--add-architecture", "arm64"]);
    }
    await run(["apt-get", "-qq", "update"], quiet);
    await run(["apt-get", "-qq", "install", "--no-install-recommends", "-y", ...missing()], quiet);
  }
  return missing();
}
