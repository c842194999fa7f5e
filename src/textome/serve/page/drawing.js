// What is shown: the document with its mentions, the types, the details of the chosen mention, the list of documents.

import { textOf } from "./documents.js";
import { same, unmarked } from "./editing.js";
import { drawIdentifiers } from "./identifiers.js";
import { attributesOf, element, hueOf, render } from "./reading.js";
import { drawRelations } from "./relations.js";
import { allTypes, at, count, currentEntity, everyEntity, isShown, now, passes, state } from "./state.js";

/** What the text may say of a mention that a person can set. */
export const ATTRIBUTES = ["negated", "uncertain", "hypothetical", "historical"];

export function draw() {
  const shown = now();
  const visible = shown.entities.filter(isShown);
  if (!visible.some((entity) => entity.key === state.current)) state.current = null;
  at("document-title").textContent = shown.id || "Your text";
  render(at("document"), shown, visible, state.current);
  // One mention can always be reached with the Tab key.
  if (state.current === null) at("document").querySelector(".tag")?.setAttribute("tabindex", "0");
  drawTypes();
  drawHistogram();
  drawDetails();
  drawRelations();
  drawSelection();
  drawDocuments();
  const number = everyEntity().filter(isShown).length;
  at("undo").disabled = !state.past.length;
  at("redo").disabled = !state.future.length;
  at("export-hint").textContent = `The ${count(number, "mention")} that ${number === 1 ? "is" : "are"} shown, with your corrections.`;
}

function drawTypes() {
  const counts = new Map(allTypes().map((type) => [type, 0]));
  for (const entity of everyEntity()) counts.set(entity.type, (counts.get(entity.type) ?? 0) + (passes(entity) ? 1 : 0));
  const rows = [...counts].map(([type, number], index) => {
    const label = element("label");
    const box = element("input");
    box.type = "checkbox";
    box.checked = !state.hidden.has(type);
    box.dataset.type = type;
    box.style.setProperty("--h", hueOf(type));
    label.append(box, element("span", "", type), element("span", "count", String(number)));
    if (index < 9) label.append(element("kbd", "", String(index + 1)));
    label.title = type;
    const item = element("li");
    item.append(label);
    return item;
  });
  const focused = document.activeElement?.dataset?.type;
  at("types").replaceChildren(...(rows.length ? rows : [element("li", "hint", "No mentions were found.")]));
  if (focused) at("types").querySelector(`[data-type="${CSS.escape(focused)}"]`)?.focus();
}

export function drawHistogram() {
  const canvas = at("histogram");
  const context = canvas.getContext("2d");
  const style = getComputedStyle(document.documentElement);
  const bins = new Array(32).fill(0);
  for (const entity of everyEntity()) {
    if (entity.confidence != null && !state.hidden.has(entity.type)) bins[Math.min(31, Math.floor(entity.confidence * 32))] += 1;
  }
  const most = Math.max(1, ...bins);
  context.clearRect(0, 0, canvas.width, canvas.height);
  bins.forEach((number, index) => {
    // The root of the number: the tall bar near 1 must not hide the others.
    const height = number ? Math.max(4, Math.sqrt(number / most) * canvas.height) : 2;
    context.fillStyle = style.getPropertyValue(index / 32 + 1 / 64 >= state.least ? "--bar-on" : "--bar-off");
    context.fillRect((index * canvas.width) / 32 + 1, canvas.height - height, canvas.width / 32 - 3, height);
  });
}

function drawDetails() {
  const entity = currentEntity();
  at("details").hidden = !entity;
  if (!entity) return;
  at("details-text").textContent = textOf(now(), entity);
  at("details-confidence").textContent = entity.confidence == null ? "set by a person" : entity.confidence.toFixed(3);
  // As in every export: code points, where the browser counts UTF-16 units.
  const point = (place) => [...now().text.slice(0, place)].length;
  at("details-place").textContent = entity.spans.map(([start, end]) => `${point(start)}–${point(end)}`).join(", ");
  const attributes = attributesOf(entity).join(", ");
  at("details-attributes").textContent = attributes;
  at("details-attributes").hidden = at("details-attributes-name").hidden = !attributes;
  for (const name of ATTRIBUTES) at(`attribute-${name}`).checked = Boolean(entity.attributes?.[name]);
  fillTypes(at("details-type"), entity.type);
  drawIdentifiers();
  drawSame(entity);
}

/** The buttons for all mentions of the same words, where there is something for them to do. */
function drawSame(entity) {
  const { others, different } = same(entity);
  const free = unmarked(entity).reduce((sum, [, spans]) => sum + spans.length, 0);
  at("same").hidden = !others.length && !free;
  at("same-apply").hidden = !different.length;
  at("same-apply").textContent = `Apply to ${different.length.toLocaleString("en")} more`;
  at("same-mark").hidden = !free;
  at("same-mark").textContent = `Mark ${free.toLocaleString("en")} more`;
  at("same-remove").hidden = !others.length;
  at("same-remove").textContent = `Remove all ${(others.length + 1).toLocaleString("en")}`;
}

export function drawSelection() {
  at("selection").hidden = !state.chosen;
  if (!state.chosen) return;
  at("selection-text").textContent = now().text.slice(...state.chosen);
  fillTypes(at("selection-type"), at("selection-type").value || allTypes()[0]);
  at("move").hidden = !currentEntity();
}

function drawDocuments() {
  const several = state.documents.length > 1;
  at("documents").hidden = !several;
  at("result").classList.toggle("several", several);
  at("done").checked = now().done;
  at("previous").hidden = at("next").hidden = !several;
  at("previous").disabled = state.number === 0;
  at("next").disabled = state.number === state.documents.length - 1;
  if (!several) return;
  const done = state.documents.filter((item) => item.done).length;
  at("documents-done").textContent = `${done.toLocaleString("en")} of ${state.documents.length.toLocaleString("en")} done`;
  at("documents-progress").value = done / state.documents.length;
  const rows = state.documents.map((item, number) => {
    const button = element("button");
    button.type = "button";
    button.dataset.number = number;
    if (number === state.number) button.setAttribute("aria-current", "true");
    const title = item.text.slice(0, 90).replaceAll(/\s+/g, " ");
    button.append(element("span", "name", title || item.id), element("span", "count", String(item.entities.filter(isShown).length)));
    if (item.done) button.append(element("span", "tick", "✓"), element("span", "unseen", "done"));
    const row = element("li");
    row.append(button);
    return row;
  });
  const list = at("document-list");
  const focused = list.contains(document.activeElement);
  list.replaceChildren(...rows);
  if (focused) list.querySelector("[aria-current]")?.focus();
}

function fillTypes(select, chosen) {
  const types = [...new Set([...allTypes(), chosen])].filter(Boolean);
  select.replaceChildren(...types.map((type) => new Option(type, type, false, type === chosen)));
}
