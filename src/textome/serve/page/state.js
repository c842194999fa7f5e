// What the page holds, and the smallest things that all of it needs.

export const at = (id) => document.getElementById(id);

export const state = { documents: [], number: 0, current: null, hidden: new Set(), least: 0, types: [], chosen: null, asking: null, model: "", unsaved: false };

export const now = () => state.documents[state.number];
export const passes = (entity) => entity.confidence == null || entity.confidence >= state.least;
export const isShown = (entity) => !state.hidden.has(entity.type) && passes(entity);
export const everyEntity = () => state.documents.flatMap((item) => item.entities);
export const currentEntity = () => now()?.entities.find((entity) => entity.key === state.current);
export const count = (number, noun) => `${number.toLocaleString("en")} ${noun}${number === 1 ? "" : "s"}`;

export const say = (text) => (at("status").textContent = text);
export const sentence = (text) => text.charAt(0).toUpperCase() + text.slice(1) + (/[.!?]$/.test(text) ? "" : ".");
