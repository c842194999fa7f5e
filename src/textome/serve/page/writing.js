// Texts that a model of the service writes behind a prompt, or as the answer of a text-to-text model.

import { write } from "./service.js";
import { at, count, say, sentence } from "./state.js";

let heads = []; // what the models that write can be asked for, as { model, prefix }
let asking = null;

/** Offer the form where one of the service's models writes; whether one does. */
export function offerWriting(models) {
  const writers = models.filter((item) => item.tasks.includes("generation"));
  heads = writers.flatMap((item) => item.heads.map((head) => ({ model: item.name, prefix: head.prefix ?? "", name: head.name })));
  const nameOf = (head) => (writers.length > 1 ? `${head.name} (${head.model})` : head.name);
  at("writer").replaceChildren(...heads.map((head, index) => new Option(nameOf(head), index)));
  at("writer-choice").hidden = heads.length < 2;
  at("writing").hidden = !heads.length;
  return heads.length > 0;
}

export function listenToWriting() {
  at("writing-form").addEventListener("submit", (event) => {
    event.preventDefault();
    writeOn(heads[at("writer").selectedIndex]);
  });
  at("prompt").addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) at("writing-form").requestSubmit();
  });
}

async function writeOn({ model, prefix }) {
  asking?.abort();
  const own = (asking = new AbortController());
  const prompt = at("prompt").value;
  const temperature = at("temperature").valueAsNumber;
  // What is drawn differs each time; the most probable text is always the same.
  const drawn = temperature > 0 ? { temperature, seed: Math.floor(Math.random() * 2 ** 32) } : {};
  at("problem").hidden = true;
  at("written").hidden = true;
  say("Writing …");
  try {
    const { results } = await write({ model, prompts: [prefix + prompt], max_new_tokens: at("most-tokens").valueAsNumber, ...drawn }, own.signal);
    const [text] = results[0];
    at("written-behind").textContent = prefix ? "" : prompt;
    at("written-text").textContent = text.text;
    at("written").hidden = false;
    say(`${count(text.num_tokens, "token")}${text.ended_by === "length" ? ", as many as were allowed" : ""}`);
  } catch (error) {
    if (error.name === "AbortError") return;
    say("");
    at("problem").textContent = sentence(error.message);
    at("problem").hidden = false;
  }
}
