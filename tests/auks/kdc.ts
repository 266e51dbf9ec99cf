// An MIT Kerberos KDC on loopback for the tests: a realm with its principals, database, keytabs and configuration in its own
// directory, selected only by environment variables.
import { execFileSync, spawn } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { cString, openLibc, ptr } from "../../lib/os/libc.ts";

/** The programs a KDC needs, for suite(). */
export const KDC_NEEDS = {
  "krb5-kdc": existsSync("/usr/sbin/krb5kdc"),
  "kadmin.local of krb5-admin-server": existsSync("/usr/sbin/kadmin.local"),
  "krb5-user": existsSync("/usr/bin/kinit"),
} as const;

/** The password of each user. */
export const PASSWORD = "correct horse";
const USERS = ["alice", "bob", "ghost"] as const;
/** auksd's own, an admin's, and one of a host that the tests' ACLs refuse. */
const SERVICES = ["host/mngt.realm.a", "host/compute.realm.a", "host/login.realm.a"] as const;

/** Lines for the realm with which the user bob has daemon's account, which every system has, with UID 1. */
export const BOB_IS_DAEMON = [
  "auth_to_local = RULE:[1:$1](^bob$)s/.*/daemon/",
  "auth_to_local = DEFAULT",
] as const;

/** Options that a test can set. */
export interface KdcOptions {
  /** Lines of krb5.conf for the section of the realm, auth_to_local rules among them. */
  readonly realmLines?: readonly string[];
  /** More principals, with the password of all. */
  readonly users?: readonly string[];
}

/** A running KDC of REALM.A. */
export class Kdc {
  readonly directory: string;
  #server: ReturnType<typeof spawn>;

  private constructor(directory: string) {
    this.directory = directory;
    this.#server = this.#spawn();
  }

  /** Makes the realm and starts its KDC: alice, bob and ghost; host/mngt, host/compute, host/login. */
  static async start({ realmLines = [], users = [] }: KdcOptions = {}): Promise<Kdc> {
    const directory = mkdtempSync(join(tmpdir(), "mungebox-kdc-"));
    const port = await freePort();
    writeFileSync(join(directory, "krb5.conf"), krb5Configuration(`127.0.0.1:${port}`, realmLines));
    writeFileSync(join(directory, "kdc.conf"), kdcConfiguration(directory, port));
    mkdirSync(join(directory, "caches"));
    const env = environment(directory);
    const run = (program: string, ...args: string[]) =>
      execFileSync(program, args, { env, stdio: ["ignore", "pipe", "pipe"] });
    // A weak source of randomness suffices for keys that live for minutes.
    run("/usr/sbin/kdb5_util", "create", "-s", "-W", "-r", "REALM.A", "-P", "master");
    const queries = [
      ...userQueries([...USERS, ...users]),
      ...SERVICES.flatMap((name) => serviceQueries(name, join(directory, keytabName(name)))),
    ];
    execFileSync("/usr/sbin/kadmin.local", ["-r", "REALM.A"], {
      env,
      input: `${queries.join("\n")}\n`,
      stdio: ["pipe", "pipe", "pipe"],
    });
    const kdc = new Kdc(directory);
    await kdc.#answers();
    return kdc;
  }

