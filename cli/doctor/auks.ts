// mungebox doctor --auks: why AUKS does not work on this host. The checks go from causes to effects and end at the first
// problem, because later ones depend on earlier ones.
import { lookup } from "node:dns/promises";
import { readFileSync } from "node:fs";
import { checkAuksd } from "../../daemon/auksd/main.ts";
import { AuksError } from "../../lib/auks/errors.ts";
import { parseBlocks } from "../../lib/auks/grammar.ts";
import {
  type ClientConfiguration,
  clientSettings,
  configurationFile,
  readConfiguration,
} from "../../lib/auks_client/configuration.ts";
import { Connection } from "../../lib/auks_client/connection.ts";
import type { AuksServer, ClientSettings } from "../../lib/auks_client/client.ts";
import { readTickets } from "../../lib/auks_client/credential_cache.ts";
import { uidOf } from "../../lib/auks_client/local_user.ts";
import { dialectOf, ping } from "../../lib/auks_client/requests.ts";
import { Context } from "../../lib/krb5/context.ts";
import { Principal } from "../../lib/krb5/principal.ts";
import { serviceTicket } from "../../lib/krb5/tickets.ts";
import { openCache } from "../../lib/auks_client/credential_cache.ts";
import {
  advise,
  type Finding,
  type NamedFinding,
  note,
  ok,
  problem,
  run,
  skipped,
  warning,
} from "./finding.ts";

/** What the checks have found out so far. */
interface State {
  configuration: ClientConfiguration;
  settings: ClientSettings;
  context: Context;
  principal: string;
}

/** A check; it fills in what later ones need, and a problem ends the series. */
interface AuksCheck {
  readonly name: string;
  examine(state: State): readonly Finding[] | Promise<readonly Finding[]>;
}

const CHECKS: readonly AuksCheck[] = [
  { name: "configuration", examine: configuration },
  { name: "auksd's files", examine: daemonFiles },
  { name: "Kerberos library", examine: library },
  { name: "DNS", examine: names },
  { name: "ticket", examine: ticket },
  { name: "account", examine: account },
  { name: "principal", examine: principals },
  { name: "port", examine: ports },
  { name: "clock, keytab and ACL", examine: answer },
  { name: "dialect", examine: dialect },
];

/** Runs the checks. */
export async function examineAuks(): Promise<NamedFinding[]> {
  const state = {} as State;
  const findings: NamedFinding[] = [];
  for (const { name, examine } of CHECKS) {
    const found = await attempt(() => examine(state));
    findings.push(...found.map((finding) => ({ check: name, ...finding })));
    if (found.some(({ verdict }) => verdict === "problem")) break;
  }
  return findings;
}

async function attempt(
  examine: () => readonly Finding[] | Promise<readonly Finding[]>,
): Promise<readonly Finding[]> {
  try {
    return await examine();
  } catch (error) {
    return [problem(error instanceof Error ? error.message : String(error))];
  }
}

function configuration(state: State): Finding[] {
  const file = configurationFile(undefined);
  state.configuration = readConfiguration(file);
  state.settings = clientSettings(state.configuration, undefined);
  const { warnings, retries } = state.configuration.config;
  return [
    ok(`${file} configures clients`),
    ...warnings.map((text) => warning(text)),
    ...retries < 1 ? [problem("Retries is 0, so auksd is never asked", advise("Set it to 3"))] : [],
  ];
}

/** auksd's own startup checks, on a host whose configuration has a block for it. */
async function daemonFiles({ configuration: { file } }: State): Promise<Finding[]> {
  const blocks = parseBlocks(readFileSync(file), file);
  if (!blocks.some(({ name }) => name.startsWith("auksd"))) {
    return [skipped("The configuration has no block for auksd")];
  }
  try {
    const { warnings } = await checkAuksd({
      program: "auksd",
      commandLine: [],
      config: file,
      log: { kind: "stderr" },
    });
    return [ok("auksd can start here"), ...warnings.map((text) => warning(text))];
  } catch (error) {
    if (!(error instanceof AuksError)) throw error;
    if (error.error === "AUKSD_NOT_A_SERVER") return [skipped("auksd does not run on this host")];
    // Clients on this host still work.
    return [
      warning(
        `auksd would not start here: ${error.message}`,
        run(`auksd --check-config -f ${file}`),
      ),
    ];
  }
}

