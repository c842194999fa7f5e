// The page: what is shown, what is chosen, and what the controls do.

import { again, change, corrected, fromService, newEntity, redo, textOf, toService, trimmed, undo, wordEdge } from "./documents.js";
import { askAll } from "./asking.js";
import { adviceFor, bodiesOf, dropped, nameOf } from "./files.js";
import { discard, keep, kept } from "./keeping.js";
import { attributesOf, element, hueOf, render, selectedPlace, selectPlace } from "./reading.js";
import { movedWords, wordFrom } from "./words.js";
import { annotateFile, annotatePmid, annotateText, convert, models, onKeyNeeded } from "./service.js";

const at = (id) => document.getElementById(id);
const EXAMPLE =
  "A 58-year-old woman with rheumatoid arthritis and type 2 diabetes mellitus took methotrexate and metformin. " +
  "After eight weeks she had a dry cough and fever, and computed tomography showed interstitial lung disease. " +
  "Methotrexate was stopped and prednisolone begun; her symptoms went within ten days.\n\n" +
  "In mice that lack Il6, bleomycin-induced pulmonary fibrosis was milder, and TNF-α mRNA in alveolar macrophages " +
  "and in A549 cells fell by half.";

const state = { documents: [], number: 0, current: null, hidden: new Set(), least: 0, types: [], chosen: null, asking: null, model: "", unsaved: false };

// What is shown.

const now = () => state.documents[state.number];
const passes = (entity) => entity.confidence == null || entity.confidence >= state.least;
const isShown = (entity) => !state.hidden.has(entity.type) && passes(entity);
const everyEntity = () => state.documents.flatMap((item) => item.entities);

function draw() {
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

function drawHistogram() {
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

function drawSelection() {
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

const currentEntity = () => now()?.entities.find((entity) => entity.key === state.current);
const count = (number, noun) => `${number.toLocaleString("en")} ${noun}${number === 1 ? "" : "s"}`;

// What the controls do.

function choose(key, focus = false) {
  state.current = key;
  draw();
  if (focus && key !== null) {
    const button = at("document").querySelector(`.tag[data-key="${key}"]`);
    button?.focus({ preventScroll: true });
    button?.scrollIntoView({ block: "nearest" });
  }
}

function edit(entities, current = state.current) {
  change(now(), entities);
  state.current = current;
  changed();
}

/** Draw what a correction changed, and keep it. */
function changed() {
  state.unsaved = true;
  if (!keep(state.documents)) say("There is no room in this browser to keep your corrections: export them before you leave.");
  draw();
}

/** May what is shown go? Corrections that were not exported are asked about. */
function mayLeave() {
  if (!state.unsaved || !confirm("Your corrections were not exported. Discard them?")) return !state.unsaved;
  state.unsaved = false;
  discard();
  return true;
}

function replaceCurrent(changes) {
  const entity = currentEntity();
  if (entity) edit(now().entities.map((item) => (item === entity ? corrected(item, changes) : item)));
}

function step(by) {
  const keys = [...at("document").querySelectorAll(".tag")].map((button) => Number(button.dataset.key));
  if (!keys.length) return;
  const index = keys.indexOf(state.current);
  choose(keys[index < 0 ? (by > 0 ? 0 : keys.length - 1) : (index + by + keys.length) % keys.length], true);
}

function remove() {
  const entity = currentEntity();
  if (!entity) return;
  const keys = [...at("document").querySelectorAll(".tag")].map((button) => Number(button.dataset.key));
  const next = keys[keys.indexOf(entity.key) + 1] ?? keys[keys.indexOf(entity.key) - 1] ?? null;
  edit(now().entities.filter((item) => item !== entity), next);
  choose(next, true);
}

function moveEdge(edge, by) {
  const entity = currentEntity();
  if (!entity) return;
  const spans = entity.spans.map((span) => [...span]);
  const span = edge === "start" ? spans[0] : spans.at(-1);
  const place = edge === "start" ? 0 : 1;
  span[place] = wordEdge(now().text, span[place], by, edge);
  if (span[0] < span[1] && spans.every((item, index) => index === 0 || spans[index - 1][1] <= item[0])) replaceCurrent({ spans });
}

/** Ask the service in one or several requests, each `{ name, ask }`, and show what they answer. */
async function annotate(requests) {
  if (!mayLeave()) return;
  state.asking?.abort();
  const asking = (state.asking = new AbortController());
  document.body.classList.add("busy");
  at("problem").hidden = true;
  at("progress").hidden = requests.length < 2;
  say("Reading …");
  const started = performance.now();
  try {
    const { given, bad, problems } = await askAll(requests, asking.signal, (done) => {
      at("progress").value = done / requests.length;
      if (requests.length > 1) say(`${done.toLocaleString("en")} of ${count(requests.length, "request")} done …`);
    });
    for (const item of bad.slice(0, 20)) problems.push(`${item.position || "A record"}: ${item.reason}`);
    tell(problems.map(sentence));
    if (!given.length) return say("");
    show(given.map(fromService));
    const seconds = (performance.now() - started) / 1000;
    const unread = bad.length ? `, ${count(bad.length, "record")} not readable` : "";
    say(`${count(everyEntity().length, "mention")} in ${count(given.length, "document")}${unread} · ${seconds.toFixed(seconds < 1 ? 2 : 1)} s`);
  } catch (error) {
    if (error.name !== "AbortError") throw error;
  } finally {
    if (state.asking === asking) {
      document.body.classList.remove("busy");
      at("progress").hidden = true;
    }
  }
}

function tell(problems) {
  at("problem").textContent = problems.slice(0, 30).join("\n") + (problems.length > 30 ? `\n… and ${problems.length - 30} more.` : "");
  at("problem").hidden = !problems.length;
}

function show(documents) {
  state.documents = documents;
  Object.assign(state, { number: 0, current: null, chosen: null });
  at("input").hidden = true;
  at("result").hidden = at("new").hidden = false;
  draw();
  at("main").focus({ preventScroll: true });
  scrollTo(0, 0);
}

/** Read files: those that no format reads are told with advice, the others are sent, large ones in several requests. */
async function readFiles(files) {
  if (!files.length) return;
  const requests = [];
  for (const file of files) {
    const advice = adviceFor(file.name);
    const bodies = advice ? [null] : await bodiesOf(file);
    for (const body of bodies) {
      const ask = (signal) => (body ? annotateFile(body, state.model, signal) : Promise.reject(new Error(advice)));
      requests.push({ name: nameOf(file), ask });
    }
  }
  await annotate(requests);
}

async function save(format, button) {
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

function restart() {
  if (!mayLeave()) return;
  state.asking?.abort();
  at("problem").hidden = true;
  at("result").hidden = at("new").hidden = true;
  at("input").hidden = false;
  say("");
  at("text").focus();
}

const say = (text) => (at("status").textContent = text);
const sentence = (text) => text.charAt(0).toUpperCase() + text.slice(1) + (/[.!?]$/.test(text) ? "" : ".");

function askForKey() {
  const dialog = at("key-dialog");
  at("key").value = "";
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) =>
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "ok" ? at("key").value.trim() : ""), { once: true }),
  );
}

