// Files that a person opens: those of folders too, cut into requests that each are done soon, and advice for what cannot be read.

const DOCUMENTS = 20; // of a request
const CHARACTERS = 60_000;
const ADVICE = {
  docx: "a Word file; save it as plain text (.txt, UTF-8) and open that",
  doc: "a Word file; save it as plain text (.txt, UTF-8) and open that",
  odt: "a text document of an office program; save it as plain text (.txt, UTF-8) and open that",
  rtf: "rich text; save it as plain text (.txt, UTF-8) and open that",
  xlsx: "a spreadsheet; save it as CSV (UTF-8), with a column called text, and open that",
  xls: "a spreadsheet; save it as CSV (UTF-8), with a column called text, and open that",
  ods: "a spreadsheet; save it as CSV (UTF-8), with a column called text, and open that",
  pptx: "slides; save their text as .txt and open that",
  pdf: "a PDF, in which the order of the text is a guess; take the article's XML from PubMed Central, or save it as text",
  zip: "an archive; unpack it and open the folder",
  tar: "an archive; unpack it and open the folder",
  png: "a picture; this page reads text",
  jpg: "a picture; this page reads text",
};

/** What a file is that the service cannot read, by its name, and what to do; empty where there is nothing to say. */
export function adviceFor(name) {
  const ending = name.toLowerCase().split(".").at(-1);
  return ADVICE[ending] ? `this is ${ADVICE[ending]}` : "";
}

/** The files of a drop with those of its folders, each with its `path`. */
export async function dropped(transfer) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.length) return [...transfer.files];
  return (await Promise.all(entries.map((entry) => filesOf(entry)))).flat();
}

async function filesOf(entry) {
  if (entry.name.startsWith(".")) return [];
  if (entry.isFile) {
    const file = await new Promise((resolve, reject) => entry.file(resolve, reject));
    file.path = entry.fullPath.replace(/^\//, "");
    return [file];
  }
  const reader = entry.createReader();
  const found = [];
  for (;;) {
    // A folder gives its entries a hundred at a time.
    const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (!some.length) break;
    found.push(...some);
  }
  found.sort((a, b) => a.name.localeCompare(b.name, "en", { numeric: true }));
  return (await Promise.all(found.map((item) => filesOf(item)))).flat();
}

export const nameOf = (file) => file.path || file.webkitRelativePath || file.name;

/** A file as the bodies of requests: of formats that keep documents apart, some documents each. */
export async function bodiesOf(file) {
  if (file.size < CHARACTERS / 4 || /\.(gz|bz2|xz|parquet)$/i.test(file.name)) return [file];
  const text = await file.text();
  for (const cut of [lines, blocks, citations, bioc, biocJson, rows]) {
    const bodies = cut(text, file.name);
    if (bodies?.length) return bodies;
  }
  return [file];
}

const isJsonLines = (text) => text.startsWith('{"') && /^\s*\{.*\}\s*\n\s*\{/.test(text);
const lines = (text) => isJsonLines(text) && groups(text.split(/\r?\n/).filter((line) => line.trim()), "\n");

/** PubTator, MEDLINE and RIS. */
function blocks(text) {
  const between = /^[^|\t\n]{1,200}\|[ta]\|/.test(text)
    ? /\r?\n(?:\s*\r?\n)+/
    : /^\s*PMID- /.test(text)
      ? /(?<=\n)(?=PMID- )/
      : /^\s*TY {2}- /.test(text)
        ? /(?<=\n)(?=TY {2}- )/
        : null;
  return between && groups(text.split(between).filter((block) => block.trim()), "\n\n");
}

function citations(text) {
  const records = text.includes("<PubmedArticleSet") && !text.includes("<!ENTITY") && text.match(/<PubmedArticle[ >][^]*?<\/PubmedArticle>/g);
  return records && groups(records, "\n", "<PubmedArticleSet>", "</PubmedArticleSet>");
}

function bioc(text) {
  const first = text.search(/<document[ >]/);
  if (first < 0 || !text.slice(0, first).includes("<collection") || text.includes("<!ENTITY")) return null;
  return groups(text.match(/<document[ >][^]*?<\/document>/g) ?? [], "\n", text.slice(0, first), "</collection>");
}

function biocJson(text) {
  if (!text.startsWith("{") || !text.includes('"passages"')) return null;
  try {
    const { documents, ...rest } = JSON.parse(text);
    const before = `${JSON.stringify(rest).slice(0, -1)}${Object.keys(rest).length ? "," : ""}"documents":[`;
    return Array.isArray(documents) && groups(documents.map((item) => JSON.stringify(item)), ",", before, "]}");
  } catch {
    return null; // the service says what is wrong with it
  }
}

/** The rows of a table, each with the lines of its quoted cells, below its header. */
function rows(text, name) {
  if (!/\.(csv|tsv)$/i.test(name)) return null;
  const records = [];
  let record = "";
  for (const line of text.split(/\r?\n/)) {
    record = record ? `${record}\n${line}` : line;
    if ((record.match(/"/g)?.length ?? 0) % 2) continue;
    if (record.trim()) records.push(record);
    record = "";
  }
  if (record) return null; // a quotation mark that none closes
  return groups(records.slice(1), "\n", `${records[0]}\n`);
}

function groups(items, between, before = "", after = "") {
  const bodies = [];
  let some = [];
  let size = 0;
  for (const item of items) {
    if (some.length && (some.length === DOCUMENTS || size + item.length > CHARACTERS)) {
      bodies.push(new Blob([before, some.join(between), after]));
      some = [];
      size = 0;
    }
    some.push(item);
    size += item.length;
  }
  if (some.length) bodies.push(new Blob([before, some.join(between), after]));
  return bodies;
}
