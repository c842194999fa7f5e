// The identifiers of the chosen mention: links, taking one away, and looking another one up by what is typed.

import { textOf } from "./documents.js";
import { replaceCurrent } from "./editing.js";
import { element } from "./reading.js";
import { lookUp } from "./service.js";
import { at, currentEntity, now, say, sentence } from "./state.js";

const CURIE = /^[A-Za-z][\w.-]*:[^\s:]\S*$/;
const PAUSE = 180; // ms after a letter
let concepts = [];
let active = -1;
let asking = null;
let timer = 0;

const curieOf = (item) => item.curie ?? item;

export function drawIdentifiers() {
  const entity = currentEntity();
  const rows = (entity?.identifiers ?? []).map((item, index) => {
    const row = element("li");
    const button = element("button", "quiet", "✕");
    button.type = "button";
    button.dataset.index = index;
    button.setAttribute("aria-label", `Take ${item.label || curieOf(item)} away`);
    row.append(link(item), button);
    return row;
  });
  at("details-identifiers").replaceChildren(...rows);
  if (at("lookup").dataset.key !== String(entity?.key)) closeList(true);
  at("lookup").dataset.key = String(entity?.key);
}

/** An identifier with its name, as a link to the page of Bioregistry that knows where it leads. */
function link(item) {
  const curie = curieOf(item);
  const shown = item.label ? `${item.label} (${curie})` : curie;
  if (!/^[\w.-]+:\S+$/.test(curie)) return element("span", "", shown);
  const anchor = element("a", "", shown);
  anchor.href = `https://bioregistry.io/${encodeURI(curie)}`;
  anchor.target = "_blank";
  anchor.rel = "noopener noreferrer";
  return anchor;
}

/** What a person chooses takes the place of what the machine proposed, and stands beside what a person chose. */
function take(concept) {
  const before = (currentEntity()?.identifiers ?? []).map((item) => (item.curie ? item : { curie: item }));
  const own = before.filter((item) => item.score == null && item.curie !== concept.curie);
  replaceCurrent({ identifiers: [{ curie: concept.curie, ...(concept.label ? { label: concept.label } : {}) }, ...own] });
  closeList(true);
  say(`${concept.label || concept.curie} chosen`);
}

function closeList(empty = false) {
  asking?.abort();
  clearTimeout(timer);
  concepts = [];
  active = -1;
  if (empty) at("lookup").value = "";
  drawList();
}

function drawList(hint = "") {
  const rows = concepts.map((concept, index) => {
    const row = element("li");
    row.id = `concept-${index}`;
    row.setAttribute("role", "option");
    row.setAttribute("aria-selected", String(index === active));
    row.dataset.index = index;
    row.append(element("span", "", concept.label || concept.curie), element("span", "hint", `${concept.curie} · ${concept.type}`));
    return row;
  });
  at("lookup-list").replaceChildren(...rows);
  at("lookup-list").hidden = !rows.length;
  at("lookup-hint").textContent = hint;
  at("lookup").setAttribute("aria-expanded", String(rows.length > 0));
  if (active >= 0) {
    at("lookup").setAttribute("aria-activedescendant", `concept-${active}`);
    rows[active].scrollIntoView({ block: "nearest" });
  } else at("lookup").removeAttribute("aria-activedescendant");
}

async function search() {
  asking?.abort();
  const typed = at("lookup").value.trim();
  if (typed.length < 2) return closeList();
  asking = new AbortController();
  const { signal } = asking;
  try {
    const found = await lookUp(typed, currentEntity()?.type ?? "", signal);
    if (signal.aborted) return null;
    concepts = found;
    active = -1;
    return drawList(concepts.length ? "" : CURIE.test(typed) ? "Not in this service's vocabularies; Enter takes it as it is." : "No concept has this name.");
  } catch (error) {
    if (error.name === "AbortError") return null;
    concepts = [];
    return drawList(sentence(error.message));
  }
}

function onKey(event) {
  const by = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  const typed = at("lookup").value.trim();
  if (by && concepts.length) active = (active + by + concepts.length + (active < 0 && by < 0 ? 1 : 0)) % concepts.length;
  else if (event.key === "Enter" && active >= 0) take(concepts[active]);
  else if (event.key === "Enter" && CURIE.test(typed)) take(concepts.find((item) => item.curie === typed) ?? { curie: typed });
  else if (event.key === "Enter" && concepts.length) active = 0;
  else if (event.key === "Escape" && (concepts.length || typed)) return event.preventDefault(), closeList(true);
  else if (event.key === "Escape") return at("document").querySelector('.tag[aria-pressed="true"]')?.focus();
  else return null;
  event.preventDefault();
  return concepts.length ? drawList() : null;
}

/** Go to the look-up, with the mention's own words to begin with. */
export function goToLookup() {
  if (!currentEntity()) return;
  at("lookup").focus();
}

export function listenToIdentifiers() {
  at("details-identifiers").addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    const index = Number(button.dataset.index);
    replaceCurrent({ identifiers: currentEntity().identifiers.filter((_, number) => number !== index) });
    at("lookup").focus();
  });
  at("lookup").addEventListener("focus", () => {
    if (at("lookup").value || !currentEntity()) return;
    at("lookup").value = textOf(now(), currentEntity()).slice(0, 200);
    at("lookup").select();
    search();
  });
  at("lookup").addEventListener("blur", () => closeList(true));
  at("lookup").addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(search, PAUSE);
  });
  at("lookup").addEventListener("keydown", onKey);
  // Not click: the field must not lose its focus before.
  at("lookup-list").addEventListener("pointerdown", (event) => {
    const row = event.target.closest("li");
    event.preventDefault();
    if (row) take(concepts[Number(row.dataset.index)]);
  });
}
