// Changes that can be undone and done again: each of one or several documents.

import { inOrder, related } from "./documents.js";
import { now, state } from "./state.js";

/** Change documents: `changes` are pairs of a document and its new `{ entities, relations }`, of which one may be missing. */
export function change(changes) {
  state.past.push(changes.map(([document]) => snapshot(document)));
  state.future = [];
  for (const [document, { entities = document.entities, relations = document.relations }] of changes) {
    document.entities = inOrder(entities);
    document.relations = related(entities, relations);
  }
}

export const undo = () => swap(state.past, state.future);
/** What `undo` took back comes again. */
export const redo = () => swap(state.future, state.past);

export function forget() {
  state.past = [];
  state.future = [];
}

const snapshot = (document) => ({ document, entities: document.entities, relations: document.relations });

function swap(from, to) {
  const before = from.pop();
  if (!before) return false;
  to.push(before.map((item) => snapshot(item.document)));
  for (const { document, entities, relations } of before) Object.assign(document, { entities, relations });
  if (!before.some((item) => item.document === now())) {
    Object.assign(state, { number: state.documents.indexOf(before[0].document), current: null, chosen: null });
  }
  return true;
}
