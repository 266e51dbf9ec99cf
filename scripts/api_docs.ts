// Generates the API page docs/api/README.md from the output of `deno doc --json mod.ts`.
//   bun scripts/api_docs.ts [--check]     --check only checks that the page is up to date
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";

const PAGE = "docs/api/README.md";

/** The parts of deno doc's output that the page uses. */
interface Tag {
  readonly kind: string;
  readonly name?: string;
  readonly doc?: string;
  readonly tsType?: Type;
}
interface Documented {
  readonly jsDoc?: { readonly doc?: string; readonly tags?: readonly Tag[] };
}
interface Type {
  readonly kind: string;
  readonly repr?: string;
  // deno-lint-ignore no-explicit-any -- its shape depends on the kind
  readonly value: any;
}
interface Parameter {
  readonly kind: "identifier" | "assign" | "object";
  readonly name?: string;
  readonly optional?: boolean;
  readonly left?: Parameter;
  readonly tsType?: Type;
}
interface Property extends Documented {
  readonly name: string;
  readonly readonly?: boolean;
  readonly optional?: boolean;
  readonly tsType?: Type;
  readonly accessibility?: string;
}
interface Callable {
  readonly params: readonly Parameter[];
  readonly returnType?: Type;
}
interface Method extends Documented, Partial<Callable> {
  readonly name: string;
  readonly functionDef?: Callable;
}
interface Definition extends Partial<Callable> {
  readonly properties?: readonly Property[];
  readonly methods?: readonly Method[];
  readonly constructors?: readonly (Documented & Callable)[];
  readonly extends?: readonly Type[] | string;
  readonly implements?: readonly Type[];
  readonly typeParams?: readonly { readonly name: string; readonly constraint?: Type }[];
  readonly tsType?: Type;
}
interface Declaration extends Documented {
  readonly kind: string;
  readonly def: Definition;
}
interface Documentation {
  readonly nodes: Readonly<
    Record<string, {
      readonly module_doc: Documented["jsDoc"];
      readonly symbols: readonly {
        readonly name: string;
        readonly declarations: readonly Declaration[];
      }[];
    }>
  >;
}

/** Kinds of symbols, in the order of the page. */
const CHAPTERS: readonly (readonly [kind: string, title: string])[] = [
  ["function", "Functions"],
  ["class", "Classes"],
  ["interface", "Interfaces"],
  ["typeAlias", "Types"],
  ["variable", "Constants"],
];

const [module] = Object.values(documentation().nodes);
const symbols = module!.symbols.map(({ name, declarations }) => ({ name, ...declarations[0]! }));
const names = new Set(symbols.map(({ name }) => name));
const page = formatted([
  "# mod.ts",
  "",
  "Generated from the code by `scripts/api_docs.ts`. [The library](../library.md) is an introduction.",
  "",
  ...comment({ jsDoc: module!.module_doc! }),
  ...CHAPTERS.flatMap(([kind, title]) => [
    `## ${title}`,
    "",
    ...symbols.filter((symbol) => symbol.kind === kind).flatMap(section),
  ]),
].join("\n"));

if (process.argv.includes("--check")) {
  if (readFileSync(PAGE, "utf8") !== page) {
    console.error(`${PAGE} is out of date: run bun scripts/api_docs.ts`);
    process.exit(1);
  }
} else {
  mkdirSync("docs/api", { recursive: true });
  writeFileSync(PAGE, page);
}

function documentation(): Documentation {
  return JSON.parse(deno(["doc", "--json", "mod.ts"], ""));
}

function formatted(markdown: string): string {
  return deno(["fmt", "--ext", "md", "-"], markdown);
}

function deno(command: readonly string[], input: string): string {
  const { success, stdout, stderr } = Bun.spawnSync(["node_modules/.bin/deno", ...command], {
    stdin: Buffer.from(input),
  });
  if (!success) throw new Error(`deno ${command[0]} failed: ${stderr}`);
  return stdout.toString();
}

function section({ name, kind, def, ...documented }: Declaration & { name: string }): string[] {
  const members = [
    ...(def.constructors ?? []).map((callable) => ({
      ...callable,
      signature: `new ${name}${parameters(callable)}`,
    })),
    ...(def.methods ?? []).map((method) => ({
      ...method,
      signature: `${method.name}${signature(method.functionDef ?? (method as Callable))}`,
    })),
  ];
  return [
    `### ${name}`,
    "",
    "```ts",
    ...declaration(name, kind, def),
    "```",
    "",
    ...comment(documented),
    ...(def.properties ?? []).filter(isPublic).map(({ name, tsType, jsDoc }) =>
      `- \`${name}: ${print(tsType)}\`: ${linked(jsDoc?.doc ?? "").replaceAll("\n", " ").trim()}`
    ),
    "",
    ...members.flatMap((member) => [`#### \`${member.signature}\``, "", ...comment(member)]),
  ];
}