function listen() {
  at("form").addEventListener("submit", (event) => {
    event.preventDefault();
    const text = at("text").value;
    if (text.trim()) annotate([{ name: "", ask: (signal) => annotateText(text, state.model, signal) }]);
    else at("text").focus();
  });
  at("text").addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) at("form").requestSubmit();
  });
  at("example").addEventListener("click", () => {
    at("text").value = EXAMPLE;
    at("form").requestSubmit();
  });
  for (const id of ["file", "folder"]) {
    at(id).addEventListener("change", () => {
      const files = [...at(id).files].filter((file) => !file.name.startsWith("."));
      at(id).value = "";
      readFiles(files);
    });
  }
  at("go-on").addEventListener("click", () => {
    const documents = kept()?.documents.map(again) ?? [];
    at("kept").hidden = true;
    if (!documents.length) return;
    state.unsaved = true;
    show(documents);
    say("These are your corrections as you left them.");
  });
  at("discard").addEventListener("click", () => {
    discard();
    at("kept").hidden = true;
  });
  at("pmid-form").addEventListener("submit", (event) => {
    event.preventDefault();
    annotate([{ name: "", ask: (signal) => annotatePmid(at("pmid").value.trim(), state.model, signal) }]);
  });
  at("new").addEventListener("click", restart);
  at("model").addEventListener("change", () => (state.model = at("model").value));
  for (const name of ["dragover", "dragleave", "drop"]) {
    document.addEventListener(name, (event) => {
      event.preventDefault();
      document.body.classList.toggle("dropping", name === "dragover" && !at("input").hidden);
      if (name === "drop") dropped(event.dataTransfer).then(readFiles);
    });
  }
  at("types").addEventListener("change", (event) => {
    if (event.target.checked) state.hidden.delete(event.target.dataset.type);
    else state.hidden.add(event.target.dataset.type);
    draw();
  });
  at("confidence").addEventListener("input", () => {
    state.least = Number(at("confidence").value);
    at("confidence-value").textContent = state.least.toFixed(2);
    draw();
  });
  at("document").addEventListener("click", (event) => {
    const button = event.target.closest(".tag");
    if (button) return choose(Number(button.dataset.key), true);
    if (state.chosen) return;
    const keys = event.target.closest(".seg")?.dataset.keys.split(" ").map(Number);
    // A click on what is chosen already goes on to the mention around it.
    choose(keys ? keys[(keys.indexOf(state.current) + 1) % keys.length] : null, true);
  });
  at("close").addEventListener("click", () => choose(null));
  document.addEventListener("selectionchange", () => {
    if (!now() || at("result").hidden) return;
    const place = selectedPlace(at("document"));
    const chosen = place && trimmed(now().text, ...place);
    if (!chosen && at("side").contains(document.activeElement)) return;
    state.chosen = chosen;
    drawSelection();
  });
  at("mark").addEventListener("click", () => {
    const entity = newEntity(now(), ...state.chosen, at("selection-type").value);
    state.chosen = null;
    getSelection().removeAllRanges();
    state.hidden.delete(entity.type);
    edit([...now().entities, entity], entity.key);
    choose(entity.key, true);
  });
  at("move").addEventListener("click", () => {
    const spans = [[...state.chosen]];
    state.chosen = null;
    getSelection().removeAllRanges();
    replaceCurrent({ spans });
  });
  at("details-type").addEventListener("change", () => replaceCurrent({ type: at("details-type").value }));
  for (const button of document.querySelectorAll("[data-edge]")) {
    button.addEventListener("click", () => moveEdge(button.dataset.edge, Number(button.dataset.by)));
  }
  at("remove").addEventListener("click", remove);
  at("undo").addEventListener("click", () => undo(now()) && changed());
  at("redo").addEventListener("click", () => redo(now()) && changed());
  at("selection-type").addEventListener("keydown", (event) => {
    if (event.key !== "Enter" && event.key !== "Escape") return;
    event.preventDefault();
    if (event.key === "Enter") at("mark").click();
    else at("main").focus({ preventScroll: true });
  });
  at("export").addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (button) save(button.dataset.format, button);
  });
  at("document-list").addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    Object.assign(state, { number: Number(button.dataset.number), current: null, chosen: null });
    draw();
  });
  document.addEventListener("keydown", keyboard);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => now() && drawHistogram());
}

