// The page: what the controls do.

import { again, fromService, newEntity, redo, trimmed, undo } from "./documents.js";
import { askAll } from "./asking.js";
import { draw, drawHistogram, drawSelection } from "./drawing.js";
import { changed, choose, edit, mayLeave, moveEdge, remove, replaceCurrent, save } from "./editing.js";
import { adviceFor, bodiesOf, dropped, nameOf } from "./files.js";
import { discard, kept } from "./keeping.js";
import { keyboard } from "./keyboard.js";
import { selectedPlace } from "./reading.js";
import { annotateFile, annotatePmid, annotateText, models, onKeyNeeded } from "./service.js";
import { at, count, everyEntity, now, say, sentence, state } from "./state.js";

const EXAMPLE =
  "A 58-year-old woman with rheumatoid arthritis and type 2 diabetes mellitus took methotrexate and metformin. " +
  "After eight weeks she had a dry cough and fever, and computed tomography showed interstitial lung disease. " +
  "Methotrexate was stopped and prednisolone begun; her symptoms went within ten days.\n\n" +
  "In mice that lack Il6, bleomycin-induced pulmonary fibrosis was milder, and TNF-α mRNA in alveolar macrophages " +
  "and in A549 cells fell by half.";

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
      const ask = (signal) => (body ? annotateFile(body, file.name, state.model, signal) : Promise.reject(new Error(advice)));
      requests.push({ name: nameOf(file), ask });
    }
  }
  await annotate(requests);
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
