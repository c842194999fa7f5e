// Documents as the page holds them. Textome's offsets count code points, JavaScript's strings UTF-16 units: offsets are
// converted once when a document comes and once when it goes.

/** A document of the service, with its text put together and its entities in UTF-16 offsets. */
export function fromService(value) {
  const pieces = [];
  let position = 0;
  for (const passage of value.passages) {
    const gap = "\n".repeat(Math.max(0, (passage.offset ?? 0) - position));
    const length = codePoints(passage.text);
    pieces.push({ gap, text: passage.text, section: passage.section ?? "" });
    position = (passage.offset ?? 0) + length;
  }
  const passages = [];
  let text = "";
  for (const piece of pieces) {
    text += piece.gap;
    passages.push({ start: text.length, end: text.length + piece.text.length, section: piece.section });
    text += piece.text;
  }
  const toUnits = converter(text, true);
  const { entities = [], relations = [], ...source } = value;
  const taken = new Set([...entities, ...relations].map((item) => item.id));
  return {
    source,
    id: value.id ?? "",
    text,
    passages,
    done: false,
    entities: entities.map((entity) => ({
      ...entity,
      id: entity.id || freeId("T", taken),
      key: nextKey(),
      spans: entity.spans.map(([start, end]) => [toUnits(start), toUnits(end)]),
    })),
    relations: relations.map((relation) => ({ ...relation, id: relation.id || freeId("R", taken), key: nextKey() })),
  };
}

/** The document as the service takes it, with the entities that `keep` lets through and the relations between them. */
export function toService(document, keep) {
  const toPoints = converter(document.text, false);
  const kept = document.entities.filter(keep);
  const entities = kept.map(({ key, ...entity }) => ({
    ...entity,
    text: textOf(document, entity),
    spans: entity.spans.map(([start, end]) => [toPoints(start), toPoints(end)]),
  }));
  const relations = related(kept, document.relations).map(({ key, ...relation }) => relation);
  return { ...document.source, entities, relations };
}

/** Those relations whose arguments are all there, among entities and among relations that stay. */
export function related(entities, relations) {
  for (let kept = relations; ; ) {
    const ids = new Set([...entities, ...kept].map((item) => item.id));
    const rest = kept.filter((relation) => (relation.arguments ?? []).every(([, target]) => ids.has(target)));
    if (rest.length === kept.length) return rest;
    kept = rest;
  }
}

export function textOf(document, entity) {
  return entity.spans.map(([start, end]) => document.text.slice(start, end)).join(" ");
}

export const inOrder = (entities) =>
  [...entities].sort((a, b) => a.spans[0][0] - b.spans[0][0] || b.spans.at(-1)[1] - a.spans.at(-1)[1]);

/** Documents that were kept, with keys of this page. */
export function again(document) {
  const withKeys = (items) => items.map((item) => ({ ...item, key: nextKey() }));
  const { entities: _, relations: first = [], ...source } = document.source;
  return { ...document, source, entities: withKeys(document.entities), relations: withKeys(document.relations ?? first) };
}

function freeId(letter, taken) {
  let number = taken.size + 1;
  while (taken.has(`${letter}${number}`)) number += 1;
  taken.add(`${letter}${number}`);
  return `${letter}${number}`;
}

const newId = (letter, document) => freeId(letter, new Set([...document.entities, ...document.relations].map((item) => item.id)));

/** A mention by a person: it has no confidence. `changes` may hold an id, where several are added at once. */
export function newEntity(document, start, end, type, changes = {}) {
  return { key: nextKey(), id: newId("T", document), type, spans: [[start, end]], metadata: { annotator: "curator" }, ...changes };
}

/** A relation by a person. */
export function newRelation(document, type, head, tail) {
  const ends = [["head", head.id], ["tail", tail.id]];
  return { key: nextKey(), id: newId("R", document), type, arguments: ends, metadata: { annotator: "curator" } };
}

/** The same mention or relation after a person changed it. */
export function corrected(entity, changes) {
  const { confidence, ...rest } = entity;
  return { ...rest, ...changes, metadata: { ...(entity.metadata ?? {}), annotator: "curator" } };
}

/** The next edge of a word from `position`, backwards or forwards; `kind` is the edge that is moved. */
export function wordEdge(text, position, by, kind) {
  const word = (index) => index >= 0 && index < text.length && /[\p{L}\p{N}\p{M}\p{Cs}]/u.test(text[index]);
  const isEdge = (index) =>
    kind === "start" ? !/\s/.test(text[index] ?? " ") && !(word(index - 1) && word(index))
                     : index > 0 && !/\s/.test(text[index - 1]) && !(word(index - 1) && word(index));
  for (let index = position + by; index >= 0 && index <= text.length; index += by) {
    if (isEdge(index)) return index;
  }
  return position;
}

/** A selection without white space at its ends; null where nothing is left. */
export function trimmed(text, start, end) {
  while (start < end && /\s/.test(text[start])) start += 1;
  while (start < end && /\s/.test(text[end - 1])) end -= 1;
  return start < end ? [start, end] : null;
}

let keys = 0;
function nextKey() {
  keys += 1;
  return keys;
}

function codePoints(text) {
  let number = 0;
  for (const _ of text) number += 1;
  return number;
}

/** A function from code points to UTF-16 units, or back. */
function converter(text, toUnits) {
  if (!/[\ud800-\udbff][\udc00-\udfff]/.test(text)) return (offset) => offset;
  const table = [];
  let units = 0;
  for (const character of text) {
    if (toUnits) table.push(units);
    else for (let unit = 0; unit < character.length; unit += 1) table.push(units);
    units += toUnits ? character.length : 1;
  }
  table.push(units);
  return (offset) => table[offset];
}
