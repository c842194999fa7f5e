// What the keys do: from mention to mention, from word to word, undo and redo.

import { redo, undo } from "./documents.js";
import { drawSelection } from "./drawing.js";
import { changed, choose, remove, step } from "./editing.js";
import { selectPlace } from "./reading.js";
import { at, currentEntity, now, state } from "./state.js";
import { movedWords, wordFrom } from "./words.js";

export function keyboard(event) {
  if (at("result").hidden || event.target.closest("input, select, textarea, dialog")) return;
  const control = event.ctrlKey || event.metaKey;
  if (control && (event.key === "y" || (event.key.toLowerCase() === "z" && event.shiftKey))) {
    if (redo(now())) changed();
  } else if (control && event.key === "z") {
    if (undo(now())) changed();
  } else if (control || event.altKey) return;
  else if (state.chosen && !event.target.closest("button, [role=button]:not(.tag)") && chooseWords(event)) return event.preventDefault();
  else if (event.shiftKey) return;
  else if (event.key === "a") takeWord();
  else if (event.key === "ArrowRight") step(1);
  else if (event.key === "ArrowLeft") step(-1);
  else if (event.key === "Delete" || event.key === "Backspace") remove();
  else if (event.target.closest(".tag") && (event.key === "Enter" || event.key === " ")) enter(event.target.closest(".tag"));
  else if (event.key === "Escape") choose(null);
  else return;
  event.preventDefault();
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
  if (key === state.current) at("details-type").focus();
  else choose(key, true);
}
