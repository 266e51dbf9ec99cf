// Manual pages in mdoc(7), from the option tables and the texts of pages.ts.
import { AUKS_COMMANDS, COMMANDS, type DescribedOption } from "./commands.ts";
import type { Page } from "./page.ts";

/** Escapes plain text for roff. */
function escape(text: string): string {
  return text.replaceAll("\\", "\\e").replaceAll("-", "\\-").replace(/^[.']/, "\\&$&");
}

/** A manual page. @param date of the release, `November 21, 2026`. */
export function formatPage(page: Page, date: string): string {
  // munge(7) is not a command, despite its name.
  const command = page.section === 7
    ? undefined
    : [...COMMANDS, ...AUKS_COMMANDS].find(({ name }) => name === page.name);
  const options = command?.groups.flat() ?? [];
  const { details = {} } = page;
  for (const name of Object.keys(details)) {
    if (!options.some(({ long }) => long === name)) {
      throw new Error(`${page.name}(${page.section}) describes --${name}, which does not exist`);
    }
  }
  const blocks = [
    `.Dd ${date}\n.Dt ${page.name.toUpperCase()} ${page.section}\n.Os`,
    section("NAME", `.Nm ${page.name}\n.Nd ${page.summary}`),
    ...command === undefined ? [] : [section("SYNOPSIS", synopsis(page.name))],
    section("DESCRIPTION", page.description),
    ...command === undefined ? [] : [section("OPTIONS", formatOptions(options, details))],
    ...page.sections.map(([title, text]) => section(title, text)),
    section("SEE ALSO", page.seeAlso.map((name) => `.Xr ${name}`).join(" ,\n")),
  ];
  return blocks.join("\n");
}

function section(title: string, text: string): string {
  return `.Sh ${title}\n${text}`;
}

function synopsis(name: string): string {
  const more = name === "mungebox" ? "\n.Nm\n.Ar command\n.Op Ar arguments" : "";
  return `.Nm\n.Op Ar options${more}`;
}

function formatOptions(
  options: readonly DescribedOption[],
  details: Readonly<Record<string, string>>,
): string {
  const items = options.map(({ short, long, argument, help }) => {
    const names = [
      ...short === undefined ? [] : [`Fl ${short} ,`],
      `Fl -${long}`,
      ...argument === undefined ? [] : [`Ns = Ns Ar ${argument.toLowerCase()}`],
    ];
    const more = details[long] === undefined ? "" : `\n${details[long]}`;
    return `.It ${names.join(" ")}\n${escape(help)}.${more}`;
  });
  return [".Bl -tag -width Ds", ...items, ".El"].join("\n");
}
