// A bar chart as SVG, without a library: one bar per ratio, and a line at 1.

/** One bar. */
export interface Bar {
  readonly label: string;
  readonly value: number;
  /** What the value is a ratio to. */
  readonly against: string;
}

const ROW = 22;
const LABEL_WIDTH = 330;
const BAR_WIDTH = 380;

/** The chart as the text of an SVG file. */
export function barChart(title: string, bars: readonly Bar[]): string {
  const largest = Math.max(1, ...bars.map(({ value }) => value));
  const scale = BAR_WIDTH / largest;
  const height = ROW * (bars.length + 2);
  const rows = bars.map(({ label, value, against }, index) => {
    const y = ROW * (index + 1.5);
    return `<text x="${LABEL_WIDTH - 8}" y="${y + 14}" text-anchor="end">${escape(label)}</text>` +
      `<rect x="${LABEL_WIDTH}" y="${y + 3}" width="${(value * scale).toFixed(1)}" height="${
        ROW - 7
      }"/>` +
      `<text x="${(LABEL_WIDTH + value * scale + 6).toFixed(1)}" y="${y + 14}">` +
      `${value.toFixed(2)} of ${against}</text>`;
  });
  const one = (LABEL_WIDTH + scale).toFixed(1);
  return `<svg xmlns="http://www.w3.org/2000/svg" width="900" height="${height}" ` +
    `font-family="sans-serif" font-size="12" fill="#1f3a5f">\n` +
    `<rect width="900" height="${height}" fill="#ffffff"/>\n` +
    `<text x="${LABEL_WIDTH}" y="18" font-weight="bold">${escape(title)}</text>\n` +
    `<g fill="#3a6ea5">${rows.join("\n")}</g>\n` +
    `<line x1="${one}" x2="${one}" y1="${ROW}" y2="${
      height - 8
    }" stroke="#a33" stroke-dasharray="4 3"/>\n` +
    `</svg>\n`;
}

function escape(text: string): string {
  return text.replace(/&/g, "&amp;").replace(/</g, "&lt;");
}
