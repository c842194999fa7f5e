// The result as a file, in every format that the service writes.

import { toService } from "./documents.js";
import { element } from "./reading.js";
import { convert } from "./service.js";
import { at, isShown, say, sentence, state } from "./state.js";

const NAMES = {
  json: "JSON",
  jsonl: "JSON lines",
  "bioc-json": "BioC JSON",
  "bioc-xml": "BioC XML",
  pubtator: "PubTator",
  brat: "brat",
  conll: "CoNLL",
  csv: "CSV",
  omop: "OMOP",
  fhir: "FHIR",
  html: "HTML page",
};

export function drawFormats(formats) {
  const buttons = formats.map((format) => {
    const button = element("button", "quiet", NAMES[format] ?? format);
    button.type = "button";
    button.dataset.format = format;
    return button;
  });
  at("export").replaceChildren(...buttons);
}

async function save(format, button) {
  button.disabled = true;
  try {
    const { blob, name } = await convert(state.documents.map((item) => toService(item, isShown)), format);
    const link = element("a");
    link.href = URL.createObjectURL(blob);
    link.download = name;
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

export function listenToExport() {
  at("export").addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (button) save(button.dataset.format, button);
  });
}
