// What a person does to the mentions: choose, correct, add, remove, and keep or export the result.

import { change, corrected, toService, wordEdge } from "./documents.js";
import { draw } from "./drawing.js";
import { discard, keep } from "./keeping.js";
import { element } from "./reading.js";
import { convert } from "./service.js";
import { at, currentEntity, isShown, now, say, sentence, state } from "./state.js";

export function choose(key, focus = false) {
  state.current = key;
  draw();
  if (focus && key !== null) {
    const button = at("document").querySelector(`.tag[data-key="${key}"]`);
    button?.focus({ preventScroll: true });
    button?.scrollIntoView({ block: "nearest" });
  }
}

export function edit(entities, current = state.current) {
  change(now(), entities);
  state.current = current;
  changed();
}

/** Draw what a correction changed, and keep it. */
export function changed() {
  state.unsaved = true;
  if (!keep(state.documents)) say("There is no room in this browser to keep your corrections: export them before you leave.");
  draw();
}

/** May what is shown go? Corrections that were not exported are asked about. */
export function mayLeave() {
  if (!state.unsaved || !confirm("Your corrections were not exported. Discard them?")) return !state.unsaved;
  state.unsaved = false;
  discard();
  return true;
}

export function replaceCurrent(changes) {
  const entity = currentEntity();
  if (entity) edit(now().entities.map((item) => (item === entity ? corrected(item, changes) : item)));
}

export function step(by) {
  const keys = [...at("document").querySelectorAll(".tag")].map((button) => Number(button.dataset.key));
  if (!keys.length) return;
  const index = keys.indexOf(state.current);
  choose(keys[index < 0 ? (by > 0 ? 0 : keys.length - 1) : (index + by + keys.length) % keys.length], true);
}

export function remove() {
  const entity = currentEntity();
  if (!entity) return;
  const keys = [...at("document").querySelectorAll(".tag")].map((button) => Number(button.dataset.key));
  const next = keys[keys.indexOf(entity.key) + 1] ?? keys[keys.indexOf(entity.key) - 1] ?? null;
  edit(now().entities.filter((item) => item !== entity), next);
  choose(next, true);
}

export function moveEdge(edge, by) {
  const entity = currentEntity();
  if (!entity) return;
  const spans = entity.spans.map((span) => [...span]);
  const span = edge === "start" ? spans[0] : spans.at(-1);
  const place = edge === "start" ? 0 : 1;
  span[place] = wordEdge(now().text, span[place], by, edge);
  if (span[0] < span[1] && spans.every((item, index) => index === 0 || spans[index - 1][1] <= item[0])) replaceCurrent({ spans });
}

export async function save(format, button) {
  button.disabled = true;
  try {
    const blob = await convert(state.documents.map((item) => toService(item, isShown)), format);
    const ending = { "bioc-json": "bioc.json", "bioc-xml": "bioc.xml", brat: "brat.zip", pubtator: "pubtator", csv: "csv", jsonl: "jsonl", conll: "conll" }[format];
    const link = element("a");
    link.href = URL.createObjectURL(blob);
    link.download = `textome.${ending}`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
    state.unsaved = false;
    say(`Saved as ${link.download}`);
  } catch (error) {
    say(sentence(error.message));
  } finally {
    button.disabled = false;
  }
}
