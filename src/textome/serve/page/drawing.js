// What is shown: the document with its mentions, the types, the details of the chosen mention, the list of documents.

import { textOf } from "./documents.js";
import { attributesOf, element, hueOf, render } from "./reading.js";
import { at, count, currentEntity, everyEntity, isShown, now, passes, state } from "./state.js";

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
  drawSelection();
  drawDocuments();
  const number = everyEntity().filter(isShown).length;
  at("export-hint").textContent = `The ${count(number, "mention")} that ${number === 1 ? "is" : "are"} shown, with your corrections.`;
}

function drawTypes() {
  const counts = new Map(state.types.map((type) => [type, 0]));
  for (const entity of everyEntity()) counts.set(entity.type, (counts.get(entity.type) ?? 0) + (passes(entity) ? 1 : 0));
  const present = new Set(everyEntity().map((entity) => entity.type));
  const rows = [...counts].filter(([type]) => present.has(type)).map(([type, number]) => {
    const label = element("label");
    const box = element("input");
    box.type = "checkbox";
    box.checked = !state.hidden.has(type);
    box.dataset.type = type;
    box.style.setProperty("--h", hueOf(type));
    label.append(box, element("span", "", type), element("span", "count", String(number)));
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
  const identifiers = (entity.identifiers ?? []).map(identifierLink);
  at("details-identifiers").replaceChildren(...identifiers.flatMap((link, index) => (index ? [element("br"), link] : [link])));
  at("details-identifiers").hidden = at("details-identifiers-name").hidden = !identifiers.length;
  const attributes = attributesOf(entity).join(", ");
  at("details-attributes").textContent = attributes;
  at("details-attributes").hidden = at("details-attributes-name").hidden = !attributes;
  fillTypes(at("details-type"), entity.type);
  at("undo").disabled = !now().history.length;
  at("redo").disabled = !now().undone.length;
}

/** An identifier with its name, as a link to the page of Bioregistry that knows where it leads. */
function identifierLink(item) {
  const curie = item.curie ?? item;
  const shown = item.label ? `${item.label} (${curie})` : curie;
  if (!/^[\w.-]+:\S+$/.test(curie)) return element("span", "", shown);
  const link = element("a", "", shown);
  link.href = `https://bioregistry.io/${encodeURI(curie)}`;
  link.target = "_blank";
  link.rel = "noopener noreferrer";
  return link;
}

export function drawSelection() {
  at("selection").hidden = !state.chosen;
  if (!state.chosen) return;
  at("selection-text").textContent = now().text.slice(...state.chosen);
  fillTypes(at("selection-type"), at("selection-type").value || state.types[0]);
  at("move").hidden = !currentEntity();
}

function drawDocuments() {
  const several = state.documents.length > 1;
  at("documents").hidden = !several;
  at("result").classList.toggle("several", several);
  if (!several) return;
  const rows = state.documents.map((item, number) => {
    const button = element("button");
    button.type = "button";
    button.dataset.number = number;
    if (number === state.number) button.setAttribute("aria-current", "true");
    const title = item.text.slice(0, 90).replaceAll(/\s+/g, " ");
    button.append(element("span", "name", title || item.id), element("span", "count", String(item.entities.filter(isShown).length)));
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
  const types = [...new Set([...state.types, ...everyEntity().map((entity) => entity.type), chosen])].filter(Boolean);
  select.replaceChildren(...types.map((type) => new Option(type, type, false, type === chosen)));
}
