// The curator's desk: what the controls beside and around the document do.

import { listenToComparing } from "./comparing.js";
import { trimmed } from "./documents.js";
import { ATTRIBUTES, draw, drawHistogram, drawSelection } from "./drawing.js";
import { applyToSame, changed, choose, mark, markSame, moveEdge, open, remove, removeSame, replaceCurrent, toggleDone } from "./editing.js";
import { listenToExport } from "./exporting.js";
import { redo, undo } from "./history.js";
import { listenToIdentifiers } from "./identifiers.js";
import { keyboard } from "./keyboard.js";
import { selectedPlace } from "./reading.js";
import { listenToRelations, relateTo } from "./relations.js";
import { at, currentEntity, now, say, state } from "./state.js";

export function listenToDesk() {
  listenToDocument();
  listenToFilters();
  listenToDetails();
  listenToIdentifiers();
  listenToRelations();
  listenToComparing();
  listenToExport();
  document.addEventListener("keydown", keyboard);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => now() && drawHistogram());
}

function listenToDocument() {
  at("document").addEventListener("click", (event) => {
    const button = event.target.closest(".tag");
    if (button) return chooseOrRelate(Number(button.dataset.key));
    if (state.chosen) return null;
    const keys = event.target.closest(".seg")?.dataset.keys.split(" ").map(Number);
    // A click on what is chosen already goes on to the mention around it.
    return chooseOrRelate(keys ? keys[(keys.indexOf(state.current) + 1) % keys.length] : null);
  });
  document.addEventListener("selectionchange", () => {
    if (!now() || at("result").hidden) return;
    const span = selectedPlace(at("document"));
    const chosen = span && trimmed(now().text, ...span);
    if (!chosen && at("side").contains(document.activeElement)) return;
    state.chosen = chosen;
    drawSelection();
  });
  at("document-list").addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (button) open(Number(button.dataset.number));
  });
  at("previous").addEventListener("click", () => open(state.number - 1));
  at("next").addEventListener("click", () => open(state.number + 1));
  at("done").addEventListener("change", toggleDone);
}

const chooseOrRelate = (key) => (key !== null && relateTo(key) ? null : choose(key, true));

function listenToFilters() {
  at("types").addEventListener("change", (event) => {
    if (event.target.checked) state.hidden.delete(event.target.dataset.type);
    else state.hidden.add(event.target.dataset.type);
    draw();
  });
  at("type-form").addEventListener("submit", (event) => {
    event.preventDefault();
    const type = at("new-type").value.trim();
    at("new-type").value = "";
    if (!type || state.types.includes(type)) return;
    state.types = [...state.types, type];
    draw();
    say(state.types.length < 10 ? `${type} has the key ${state.types.length}` : `${type} added`);
  });
  at("confidence").addEventListener("input", () => {
    state.least = Number(at("confidence").value);
    at("confidence-value").textContent = state.least.toFixed(2);
    draw();
  });
  at("letters").checked = localStorage.getItem("textome-letters") !== "off";
  at("letters").addEventListener("change", () => localStorage.setItem("textome-letters", at("letters").checked ? "on" : "off"));
}

function listenToDetails() {
  at("close").addEventListener("click", () => choose(null));
  at("mark").addEventListener("click", () => mark(at("selection-type").value));
  at("move").addEventListener("click", () => {
    const spans = [[...state.chosen]];
    state.chosen = null;
    getSelection().removeAllRanges();
    replaceCurrent({ spans });
  });
  at("selection-type").addEventListener("keydown", (event) => {
    if (event.key !== "Enter" && event.key !== "Escape") return;
    event.preventDefault();
    if (event.key === "Enter") at("mark").click();
    else at("main").focus({ preventScroll: true });
  });
  at("details-type").addEventListener("change", () => replaceCurrent({ type: at("details-type").value }));
  at("details-type").addEventListener("keydown", (event) => {
    if (event.key === "Escape") choose(state.current, true);
  });
  for (const name of ATTRIBUTES) at(`attribute-${name}`).addEventListener("change", () => setAttribute(name));
  for (const button of document.querySelectorAll("[data-edge]")) {
    button.addEventListener("click", () => moveEdge(button.dataset.edge, Number(button.dataset.by)));
  }
  at("same-apply").addEventListener("click", applyToSame);
  at("same-mark").addEventListener("click", markSame);
  at("same-remove").addEventListener("click", removeSame);
  at("remove").addEventListener("click", remove);
  at("undo").addEventListener("click", () => undo() && changed());
  at("redo").addEventListener("click", () => redo() && changed());
}

function setAttribute(name) {
  const { [name]: _, ...rest } = currentEntity().attributes ?? {};
  replaceCurrent({ attributes: at(`attribute-${name}`).checked ? { ...rest, [name]: "true" } : rest });
}
