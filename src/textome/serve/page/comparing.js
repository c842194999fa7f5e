// Two annotators compared: another person's file of the same documents, the agreement, and where the two differ.

import { askAll } from "./asking.js";
import { fromService, toService } from "./documents.js";
import { choose, open } from "./editing.js";
import { adviceFor, bodiesOf, nameOf } from "./files.js";
import { element, selectPlace } from "./reading.js";
import { compare, readFile } from "./service.js";
import { at, count, isShown, now, say, sentence, state } from "./state.js";
import { drawSelection } from "./drawing.js";

let differences = [];

const number = (value) => (value == null ? "undefined" : value.toFixed(3));

/** Read the other annotator's files as they are, and compare. */
async function readOther(files) {
  if (!files.length) return;
  say("Reading …");
  const requests = [];
  for (const file of files) {
    const advice = adviceFor(file.name);
    for (const body of advice ? [null] : await bodiesOf(file)) {
      const ask = (signal) => (body ? readFile(body, file.name, signal) : Promise.reject(new Error(advice)));
      requests.push({ name: nameOf(file), ask });
    }
  }
  const { given, bad, problems } = await askAll(requests, new AbortController().signal, () => {});
  for (const item of bad) problems.push(`${item.position || "A record"}: ${item.reason}`);
  at("compare-problem").textContent = problems.slice(0, 5).map(sentence).join("\n");
  at("compare-problem").hidden = !problems.length;
  say("");
  if (!given.length) return;
  state.other = given;
  await compareAgain();
}

async function compareAgain() {
  try {
    const result = await compare(state.documents.map((item) => toService(item, isShown)), state.other);
    show(result);
    say(`F1 ${number(result.mentions.f1)}, kappa ${number(result.kappa)}`);
  } catch (error) {
    at("compare-problem").textContent = sentence(error.message);
    at("compare-problem").hidden = false;
  }
}

function show(result) {
  at("agreement").hidden = at("compare-again").hidden = false;
  at("agreement-f1").textContent = number(result.mentions.f1);
  at("agreement-kappa").textContent = number(result.kappa);
  at("agreement-annotated").textContent = number(result.annotated_kappa);
  const missing = result.missing.length ? `, ${count(result.missing.length, "document")} of one alone left out` : "";
  at("agreement-documents").textContent = `${count(result.documents, "document")} compared${missing}.`;
  const rows = Object.entries(result.types).map(([type, scores]) => {
    const row = element("tr");
    const head = element("th", "", type);
    head.scope = "row";
    row.append(head, ...[scores.f1.toFixed(2), scores.both, scores.first_only, scores.second_only].map((value) => element("td", "", String(value))));
    return row;
  });
  at("agreement-types").replaceChildren(...rows);
  differences = result.disagreements;
  const more = result.more_disagreements ? [element("li", "hint", `… and ${result.more_disagreements.toLocaleString("en")} more`)] : [];
  at("disagreements").replaceChildren(...differences.map(difference), ...more);
}

function difference(item, index) {
  const button = element("button");
  button.type = "button";
  button.dataset.index = index;
  const said = `you: ${item.first || "no mention"}; the other: ${item.second || "no mention"}`;
  button.append(element("span", "name", item.text.slice(0, 200)), element("span", "hint", said));
  const row = element("li");
  row.append(button);
  return row;
}

/** Go to a difference: to one's own mention, or to the words that the other has marked, with the other's type. */
function go({ document: id, spans, first, second }) {
  const index = state.documents.findIndex((item) => item.id === id);
  if (index < 0) return;
  open(index);
  // Offsets of the service count code points.
  const value = fromService({ ...now().source, id, entities: [{ type: second, spans }] });
  const place = value.entities[0].spans;
  const mine = first && now().entities.find((entity) => JSON.stringify(entity.spans) === JSON.stringify(place));
  if (mine) return choose(mine.key, true);
  const [start, end] = [place[0][0], place.at(-1)[1]];
  selectPlace(at("document"), start, end);
  state.chosen = [start, end];
  drawSelection();
  const types = at("selection-type");
  if (![...types.options].some((option) => option.value === second)) types.add(new Option(second));
  types.value = second;
  types.focus();
}

export function forgetOther() {
  state.other = null;
  for (const id of ["agreement", "compare-again", "compare-problem"]) at(id).hidden = true;
}

export function listenToComparing() {
  at("other").addEventListener("change", () => {
    const files = [...at("other").files];
    at("other").value = "";
    readOther(files);
  });
  at("compare-again").addEventListener("click", compareAgain);
  at("disagreements").addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (button) go(differences[Number(button.dataset.index)]);
  });
}
