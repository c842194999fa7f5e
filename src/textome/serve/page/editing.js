// What a person does to the mentions: choose, correct, add, remove, one or all that are the same.

import { corrected, newEntity, textOf, wordEdge } from "./documents.js";
import { draw } from "./drawing.js";
import { change } from "./history.js";
import { discard, keep } from "./keeping.js";
import { at, count, currentEntity, now, say, state } from "./state.js";

const MOST = 5000; // mentions that one step adds

export function choose(key, focus = false) {
  state.current = key;
  state.relation = null;
  draw();
  if (focus && key !== null) {
    const button = at("document").querySelector(`.tag[data-key="${key}"]`);
    button?.focus({ preventScroll: true });
    button?.scrollIntoView({ block: "nearest" });
  }
}

export function edit(entities, current = state.current) {
  change([[now(), { entities }]]);
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

/** Make the selected words a mention. */
export function mark(type) {
  const entity = newEntity(now(), ...state.chosen, type);
  state.chosen = null;
  getSelection().removeAllRanges();
  state.hidden.delete(entity.type);
  edit([...now().entities, entity], entity.key);
  choose(entity.key, true);
}

export function step(by) {
  const keys = [...at("document").querySelectorAll(".tag")].map((button) => Number(button.dataset.key));
  if (!keys.length) return;
  const index = keys.indexOf(state.current);
  choose(keys[index < 0 ? (by > 0 ? 0 : keys.length - 1) : (index + by + keys.length) % keys.length], true);
}

/** Show the document of a number; `focus` goes to its text. */
export function open(number, focus = false) {
  if (!(number >= 0 && number < state.documents.length)) return;
  Object.assign(state, { number, current: null, relation: null, relating: null, chosen: null });
  draw();
  if (focus) at("reading").focus({ preventScroll: true });
  at("document-list").querySelector("[aria-current]")?.scrollIntoView({ block: "nearest" });
}

export function toggleDone() {
  now().done = !now().done;
  changed();
  say(`${state.documents.filter((item) => item.done).length} of ${count(state.documents.length, "document")} done`);
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
  const index = edge === "start" ? 0 : 1;
  span[index] = wordEdge(now().text, span[index], by, edge);
  if (span[0] < span[1] && spans.every((item, number) => number === 0 || spans[number - 1][1] <= item[0])) replaceCurrent({ spans });
}

const folded = (text) => text.toLowerCase().replace(/\s+/g, " ");

/** The other mentions of the same words, in all documents: whether they differ in type or identifiers, or not. */
export function same(entity) {
  const words = folded(textOf(now(), entity));
  const others = state.documents.flatMap((document) =>
    document.entities.filter((item) => item !== entity && folded(textOf(document, item)) === words),
  );
  const curies = (item) => (item.identifiers ?? []).map((one) => one.curie ?? one).join(" ");
  return { others, different: others.filter((item) => item.type !== entity.type || curies(item) !== curies(entity)) };
}

/** Where the words of a mention stand unmarked, by document. */
export function unmarked(entity) {
  const words = textOf(now(), entity).trim().split(/\s+/).map((word) => word.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
  const pattern = new RegExp(`(?<![\\p{L}\\p{N}\\p{M}])${words.join("\\s+")}(?![\\p{L}\\p{N}\\p{M}])`, "giu");
  let number = 0;
  return state.documents.map((document) => {
    const spans = [];
    if (number >= MOST) return [document, spans];
    for (const match of document.text.matchAll(pattern)) {
      const [start, end] = [match.index, match.index + match[0].length];
      const inOne = document.passages.some((passage) => passage.start <= start && end <= passage.end);
      const free = !document.entities.some((item) => item.spans.some((span) => span[0] < end && span[1] > start));
      if (inOne && free && number < MOST) {
        spans.push([start, end]);
        number += 1;
      }
    }
    return [document, spans];
  });
}

/** Give all other mentions of the same words the type and the identifiers of the chosen one. */
export function applyToSame() {
  const entity = currentEntity();
  const different = new Set(entity ? same(entity).different : []);
  if (!different.size) return;
  const changes = { type: entity.type, identifiers: entity.identifiers ?? [] };
  changeAll((document) => document.entities.map((item) => (different.has(item) ? corrected(item, changes) : item)));
  say(`${count(different.size, "mention")} changed`);
}

/** Mark the words of the chosen mention wherever they stand and are not marked. */
export function markSame() {
  const entity = currentEntity();
  const spansOf = new Map(entity ? unmarked(entity) : []);
  const number = [...spansOf.values()].reduce((sum, spans) => sum + spans.length, 0);
  if (!number) return;
  changeAll((document) => {
    const entities = [...document.entities];
    for (const [start, end] of spansOf.get(document)) {
      const identifiers = entity.identifiers ? { identifiers: entity.identifiers } : {};
      entities.push(newEntity({ ...document, entities }, start, end, entity.type, identifiers));
    }
    return entities;
  });
  say(`${count(number, "mention")} added`);
}

export function removeSame() {
  const entity = currentEntity();
  if (!entity) return;
  const gone = new Set([entity, ...same(entity).others]);
  state.current = null;
  changeAll((document) => document.entities.filter((item) => !gone.has(item)));
  say(`${count(gone.size, "mention")} removed`);
}

function changeAll(entitiesOf) {
  change(state.documents.map((document) => [document, { entities: entitiesOf(document) }]));
  changed();
}
