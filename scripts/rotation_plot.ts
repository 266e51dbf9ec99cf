// Plots rotation_model.ts: the probability of a refusal after a wait, for fleets of several sizes.
import { type Fleet, unfinished } from "./rotation_model.ts";

const WIDTH = 900;
const HEIGHT = 460;
const LEFT = 90;
const RIGHT = 640;
const TOP = 70;
const BOTTOM = 380;
/** Powers of ten of the probability, from top to bottom. */
const DECADES = 9;
/** The longest wait, in mean delays. */
const LONGEST = 32;

const SIZES = [100, 1_000, 10_000, 100_000];
/** Failures of the broken line: one host in a million. */
const FAILURES = 1e-6;

const STYLE = `
  .paper { fill: #ffffff; }
  text { fill: #1d2b3e; }
  .soft { fill: #4c5b70; }
  .grid { stroke: #d5dce6; }
  .axis { stroke: #5f6f85; }
  .line { fill: none; stroke-width: 2.5; }
  .size0 { stroke: #1a7f5a; }
  .size1 { stroke: #2c5aa0; }
  .size2 { stroke: #b3361b; }
  .size3 { stroke: #7a3fa0; }
  .floor { stroke: #b3361b; stroke-dasharray: 7 5; }
  @media (prefers-color-scheme: dark) {
    .paper { fill: #161c26; }
    text { fill: #e6ecf4; }
    .soft { fill: #a9b6c8; }
    .grid { stroke: #2c3644; }
    .axis { stroke: #8796ab; }
    .size0 { stroke: #5fd3a5; }
    .size1 { stroke: #82aee8; }
    .size2 { stroke: #ff9a7d; }
    .size3 { stroke: #cfa0f0; }
    .floor { stroke: #ff9a7d; }
  }`;

const x = (wait: number) => LEFT + (RIGHT - LEFT) * wait / LONGEST;
const y = (probability: number) => TOP + (BOTTOM - TOP) * -Math.log10(probability) / DECADES;
const round = (value: number) => value.toFixed(1);

function curve(fleet: Fleet, name: string): string {
  const points: string[] = [];
  for (let wait = 0; wait <= LONGEST; wait += 0.25) {
    const probability = unfinished({ ...fleet, delay: 1 }, wait);
    if (probability < 10 ** -DECADES) break;
    points.push(`${round(x(wait))},${round(y(probability))}`);
  }
  return `<polyline class="line ${name}" points="${points.join(" ")}"/>`;
}

function grid(): string[] {
  const lines: string[] = [];
  for (let decade = 0; decade <= DECADES; decade += 3) {
    const at = round(y(10 ** -decade));
    lines.push(`<line class="grid" x1="${LEFT}" x2="${RIGHT}" y1="${at}" y2="${at}"/>`);
    const label = decade === 0 ? "1" : `10<tspan dy="-6" font-size="10">−${decade}</tspan>`;
    lines.push(
      `<text class="soft" x="${LEFT - 10}" y="${
        round(Number(at) + 5)
      }" text-anchor="end">${label}</text>`,
    );
  }
  for (let wait = 0; wait <= LONGEST; wait += 4) {
    const at = round(x(wait));
    lines.push(`<line class="grid" x1="${at}" x2="${at}" y1="${TOP}" y2="${BOTTOM}"/>`);
    lines.push(
      `<text class="soft" x="${at}" y="${BOTTOM + 22}" text-anchor="middle">${wait}</text>`,
    );
  }
  return lines;
}

/** The drawing, as SVG. */
export function plotRotation(fleet: Fleet): string {
  const legend = [
    ...SIZES.map((hosts, index) => ({
      name: `size${index}`,
      text: `${hosts.toLocaleString("en")} hosts`,
    })),
    { name: "floor", text: "10,000 hosts; one in" },
  ];
  const entries = legend.flatMap(({ name, text }, index) => {
    const at = TOP + 20 + 30 * index;
    return [
      `<line class="line ${name}" x1="${RIGHT + 25}" x2="${RIGHT + 60}" y1="${at}" y2="${at}"/>`,
      `<text x="${RIGHT + 70}" y="${at + 5}">${text}</text>`,
    ];
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" width="${WIDTH}" height="${HEIGHT}"
  role="img" font-family="system-ui, 'Segoe UI', 'Helvetica Neue', Arial, sans-serif" font-size="14">
  <title>Probability that a credential is refused, by the wait between two steps of a rotation</title>
  <style>${STYLE}
  </style>
  <rect class="paper" width="${WIDTH}" height="${HEIGHT}" rx="10"/>
  <text x="${LEFT}" y="40" font-size="17" font-weight="600">Waiting without confirmation</text>
  ${grid().join("\n  ")}
  <path class="axis" fill="none" d="M${LEFT} ${TOP}V${BOTTOM}H${RIGHT}"/>
  ${
    SIZES.map((hosts, index) => curve({ ...fleet, hosts, failures: 0 }, `size${index}`)).join(
      "\n  ",
    )
  }
  ${curve({ ...fleet, hosts: 10_000, failures: FAILURES }, "floor")}
  ${entries.join("\n  ")}
  <text x="${RIGHT + 70}" y="${TOP + 163}">a million fails</text>
  <text x="${(LEFT + RIGHT) / 2}" y="${
    BOTTOM + 52
  }" text-anchor="middle">wait, in mean delays of a host</text>
  <text transform="translate(32 ${
    (TOP + BOTTOM) / 2
  }) rotate(-90)" text-anchor="middle">probability of a refusal</text>
</svg>
`;
}
