// Relations: curves over the text between their mentions, a list of them, and what a person does to them.

import { corrected, newRelation, textOf } from "./documents.js";
import { changed, choose } from "./editing.js";
import { draw } from "./drawing.js";
import { change } from "./history.js";
import { element } from "./reading.js";
import { at, currentEntity, isShown, now, say, state } from "./state.js";

const MOST_DRAWN = 150;
const MOST_LISTED = 500;
const SVG = "http://www.w3.org/2000/svg";

const current = () => now()?.relations.find((relation) => relation.key === state.relation);
const nodeOf = (id) => now().entities.find((item) => item.id === id) ?? now().relations.find((item) => item.id === id);
const ends = (relation) => (relation.arguments ?? []).map(([role, id]) => ({ role, node: nodeOf(id) })).filter((item) => item.node);
const nameOf = (node) => (node.spans ? textOf(now(), node) : node.type);
const isEnd = (relation, entity) => entity && (relation.arguments ?? []).some(([, id]) => id === entity.id);
/** Relations whose mentions are shown. */
const shown = () => now().relations.filter((relation) => ends(relation).every(({ node }) => !node.spans || isShown(node)));

export function drawRelations() {
  const list = shown();
  if (!list.some((relation) => relation.key === state.relation)) state.relation = null;
  const mine = list.filter((relation) => isEnd(relation, currentEntity()));
  const first = mine.length ? [...mine, ...list.filter((relation) => !mine.includes(relation))] : list;
  const focused = document.activeElement?.closest?.("#relation-list button")?.dataset.relation;
  at("relation-list").replaceChildren(...first.slice(0, MOST_LISTED).map((relation) => row(relation, mine.includes(relation))));
  if (focused) at("relation-list").querySelector(`[data-relation="${focused}"]`)?.focus();
  const more = list.length - MOST_LISTED;
  const relating = now().entities.find((item) => item.key === state.relating);
  at("relation-hint").textContent = relating
    ? `Choose the mention that “${textOf(now(), relating)}” is related to: click it, or go there with the arrows and press Enter. Escape ends this.`
    : more > 0
      ? `… and ${more.toLocaleString("en")} more.`
      : "Choose a mention and press R, or “Relate …”, to relate it to another.";
  at("relation-hint").classList.toggle("asking", Boolean(relating));
  drawEditor();
  drawCurves();
}

function row(relation, isMine) {
  const button = element("button", isMine ? "mine" : "");
  button.type = "button";
  button.dataset.relation = relation.key;
  button.setAttribute("aria-pressed", String(relation.key === state.relation));
  const [head, ...rest] = ends(relation);
  const others = rest.map(({ node }) => nameOf(node)).join(", ");
  button.append(element("span", "name", head ? nameOf(head.node) : "?"), element("span", "link", `${relation.type || "related"} →`), element("span", "name", others));
  const item = element("li");
  item.append(button);
  return item;
}

function drawEditor() {
  const relation = current();
  at("relation-editor").hidden = !relation;
  const types = new Set([...state.relationTypes, ...state.documents.flatMap((item) => item.relations.map((one) => one.type))]);
  at("relation-types").replaceChildren(...[...types].filter(Boolean).slice(0, 200).map((type) => new Option(type)));
  if (!relation) return;
  if (document.activeElement !== at("relation-type")) at("relation-type").value = relation.type;
  const sure = relation.confidence == null ? "set by a person" : `confidence ${relation.confidence.toFixed(3)}`;
  at("relation-about").textContent = `${ends(relation).map(({ role, node }) => `${role || "argument"}: ${nameOf(node)}`).join(" · ")} · ${sure}`;
}

/** Curves from the first argument to each other one. They are seen only: the list says the same. */
export function drawCurves() {
  const board = at("curves");
  const fragment = document.createDocumentFragment();
  const list = now() && !at("result").hidden ? shown() : [];
  const chosen = currentEntity();
  const strong = (relation) => relation.key === state.relation || isEnd(relation, chosen);
  const drawn = list.length > MOST_DRAWN ? list.filter(strong).slice(0, MOST_DRAWN) : list;
  const origin = board.getBoundingClientRect();
  for (const relation of drawn) {
    const [head, ...rest] = ends(relation).map(({ node }) => pointOf(node, origin));
    for (const tail of rest) if (head && tail) fragment.append(...curve(head, tail, relation, strong(relation)));
  }
  board.replaceChildren(fragment);
}

