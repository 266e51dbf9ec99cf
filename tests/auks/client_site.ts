// auks and scripted daemons for tests: a real KDC with real credential caches, the configurations that lead auks to a daemon, and
// what auks says.
import { spawn } from "node:child_process";
import { chmodSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Dialect, PackedCredential } from "../../lib/auks/packed_credential.ts";
import {
  formatAddReply,
  formatDumpReply,
  formatErrorReply,
  formatGetReply,
  formatPlainReply,
} from "../../lib/auks/reply.ts";
import { parseRequest } from "../../lib/auks/request.ts";
import { MAIN } from "../harness/programs.ts";
import { Kdc } from "./kdc.ts";
import { ScriptedAuksd, type ScriptedOptions } from "./scripted_auksd.ts";

/** The principal of all daemons, in REALM.A. */
export const SERVICE = "host/mngt.realm.a";
/** The UID to which bob's principal is mapped; an account that every system has. */
export const BOB = 1;
/** Seconds between two rounds: a client that does not wait takes less, even on a busy machine. */
export const DELAY_S = 12;
/** What auks prints. */
export const SUCCESS = "Auks API request succeed\n";
/** What it prints with a failure. */
export const failed = (text: string): string => `Auks API request failed : ${text}\n`;

/** What a run of auks has said, and how long it took. */
export interface Result {
  readonly status: number | null;
  readonly out: string;
  readonly err: string;
  readonly seconds: number;
}

/** A KDC with users bob and alice, who have tickets, and the daemons that tests start. */
export class ClientSite {
  readonly kdc: Kdc;
  /** What the keepers have stored. */
  readonly stored = new Map<number, PackedCredential>();
  readonly #daemons: ScriptedAuksd[] = [];
  #files = 0;

  private constructor(kdc: Kdc) {
    this.kdc = kdc;
  }

  /** Starts the KDC, and gets the tickets. */
  static async start(): Promise<ClientSite> {
    const kdc = await Kdc.start({
      realmLines: [
        "auth_to_local = RULE:[1:$1](^bob$)s/.*/daemon/",
        "auth_to_local = RULE:[1:$1](^alice$)s/.*/bin/",
        "auth_to_local = DEFAULT",
      ],
      users: ["krbtgt/OTHER.REALM"],
    });
    kdc.enter();
    kdc.login("bob");
    kdc.login("alice");
    chmodSync(kdc.directory, 0o755);
    return new ClientSite(kdc);
  }

  /** Stops everything. */
  async stop(): Promise<void> {
    for (const daemon of this.#daemons) daemon.stop();
    await this.kdc.stop();
  }

  /** A daemon that stores credentials and packs them in a given dialect. */
  async keeper(
    dialect: Dialect = "head",
    compact = false,
    options: Partial<ScriptedOptions> = {},
  ): Promise<ScriptedAuksd> {
    const packing = { dialect, compact };
    return await this.play((bytes, client) => {
      const request = parseRequest(bytes);
      switch (request.type) {
        case "add": {
          const report = { outcome: "stored", uid: BOB, endtime: 1, renewTill: 2 } as const;
          this.stored.set(BOB, credentialOf(request.krbCred.slice(), client));
          return formatAddReply(report);
        }
        case "get": {
          const found = this.stored.get(request.uid);
          return found === undefined
            ? formatErrorReply("notFound")
            : formatGetReply(found, packing);
        }
        case "remove":
          return this.stored.delete(request.uid)
            ? formatPlainReply("remove")
            : formatErrorReply("notFound");
        case "dump":
          return formatDumpReply([...this.stored.values()], packing);
        default:
          return formatPlainReply("ping");
      }
    }, options);
  }

  /** A daemon that answers by a script. */
  async play(
    script: Parameters<typeof ScriptedAuksd.start>[0],
    options: Partial<ScriptedOptions> = {},
  ): Promise<ScriptedAuksd> {
    const daemon = await ScriptedAuksd.start(script, {
      keytab: this.kdc.keytab(SERVICE),
      ...options,
    });
    this.#daemons.push(daemon);
    return daemon;
  }

  /** Writes an auks.conf. @param settings of the block common that differ from the default. */
  configuration(port: number | string, settings: Record<string, string> = {}): string {
    const path = join(this.kdc.directory, `auks-${++this.#files}.conf`);
    const common = {
      PrimaryHost: "localhost",
      PrimaryPort: `${port}`,
      PrimaryPrincipal: `${SERVICE}@REALM.A`,
      NAT: "yes",
      Retries: "3",
      Delay: `${DELAY_S}`,
      ...settings,
    };
    const lines = Object.entries(common).map(([key, value]) => `${key} = "${value}" ;`);
    writeFileSync(
      path,
      `common { ${lines.join(" ")} }\napi { }\n` +
        "renewer { MinLifeTime = 600 ; Delay = 1 ; LogLevel = 0 ; }\n",
    );
    return path;
  }

  /** Runs auks. @param cache the default cache, by the name of its user. */
  async auks(args: readonly string[], cache = "bob", input?: Uint8Array): Promise<Result> {
    const started = performance.now();
    const child = spawn(process.execPath, [MAIN, "auks", ...args], { env: this.kdc.envOf(cache) });
    child.stdin.on("error", () => {});
    child.stdin.end(input);
    const collect = async (stream: NodeJS.ReadableStream) => {
      let text = "";
      for await (const chunk of stream) text += (chunk as Buffer).toString("latin1");
      return text;
    };
    const [out, err, status] = await Promise.all([
      collect(child.stdout),
      collect(child.stderr),
      new Promise<number | null>((resolve) => child.on("close", resolve)),
    ]);
    return { status, out, err, seconds: (performance.now() - started) / 1000 };
  }
}

function credentialOf(krbCred: Uint8Array, principal: string): PackedCredential {
  const now = Math.floor(Date.now() / 1000);
  const times = { starttime: now, endtime: now + 86_400, renewTill: now + 604_800 };
  return { uid: BOB, principal, krbCred, addressless: true, crossrealm: false, ...times };
}