function library(state: State): Finding[] {
  state.context = Context.open();
  return [ok("libkrb5 is usable")];
}

async function names({ settings: { servers } }: State): Promise<Finding[]> {
  return await Promise.all(servers.map(async ({ host }): Promise<Finding> => {
    try {
      const found = await lookup(host === "" ? "localhost" : host, { all: true });
      return ok(`${host} is ${found.map(({ address }) => address).join(", ")}`);
    } catch {
      const advice = advise(
        "Correct PrimaryHost or PrimaryAddress, or add the host to DNS or /etc/hosts",
      );
      return (servers.length > 1 ? warning : problem)(`${host} has no address`, advice);
    }
  }));
}

function ticket(state: State): Finding[] {
  const { context } = state;
  let tickets: ReturnType<typeof readTickets>;
  try {
    tickets = readTickets(context, undefined);
  } catch (error) {
    if (!(error instanceof AuksError)) throw error;
    const remedy = process.getuid!() === 0 ? run("aukspriv --once") : run("kinit");
    return [problem(`No ticket to authenticate with: ${error.reason ?? error.message}`, remedy)];
  }
  try {
    const { principal, tgt, cacheName } = tickets;
    state.principal = principal;
    const left = Math.floor(tgt.endTime - Date.now() / 1000);
    if (left <= 0) {
      return [problem(`The ticket of ${principal} in ${cacheName} has expired`, run("kinit"))];
    }
    const text = `${principal} in ${cacheName}, good for ${Math.floor(left / 60)} minutes`;
    return [left < 300 ? warning(text, run("kinit")) : ok(text)];
  } finally {
    tickets.free();
  }
}

function account({ context, principal }: State): Finding[] {
  try {
    return [ok(`${principal} is uid ${uidOf(context, principal)} here`)];
  } catch (error) {
    if (!(error instanceof AuksError)) throw error;
    // A host needs no account: it fetches tickets, but adds none.
    return [
      note(
        `auks -a would fail for ${principal}: ${error.reason}`,
        advise("See auth_to_local in krb5.conf(5)"),
      ),
    ];
  }
}

function principals({ context, settings: { servers } }: State): Finding[] {
  return servers.map(({ principal }) => {
    if (principal === "") {
      return problem(
        "The configuration does not set auksd's principal",
        advise("Set PrimaryPrincipal"),
      );
    }
    try {
      using cache = openCache(context, undefined);
      using service = Principal.parse(context, principal);
      using _ticket = serviceTicket(context, cache, service);
      return ok(`The KDC has a ticket for ${principal}`);
    } catch (error) {
      const advice = advise(
        "PrimaryPrincipal must exist in the KDC; check its host name and realm",
      );
      return problem(`No ticket for ${principal}: ${(error as Error).message}`, advice);
    }
  });
}

async function ports({ settings }: State): Promise<Finding[]> {
  const { servers, timeoutMs } = settings;
  const reach = async (server: AuksServer): Promise<Finding> => {
    try {
      (await Connection.open(server, timeoutMs, timeoutMs)).close();
      return ok(`${server.host}:${server.port} accepts connections`);
    } catch (error) {
      const advice = advise("Start auksd there, or open the port in that host's firewall");
      return warning(`${(error as Error).message}`, advice);
    }
  };
  const found = await Promise.all(servers.map(reach));
  return found.some(({ verdict }) => verdict === "ok")
    ? found
    : found.map((finding) => ({ ...finding, verdict: "problem" }));
}

async function answer({ context, settings, principal }: State): Promise<Finding[]> {
  try {
    await ping(context, { ...settings, retries: 1 });
    return [ok(`auksd answers ${principal}`)];
  } catch (error) {
    if (!(error instanceof AuksError)) throw error;
    return [problem(`auksd refuses ${principal}: ${error.reason ?? error.message}`)];
  }
}

async function dialect({ context, settings }: State): Promise<Finding[]> {
  try {
    const dialect = await dialectOf(context, { ...settings, retries: 1 }, process.geteuid!());
    return [
      ok(
        `auksd writes credentials as AUKS ${dialect} for the original's clients; ours read all formats`,
      ),
    ];
  } catch (error) {
    if (!(error instanceof AuksError)) throw error;
    return [skipped(`No credential to examine: ${error.reason ?? error.message}`)];
  }
}