function pointOf(node, origin) {
  const stretch = node.spans && at("document").querySelector(`[data-keys~="${node.key}"]`);
  if (!stretch) return null;
  const box = stretch.getClientRects()[0];
  return box && { x: box.left + Math.min(box.width, 60) / 2 - origin.left, y: box.top - origin.top };
}

function curve(head, tail, relation, isStrong) {
  // Within the space between two lines where both are in one.
  const height = Math.min(19, 8 + Math.abs(tail.x - head.x) * 0.06);
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", `M${head.x} ${head.y} C${head.x} ${head.y - height} ${tail.x} ${tail.y - height} ${tail.x} ${tail.y}`);
  path.setAttribute("class", isStrong ? "curve strong" : "curve");
  const end = document.createElementNS(SVG, "circle");
  for (const [name, value] of [["cx", tail.x], ["cy", tail.y], ["r", 3]]) end.setAttribute(name, value);
  end.setAttribute("class", isStrong ? "curve-end strong" : "curve-end");
  if (relation.key !== state.relation) return [path, end];
  const name = document.createElementNS(SVG, "text");
  name.setAttribute("x", (head.x + tail.x) / 2);
  name.setAttribute("y", (head.y + tail.y) / 2 - height * 0.75 + 3);
  name.textContent = relation.type.length > 30 ? `${relation.type.slice(0, 29)}…` : relation.type;
  return [path, end, name];
}

export function chooseRelation(key) {
  state.relation = state.relation === key ? null : key;
  const head = current() && ends(current())[0]?.node;
  if (head?.spans) {
    state.current = head.key;
    at("document").querySelector(`.tag[data-key="${head.key}"]`)?.scrollIntoView({ block: "nearest" });
  }
  draw();
}

/** Begin a relation at the chosen mention; the next mention that is chosen ends it. */
export function relate() {
  if (!currentEntity()) return say("Choose the mention that the relation begins at.");
  state.relating = state.current;
  draw();
  return say("Choose the other mention.");
}

/** Does choosing the mention of this key end a relation that was begun? Then it is there. */
export function relateTo(key) {
  const head = now().entities.find((item) => item.key === state.relating);
  const tail = now().entities.find((item) => item.key === key);
  if (!head || !tail || head === tail) return false;
  const last = now().relations.at(-1)?.type ?? state.documents.flatMap((item) => item.relations).at(-1)?.type;
  const relation = newRelation(now(), last || state.relationTypes[0] || "related_to", head, tail);
  state.relating = null;
  change([[now(), { relations: [...now().relations, relation] }]]);
  state.current = head.key;
  state.relation = relation.key;
  changed();
  at("relation-type").focus();
  at("relation-type").select();
  say("Related. Type what the relation is.");
  return true;
}

export function stopRelating() {
  if (state.relating === null) return false;
  state.relating = null;
  say("");
  draw();
  return true;
}

function replaceRelation(changes) {
  const relation = current();
  if (!relation) return;
  change([[now(), { relations: now().relations.map((item) => (item === relation ? corrected(item, changes) : item)) }]]);
  changed();
}

function removeRelation() {
  const relation = current();
  change([[now(), { relations: now().relations.filter((item) => item !== relation) }]]);
  changed();
  at("relations-title").focus();
}

export function listenToRelations() {
  at("relation-list").addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (button) chooseRelation(Number(button.dataset.relation));
  });
  at("relation-type").addEventListener("change", () => {
    const type = at("relation-type").value.trim();
    if (type && type !== current()?.type) replaceRelation({ type });
    else at("relation-type").value = current()?.type ?? "";
  });
  at("relation-type").addEventListener("keydown", (event) => {
    if (event.key !== "Enter" && event.key !== "Escape") return;
    event.preventDefault();
    if (event.key === "Escape") at("relation-type").value = current()?.type ?? "";
    at("relation-type").blur();
    choose(state.current, true);
  });
  at("relation-swap").addEventListener("click", () => {
    const items = current().arguments ?? [];
    // The roles stay where they are, the mentions change places.
    replaceRelation({ arguments: items.map(([role], index) => [role, items[items.length - 1 - index][1]]) });
  });
  at("relation-remove").addEventListener("click", removeRelation);
  at("relate").addEventListener("click", () => {
    relate();
    at("document").querySelector(".tag")?.focus();
  });
  new ResizeObserver(() => now() && drawCurves()).observe(at("document"));
}
