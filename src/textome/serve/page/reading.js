// The text with its mentions: stretches between the edges of mentions, each in the hue of the innermost mention over it
// with a bar below for every mention, and the type's name as a button behind the mention's last word.

const HUES = { Disease: 25, Chemical: 250, Gene: 300, Species: 145, CellType: 75, CellLine: 190, DNA: 275, RNA: 345, Protein: 325 };
const SPARE = [110, 165, 220, 50, 5, 265];

/** The hue of a type: its own, or one that stays the same for a name. */
export function hueOf(type) {
  if (type in HUES) return HUES[type];
  let sum = 0;
  for (const character of type) sum += character.codePointAt(0);
  return SPARE[sum % SPARE.length];
}

/** Fill `place` with the document's text; `visible` are the mentions shown, `current` is the key of the chosen one. */
export function render(place, shown, visible, current) {
  const fragment = document.createDocumentFragment();
  for (const passage of shown.passages) {
    if (passage.section && passage.section.toLowerCase() !== "title") {
      fragment.append(element("h3", "section", passage.section));
    }
    const paragraph = element("p", passage.section.toLowerCase() === "title" ? "passage title" : "passage");
    paragraph.dir = "auto";
    fillPassage(paragraph, shown, passage, visible, current);
    fragment.append(paragraph);
  }
  place.replaceChildren(fragment);
}

function fillPassage(paragraph, shown, passage, visible, current) {
  const inside = [];
  for (const entity of visible) {
    entity.spans.forEach(([start, end], index) => {
      if (start < passage.end && end > passage.start) {
        const last = index === entity.spans.length - 1 && end <= passage.end;
        inside.push({ entity, start: Math.max(start, passage.start), end: Math.min(end, passage.end), last });
      }
    });
  }
  const edges = new Set([passage.start, passage.end]);
  for (const piece of inside) edges.add(piece.start).add(piece.end);
  const places = [...edges].sort((a, b) => a - b);
  let open = [];
  inside.sort((a, b) => a.start - b.start || b.end - a.end);
  let next = 0;
  for (let index = 0; index + 1 < places.length; index += 1) {
    const [start, end] = [places[index], places[index + 1]];
    while (next < inside.length && inside[next].start <= start) open.push(inside[next++]);
    open = open.filter((piece) => piece.end > start);
    const ending = open.filter((item) => item.end === end && item.last).reverse();
    const span = stretch(shown, start, end, open, current);
    const tags = ending.map((piece) => tag(shown, piece.entity, current));
    if (tags.length) span.classList.add("tagged");
    if (ending.length === open.length) tags.at(-1)?.classList.add("closing");
    paragraph.append(span, ...tags);
  }
}

function stretch(shown, start, end, open, current) {
  const text = shown.text.slice(start, end);
  // The innermost, that is the shortest, first.
  const over = [...open].sort((a, b) => a.end - a.start - (b.end - b.start));
  const span = element("span", over.length ? "seg" : "", text);
  span.dataset.start = start;
  if (!over.length) return span;
  const [inner] = over;
  span.dataset.keys = over.map((piece) => piece.entity.key).join(" ");
  span.style.setProperty("--h", hueOf(inner.entity.type));
  over.slice(1, 3).forEach((piece, index) => span.style.setProperty(`--h${index + 2}`, hueOf(piece.entity.type)));
  if (over.length > 1) span.classList.add(`depth${Math.min(over.length, 3)}`);
  const chosen = over.find((piece) => piece.entity.key === current);
  if (chosen) {
    span.classList.add("current");
    span.style.setProperty("--hc", hueOf(chosen.entity.type));
  }
  for (const name of attributeClasses(inner.entity)) span.classList.add(name);
  span.classList.toggle("first", over.every((piece) => piece.start === start));
  span.classList.toggle("last", over.every((piece) => piece.end === end));
  return span;
}

/** How the text speaks of a mention, as classes: it is struck through, or has dots below. */
function attributeClasses(entity) {
  const attributes = entity.attributes ?? {};
  const doubtful = ["uncertain", "hypothetical", "historical", "certainty", "family", "experiencer"];
  return [...(attributes.negated ? ["negated"] : []), ...(doubtful.some((name) => name in attributes) ? ["doubtful"] : [])];
}

/** The attributes of a mention in words. */
export function attributesOf(entity) {
  return Object.entries(entity.attributes ?? {}).map(([name, value]) => (value === "true" ? name : `${name}: ${value}`));
}

function tag(shown, entity, current) {
  // A span, not a button element: it must not part from the mention's last word at the end of a line.
  const button = element("span", entity.confidence == null ? "tag human" : "tag");
  button.append(element("small", "", entity.type));
  button.setAttribute("role", "button");
  button.dataset.key = entity.key;
  button.tabIndex = entity.key === current ? 0 : -1;
  button.setAttribute("aria-pressed", String(entity.key === current));
  const words = entity.spans.map(([start, end]) => shown.text.slice(start, end)).join(" … ");
  const sure = entity.confidence == null ? "by a person" : `confidence ${entity.confidence.toFixed(2)}`;
  button.setAttribute("aria-label", [`${entity.type}: ${words}`, ...attributesOf(entity), sure].join(", "));
  button.title = entity.type;
  button.style.setProperty("--h", hueOf(entity.type));
  return button;
}

/** The place in the document's text that a selection covers, or null. */
export function selectedPlace(place) {
  const selection = getSelection();
  if (!selection.rangeCount || selection.isCollapsed) return null;
  const range = selection.getRangeAt(0);
  if (!place.contains(range.startContainer) || !place.contains(range.endContainer)) return null;
  const start = offsetOf(place, range.startContainer, range.startOffset, false);
  const end = offsetOf(place, range.endContainer, range.endOffset, true);
  return start === null || end === null || start >= end ? null : [start, end];
}

/** Select a stretch of the document's text, as a person does with the mouse. */
export function selectPlace(place, start, end) {
  const from = pointAt(place, start, false);
  const to = pointAt(place, end, true);
  if (!from || !to) return false;
  getSelection().setBaseAndExtent(...from, ...to);
  from[0].parentElement.scrollIntoView({ block: "nearest" });
  return true;
}

function pointAt(place, offset, isEnd) {
  for (const item of place.querySelectorAll("[data-start]")) {
    const begin = Number(item.dataset.start);
    const end = begin + item.textContent.length;
    if (isEnd ? begin < offset && offset <= end : begin <= offset && offset < end) return [item.firstChild, offset - begin];
  }
  return null;
}

function offsetOf(place, node, offset, isEnd) {
  if (node.nodeType === Node.TEXT_NODE && node.parentElement.dataset.start !== undefined) {
    return Number(node.parentElement.dataset.start) + offset;
  }
  // Between elements, or in a type's name: the edge of the nearest stretch.
  const all = [...place.querySelectorAll("[data-start]")];
  const edge = document.createRange();
  edge.setStart(node, offset);
  const after = all.find((item) => edge.comparePoint(item, 0) >= 0);
  if (!isEnd) return after ? Number(after.dataset.start) : null;
  const before = after ? all[all.indexOf(after) - 1] : all.at(-1);
  return before ? Number(before.dataset.start) + before.textContent.length : null;
}

/** An element with a class and a text, both optional. */
export function element(name, className = "", text = "") {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text) made.textContent = text;
  return made;
}
