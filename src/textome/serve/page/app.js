// The page: what is given to it, and how it begins.

import { askAll } from "./asking.js";
import { forgetOther } from "./comparing.js";
import { listenToDesk } from "./desk.js";
import { again, fromService } from "./documents.js";
import { draw } from "./drawing.js";
import { mayLeave } from "./editing.js";
import { drawFormats } from "./exporting.js";
import { adviceFor, bodiesOf, dropped, nameOf } from "./files.js";
import { forget } from "./history.js";
import { discard, kept } from "./keeping.js";
import { annotateFile, annotatePmid, annotateText, models, onKeyNeeded, readFile } from "./service.js";
import { allTypes, at, count, everyEntity, say, sentence, state } from "./state.js";
import { listenToWriting, offerWriting } from "./writing.js";

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
  Object.assign(state, { documents, number: 0, current: null, relation: null, relating: null, chosen: null, types: state.modelTypes });
  state.types = allTypes();
  forget();
  forgetOther();
  at("start").hidden = true;
  at("result").hidden = at("new").hidden = false;
  draw();
  at("main").focus({ preventScroll: true });
  scrollTo(0, 0);
}

/** Read files: those that no format reads are told with advice, the others are sent, large ones in several requests. */
async function readFiles(files) {
  if (!files.length) return;
  const requests = [];
  const asIs = at("as-is").checked;
  for (const file of files) {
    const advice = adviceFor(file.name);
    const bodies = advice ? [null] : await bodiesOf(file);
    for (const body of bodies) {
      const ask = (signal) => (!body ? Promise.reject(new Error(advice)) : asIs ? readFile(body, file.name, signal) : annotateFile(body, file.name, state.model, signal));
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
  at("start").hidden = false;
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
      document.body.classList.toggle("dropping", name === "dragover" && !at("start").hidden && !at("input").hidden);
      if (name === "drop") dropped(event.dataTransfer).then(readFiles);
    });
  }
}

async function start() {
  onKeyNeeded(askForKey);
  listen();
  listenToDesk();
  listenToWriting();
  const before = kept();
  at("kept").hidden = !before;
  if (before) at("kept-text").textContent = `Corrections of ${new Date(before.at).toLocaleString("en")} (${count(before.documents.length, "document")}) are kept in this browser.`;
  try {
    const service = await models();
    drawFormats(service.formats);
    state.relationTypes = service.models.flatMap((item) => item.heads).filter((head) => head.kind.endsWith("relations")).flatMap((head) => head.labels);
    const known = service.models.filter((item) => item.tasks.includes("entities"));
    at("pmid-form").hidden = !service.pubmed;
    if (service.pubmed) at("leaves").textContent = "Only a PMID that you give is sent on, to PubMed.";
    const writes = offerWriting(service.models);
    at("input").hidden = !known.length;
    if (!known.length && writes) return;
    if (!known.length)
      throw new Error("no model of this service finds entities or writes, which is what this page is for; its other tasks are in /v1/openapi.json");
    state.modelTypes = known[0].default_types;
    state.model = known[0].name;
    at("model").replaceChildren(...known.map((item) => new Option(item.name, item.name)));
    at("model").addEventListener("change", () => (state.modelTypes = known[at("model").selectedIndex].default_types));
    at("model-choice").hidden = known.length < 2;
  } catch (error) {
    at("problem").textContent = sentence(error.message);
    at("problem").hidden = false;
  }
}

start();
