// The figures of scripts/bench: measured round by round, compared, and judged by the bounds that the project has set itself.
import type { Contestant } from "./contestants.ts";
import { median } from "./statistics.ts";

/** The results of one measurement, by round. */
export type Samples = Partial<Record<Contestant["name"], number[]>>;

/** A figure of the report. */
export interface Figure {
  readonly name: string;
  readonly unit: string;
  readonly samples: Samples;
  /** What ours is compared with, and the bound the project has set itself. */
  readonly against: "reference" | "floor" | null;
  readonly bound: { readonly least?: number; readonly most?: number };
}

/** The columns of a row. */
export const HEADINGS = ["figure", "unit", "ours", "reference", "floor", "ratio", "target", "met"];

/** The figures of a benchmark, each printed as soon as it is measured. */
export class Figures {
  readonly all: Figure[] = [];
  readonly #only: string;
  readonly #rounds: number;

  /** @param only text in the names of the figures to measure. @param rounds number of rounds, unless a figure says otherwise. */
  constructor(only: string, rounds: number) {
    this.#only = only;
    this.#rounds = rounds;
  }

  /** Whether any figure of these names is to be measured. */
  includes(names: readonly string[]): boolean {
    return names.some((name) => name.includes(this.#only));
  }

  /** Measures a figure in each round. */
  record(figure: Omit<Figure, "samples">, measure: (round: number) => Samples): void {
    this.recordAll([figure], (round) => [measure(round)]);
  }

  /** Records several figures that one measurement yields, made in each round. */
  recordAll(
    wanted: readonly Omit<Figure, "samples">[],
    measure: (round: number) => readonly Samples[],
    rounds: number = this.#rounds,
  ): void {
    if (!this.includes(wanted.map(({ name }) => name))) return;
    const gathered: Samples[] = wanted.map(() => ({}));
    for (let round = 0; round < rounds; round++) {
      measure(round).forEach((samples, index) => {
        for (const [name, values] of Object.entries(samples)) {
          (gathered[index]![name as Contestant["name"]] ??= []).push(...values);
        }
      });
    }
    wanted.forEach((figure, index) => {
      this.all.push({ ...figure, samples: gathered[index]! });
      console.log(row(this.all.at(-1)!).join(" | "));
    });
  }

  /** All of them, as a table. */
  table(): string {
    return markdown([HEADINGS, HEADINGS.map(() => "---"), ...this.all.map(row)]);
  }
}

/** Ours over the other, round by round. */
function ratios({ samples, against }: Figure): number[] {
  const other = against === null ? undefined : samples[against];
  return other === undefined ? [] : samples.ours!.map((value, round) => value / other[round]!);
}

const shown = (value: number) =>
  value === 0 ? "0" : value >= 1000 ? Math.round(value).toLocaleString("en") : value.toPrecision(3);

function row(figure: Figure): string[] {
  const { samples, bound, unit } = figure;
  const ratio = ratios(figure);
  const judged = ratio.length > 0 ? median(ratio) : median(samples.ours!);
  const limit = bound.least ?? bound.most;
  const met = limit === undefined
    ? ""
    : (bound.least !== undefined ? judged >= bound.least : judged <= bound.most!)
    ? "yes"
    : "NO";
  const value = (name: Contestant["name"]) =>
    samples[name] === undefined ? "" : shown(median(samples[name]));
  return [
    figure.name,
    unit,
    value("ours"),
    value("reference"),
    value("floor"),
    ratio.length === 0
      ? ""
      : `${median(ratio).toFixed(2)} (${Math.min(...ratio).toFixed(2)}..${
        Math.max(...ratio).toFixed(2)
      })`,
    limit === undefined
      ? ""
      : `${bound.least !== undefined ? "at least" : "at most"} ${limit}${
        ratio.length === 0 ? ` ${unit}` : ` of ${figure.against}`
      }`,
    met,
  ];
}

/** A table in Markdown. */
export function markdown(rows: readonly (readonly string[])[]): string {
  return rows.map((cells) => `| ${cells.join(" | ")} |`).join("\n");
}

/** Rotates a list, so that none always follows the same one, which the kernel may still be cleaning up after. */
export function rotated<T>(list: readonly T[], by: number): T[] {
  return list.map((_, index) => list[(index + by) % list.length]!);
}
