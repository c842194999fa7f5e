// What the keys do: from mention to mention, from word to word, from document to document, and corrections by one key.

import { drawSelection } from "./drawing.js";
import { applyToSame, changed, choose, mark, markSame, open, remove, replaceCurrent, step, toggleDone } from "./editing.js";
import { redo, undo } from "./history.js";
import { goToLookup } from "./identifiers.js";
import { selectPlace } from "./reading.js";
import { relate, relateTo, stopRelating } from "./relations.js";
import { allTypes, at, currentEntity, now, state } from "./state.js";
import { movedWords, wordFrom } from "./words.js";

const KEYS = {
  a: () => takeWord(),
  r: () => relate(),
  i: () => goToLookup(),
  s: () => applyToSame(),
  m: () => markSame(),
  d: () => toggleDone(),
  n: () => open(state.number + 1, true),
  p: () => open(state.number - 1, true),
  "?": () => (at("keys-help").open = !at("keys-help").open),
  ArrowRight: () => step(1),
  ArrowLeft: () => step(-1),
  Delete: () => remove(),
  Backspace: () => remove(),
};

export function keyboard(event) {
  if (at("result").hidden || event.target.closest("input, select, textarea, dialog")) return;
  const control = event.ctrlKey || event.metaKey;
  if (control && (event.key === "y" || (event.key.toLowerCase() === "z" && event.shiftKey))) {
    if (redo()) changed();
  } else if (control && event.key === "z") {
    if (undo()) changed();
  } else if (control || event.altKey) return;
  else if (state.chosen && !event.target.closest("button, [role=button]:not(.tag)") && chooseWords(event)) return event.preventDefault();
  else if (event.shiftKey && event.key !== "?") return;
  else if (event.key.length === 1 && event.key !== " " && !at("letters").checked) return;
  else if (event.key >= "1" && event.key <= "9") giveType(Number(event.key));
  else if (Object.hasOwn(KEYS, event.key)) KEYS[event.key]();
  else if (event.target.closest(".tag") && (event.key === "Enter" || event.key === " ")) enter(event.target.closest(".tag"));
  else if (event.key === "Escape") return stopRelating() ? event.preventDefault() : choose(null);
  else return;
  event.preventDefault();
}

/** Give the selected words, or the chosen mention, the type of a number. */
function giveType(number) {
  const type = allTypes()[number - 1];
  if (!type) return;
  if (state.chosen) mark(type);
  else if (currentEntity() && currentEntity().type !== type) {
    state.hidden.delete(type);
    replaceCurrent({ type });
    choose(state.current, true);
  }
}

/** Select a word to be marked: the one behind the chosen mention, or the first. */
const takeWord = () => takeWords(wordFrom(now().text, currentEntity()?.spans.at(-1)[1] ?? 0));

function takeWords([start, end]) {
  if (!(start < end && selectPlace(at("document"), start, end))) return;
  state.chosen = [start, end];
  drawSelection();
}

/** What a key does to the selected words: arrows move them, with Shift take more or fewer, Enter goes to the type. */
function chooseWords(event) {
  const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  if (by) takeWords(movedWords(now().text, state.chosen, by, event.shiftKey));
  else if (event.key === "Enter") at("selection-type").focus();
  else if (event.key === "Escape") {
    getSelection().removeAllRanges();
    state.chosen = null;
    drawSelection();
  } else return false;
  return true;
}

/** Enter on a mention chooses it; on the chosen one it goes to its type. */
function enter(button) {
  const key = Number(button.dataset.key);
  if (relateTo(key)) return;
  if (key === state.current) at("details-type").focus();
  else choose(key, true);
}
