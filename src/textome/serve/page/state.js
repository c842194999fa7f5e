// What the page holds, and the smallest things that all of it needs.

export const at = (id) => document.getElementById(id);

export const state = {
  documents: [],
  number: 0, // of the document that is shown
  current: null, // the key of the chosen mention
  relation: null, // the key of the chosen relation
  relating: null, // the key of the mention that a new relation begins at
  chosen: null, // the selected words, as [start, end]
  hidden: new Set(), // types that are not shown
  least: 0, // confidence
  modelTypes: [],
  types: [], // those of the model, of the documents, and added ones, in the order of their keys
  relationTypes: [],
  past: [],
  future: [],
  other: null, // documents of another annotator
  asking: null,
  model: "",
  unsaved: false,
};

export const now = () => state.documents[state.number];
export const passes = (entity) => entity.confidence == null || entity.confidence >= state.least;
export const isShown = (entity) => !state.hidden.has(entity.type) && passes(entity);
export const everyEntity = () => state.documents.flatMap((item) => item.entities);
export const currentEntity = () => now()?.entities.find((entity) => entity.key === state.current);
export const count = (number, noun) => `${number.toLocaleString("en")} ${noun}${number === 1 ? "" : "s"}`;

/** All types; the first nine have the keys 1 to 9. */
export const allTypes = () => [...new Set([...state.types, ...everyEntity().map((entity) => entity.type)])].filter(Boolean);

export const say = (text) => (at("status").textContent = text);
export const sentence = (text) => text.charAt(0).toUpperCase() + text.slice(1) + (/[.!?]$/.test(text) ? "" : ".");
