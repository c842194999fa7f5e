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

/** A file as the bodies of requests: of formats with a document a line or a block, some documents each. */
export async function bodiesOf(file) {
  if (file.size < CHARACTERS / 4 || /\.(gz|bz2|xz)$/i.test(file.name)) return [file];
  const text = await file.text();
  if (text.startsWith('{"') && /^\s*\{.*\}\s*\n\s*\{/.test(text)) return groups(text.split(/\r?\n/).filter((line) => line.trim()), "\n");
  if (/^[^|\t\n]{1,200}\|[ta]\|/.test(text)) return groups(text.split(/\r?\n(?:\s*\r?\n)+/).filter((block) => block.trim()), "\n\n");
  if (text.includes("<PubmedArticleSet") && !text.includes("<!ENTITY")) {
    const records = text.match(/<PubmedArticle[ >][^]*?<\/PubmedArticle>/g) ?? [];
    if (records.length) return groups(records, "\n", "<PubmedArticleSet>", "</PubmedArticleSet>");
  }
  return [file];
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
