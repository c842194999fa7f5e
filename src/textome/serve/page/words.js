// Words that are selected by keyboard, as [start, end] in a text.

import { wordEdge } from "./documents.js";

/** The word that begins behind `from`; at the beginning of a text its first. */
export function wordFrom(text, from) {
  const start = from === 0 && /\S/.test(text[0] ?? " ") ? 0 : wordEdge(text, from, 1, "start");
  return [start, wordEdge(text, start, 1, "end")];
}

/** The word before or behind, or, to `extend`, a word less or more. */
export function movedWords(text, [start, end], by, extend) {
  if (extend) return [start, wordEdge(text, end, by, "end")];
  const next = wordEdge(text, by > 0 ? end - 1 : start, by, "start");
  return [next, wordEdge(text, next, 1, "end")];
}