  #spawn(): ReturnType<typeof spawn> {
    return spawn("/usr/sbin/krb5kdc", ["-n", "-r", "REALM.A"], { env: this.env, stdio: "ignore" });
  }

  /** Stops the KDC; {@linkcode up} starts it again. */
  async down(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#server.once("exit", () => resolve());
      if (this.#server.exitCode !== null || !this.#server.kill()) resolve();
    });
  }

  /** Starts the KDC again, on the same port. */
  async up(): Promise<void> {
    this.#server = this.#spawn();
    await this.#answers();
  }

  /** Environment variables for this realm. */
  get env(): NodeJS.ProcessEnv {
    return environment(this.directory);
  }

  /** The same, with its own credential cache of this name. */
  envOf(cache: string): NodeJS.ProcessEnv {
    return { ...this.env, KRB5CCNAME: `FILE:${this.cache(cache)}` };
  }

  /** Makes this process use the realm; libkrb5 reads the C library's environment, not `process.env`. */
  enter(): void {
    const { setenv } = openLibc({ setenv: { args: ["ptr", "ptr", "i32"], returns: "i32" } });
    for (const [name, value] of Object.entries(this.env)) {
      if (name.startsWith("KRB5")) setenv(ptr(cString(name)), ptr(cString(value!)), 1);
    }
  }

  /** The path of a credential cache. */
  cache(name: string): string {
    return join(this.directory, "caches", name);
  }

  /** The path of a service's keytab. */
  keytab(service: string): string {
    return join(this.directory, keytabName(service));
  }

  /**
   * Gets a user's TGT into the cache named after the user.
   *
   * @param options of kinit, such as "-l", "10m".
   */
  login(user: string, options: readonly string[] = [], cache: string = user): void {
    execFileSync("/usr/bin/kinit", [...options, user], {
      env: this.envOf(cache),
      input: `${PASSWORD}\n`,
      stdio: ["pipe", "pipe", "pipe"],
    });
  }

  /** Gets a service's TGT with its keytab into the cache named after the part before the slash. */
  loginService(service: string, cache: string = service.split("/").join("-")): void {
    execFileSync("/usr/bin/kinit", ["-k", "-t", this.keytab(service), service], {
      env: this.envOf(cache),
      stdio: ["ignore", "pipe", "pipe"],
    });
  }

  /** Stops the KDC and removes its directory. */
  async stop(): Promise<void> {
    await this.down();
    rmSync(this.directory, { recursive: true, force: true });
  }

  async #answers(): Promise<void> {
    for (let attempt = 0; attempt < 1000; attempt++) {
      try {
        this.login("alice", [], "first");
        return;
      } catch {
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    }
    throw new Error("The KDC does not answer");
  }
}

/** kadmin's queries that create users with {@linkcode PASSWORD}. */
export function userQueries(names: readonly string[]): string[] {
  return names.map((name) => `addprinc -pw "${PASSWORD}" ${name}`);
}

/** kadmin's queries that create a service with a keytab. */
export function serviceQueries(name: string, keytab: string): string[] {
  return [`addprinc -randkey ${name}`, `ktadd -k ${keytab} ${name}`];
}

function keytabName(service: string): string {
  return `${service.replace("/", "-")}.keytab`;
}

function environment(directory: string): NodeJS.ProcessEnv {
  return {
    ...process.env,
    LC_ALL: "C",
    KRB5_CONFIG: join(directory, "krb5.conf"),
    KRB5_KDC_PROFILE: join(directory, "kdc.conf"),
    KRB5CCNAME: `FILE:${join(directory, "no-cache")}`,
    KRB5RCACHEDIR: directory,
  };
}

/** krb5.conf for REALM.A with a KDC at this place. */
export function krb5Configuration(kdc: string, realmLines: readonly string[] = []): string {
  return `[libdefaults]
    default_realm = REALM.A
    dns_lookup_kdc = false
    dns_lookup_realm = false
    dns_canonicalize_hostname = false
    rdns = false
    forwardable = true
    ticket_lifetime = 1d
    renew_lifetime = 7d
[realms]
    REALM.A = {
        kdc = ${kdc}
${realmLines.map((line) => `        ${line}\n`).join("")}    }
[domain_realm]
    .realm.a = REALM.A
`;
}

function kdcConfiguration(directory: string, port: number): string {
  return `[kdcdefaults]
    kdc_listen = 127.0.0.1:${port}
    kdc_tcp_listen = 127.0.0.1:${port}
[realms]
    REALM.A = {
        database_name = ${join(directory, "principal")}
        key_stash_file = ${join(directory, "stash")}
        acl_file = ${join(directory, "kadm5.acl")}
        max_life = 2d
        max_renewable_life = 14d
        default_principal_flags = +preauth
    }
[logging]
    kdc = FILE:${join(directory, "kdc.log")}
`;
}

/** A loopback port without a listener. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}
