// The difference between two outcomes: the lines that only one of them has.

export interface Difference {
  readonly reference: readonly string[];
  readonly ours: readonly string[];
}

/** The lines outside a longest common subsequence, on either side. */
export function compareLines(reference: readonly string[], ours: readonly string[]): Difference {
  const [rows, columns] = [reference.length, ours.length];
  // longest[i][j]: length of the longest common subsequence of reference[i..] and ours[j..]
  const longest = Array.from({ length: rows + 1 }, () => new Uint16Array(columns + 1));
  const at = (i: number, j: number) => longest[i]?.[j] ?? 0;
  for (let i = rows - 1; i >= 0; i--) {
    for (let j = columns - 1; j >= 0; j--) {
      longest[i]![j] = reference[i] === ours[j]
        ? at(i + 1, j + 1) + 1
        : Math.max(at(i + 1, j), at(i, j + 1));
    }
  }
  const difference = { reference: [] as string[], ours: [] as string[] };
  let [i, j] = [0, 0];
  while (i < rows || j < columns) {
    if (i < rows && j < columns && reference[i] === ours[j]) {
      i++;
      j++;
    } else if (j === columns || (i < rows && at(i + 1, j) >= at(i, j + 1))) {
      difference.reference.push(reference[i++]!);
    } else {
      difference.ours.push(ours[j++]!);
    }
  }
  return difference;
}
