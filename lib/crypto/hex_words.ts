// Tables of 32-bit words, kept as text, which costs no time until a cipher is used.

/** The words of a text: eight hexadecimal digits each, separated by white space. */
export function hexWords(text: string): Int32Array {
  return Int32Array.from(text.trim().split(/\s+/), (word) => parseInt(word, 16));
}