function isPublic({ accessibility }: Property): boolean {
  return accessibility !== "private";
}

function declaration(name: string, kind: string, def: Definition): string[] {
  const generic = def.typeParams?.length
    ? `<${
      def.typeParams.map((parameter) =>
        parameter.name + (parameter.constraint ? ` extends ${print(parameter.constraint)}` : "")
      ).join(", ")
    }>`
    : "";
  if (kind === "function") return [`function ${name}${signature(def as Callable)};`];
  if (kind === "variable") return [`const ${name}: ${print(def.tsType)};`];
  if (kind === "typeAlias") return [`type ${name} = ${print(def.tsType)};`];
  const parents = typeof def.extends === "string" ? [def.extends] : def.extends?.map(print) ?? [];
  const ancestry = (parents.length > 0 ? ` extends ${parents.join(", ")}` : "") +
    (def.implements?.length ? ` implements ${def.implements.map(print).join(", ")}` : "");
  if (kind === "class") return [`class ${name}${generic}${ancestry} {}`];
  const fields = (def.properties ?? []).map(({ name, readonly, optional, tsType }) =>
    `  ${readonly ? "readonly " : ""}${name}${optional ? "?" : ""}: ${print(tsType)};`
  );
  const methods = (def.methods ?? []).map((method) =>
    `  ${method.name}${signature(method as Callable)};`
  );
  return [`interface ${name}${generic}${ancestry} {`, ...fields, ...methods, "}"];
}

function signature(callable: Callable): string {
  return `${parameters(callable)}: ${print(callable.returnType)}`;
}

function parameters({ params }: Callable): string {
  return `(${params.map(parameter).join(", ")})`;
}

function parameter({ kind, name, optional, left, tsType }: Parameter): string {
  if (kind === "assign") return parameter({ ...left!, optional: true });
  return `${name ?? "options"}${optional ? "?" : ""}: ${print(tsType)}`;
}

/** The source text of a type. */
function print(type: Type | undefined): string {
  if (type === undefined) return "void";
  const { kind, value } = type;
  switch (kind) {
    case "keyword":
      return value;
    case "literal":
      return value.kind === "string" ? `"${value.string}"` : String(value[value.kind]);
    case "union":
      return value.map(print).join(" | ");
    case "array":
      return `${print(value)}[]`;
    case "typeOperator":
      return `${value.operator} ${print(value.tsType)}`;
    case "typeRef":
      return value.typeName +
        (value.typeParams ? `<${value.typeParams.map(print).join(", ")}>` : "");
    case "mapped":
      return `{ readonly [${value.typeParam.name} in ${print(value.typeParam.constraint)}]: ${
        print(value.tsType)
      } }`;
    default:
      throw new Error(`scripts/api_docs.ts does not know types of kind ${kind}`);
  }
}

/** A doc comment: its text, then parameters, return value and errors, then the example. */
function comment({ jsDoc }: Documented): string[] {
  const tags = jsDoc?.tags ?? [];
  const line = (word: string, doc = "") => `- ${word} ${linked(doc).replaceAll("\n", " ").trim()}`;
  return [
    linked(jsDoc?.doc ?? "").trim(),
    "",
    ...tags.flatMap(({ kind, name, doc, tsType }) => {
      if (kind === "param") return [line(`\`${name}\`:`, doc)];
      if (kind === "return") return [line("Returns", doc)];
      if (kind === "throws") return [line(tsType ? `Throws \`${tsType.repr}\`:` : "Throws", doc)];
      return [];
    }),
    "",
    ...tags.filter(({ kind }) => kind === "example").map(({ doc }) => `${doc!.trim()}\n`),
  ];
}

/** Turns links to symbols into links within the page. */
function linked(text: string): string {
  return text.replace(/\{@linkcode ([\w.]+)\}/g, (_, target: string) => {
    const [name = ""] = target.split(".");
    return names.has(name) ? `[\`${target}\`](#${name.toLowerCase()})` : `\`${target}\``;
  });
}