function keyboard(event) {
  if (at("result").hidden || event.target.closest("input, select, textarea, dialog")) return;
  const control = event.ctrlKey || event.metaKey;
  if (control && (event.key === "y" || (event.key.toLowerCase() === "z" && event.shiftKey))) {
    if (redo(now())) changed();
  } else if (control && event.key === "z") {
    if (undo(now())) changed();
  } else if (control || event.altKey) return;
  else if (state.chosen && !event.target.closest("button, [role=button]:not(.tag)") && chooseWords(event)) return event.preventDefault();
  else if (event.shiftKey) return;
  else if (event.key === "a") takeWord();
  else if (event.key === "ArrowRight") step(1);
  else if (event.key === "ArrowLeft") step(-1);
  else if (event.key === "Delete" || event.key === "Backspace") remove();
  else if (event.target.closest(".tag") && (event.key === "Enter" || event.key === " ")) enter(event.target.closest(".tag"));
  else if (event.key === "Escape") choose(null);
  else return;
  event.preventDefault();
}

/** Select a word to be marked: the one behind the chosen mention, or the first. */
const takeWord = () => takeWords(wordFrom(now().text, currentEntity()?.spans.at(-1)[1] ?? 0));

function takeWords([start, end]) {
  if (!(start < end && selectPlace(at("document"), start, end))) return;
  state.chosen = [start, end];
  drawSelection();
}

/** What a key does to the selected words: arrows move them, with Shift take more or fewer, Enter goes to the type. */
function chooseWords(event) {
  const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  if (by) takeWords(movedWords(now().text, state.chosen, by, event.shiftKey));
  else if (event.key === "Enter") at("selection-type").focus();
  else if (event.key === "Escape") {
    getSelection().removeAllRanges();
    state.chosen = null;
    drawSelection();
  } else return false;
  return true;
}

/** Enter on a mention chooses it; on the chosen one it goes to its type. */
function enter(button) {
  const key = Number(button.dataset.key);
  if (key === state.current) at("details-type").focus();
  else choose(key, true);
}

async function start() {
  onKeyNeeded(askForKey);
  listen();
  const before = kept();
  at("kept").hidden = !before;
  if (before) at("kept-text").textContent = `Corrections of ${new Date(before.at).toLocaleString("en")} (${count(before.documents.length, "document")}) are kept in this browser.`;
  try {
    const service = await models();
    const known = service.models.filter((item) => item.tasks.includes("entities"));
    at("pmid-form").hidden = !service.pubmed;
    if (service.pubmed) at("leaves").textContent = "Only a PMID that you give is sent on, to PubMed.";
    if (!known.length)
      throw new Error("no model of this service finds entities, which is what this page shows; its other tasks are in /v1/openapi.json");
    state.types = known[0].default_types;
    state.model = known[0].name;
    at("model").replaceChildren(...known.map((item) => new Option(item.name, item.name)));
    at("model").addEventListener("change", () => (state.types = known[at("model").selectedIndex].default_types));
    at("model-choice").hidden = known.length < 2;
  } catch (error) {
    at("problem").textContent = sentence(error.message);
    at("problem").hidden = false;
  }
}

start();
