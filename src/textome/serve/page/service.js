// The interface under /v1. Errors come as problem documents; their `detail` is what a person is shown.

export class Problem extends Error {
  constructor(problem) {
    super(problem.detail ?? "the service gave no reason");
    this.status = problem.status;
  }
}

export async function models() {
  return (await ask("v1/models", {})).json();
}

export async function annotateText(text, model, signal) {
  const body = JSON.stringify({ text, model });
  return (await ask("v1/annotate", { method: "POST", body, headers: { "Content-Type": "application/json" }, signal })).json();
}

export async function annotateFile(file, name, model, signal) {
  const path = `v1/annotate/file?${new URLSearchParams({ model, name: name.slice(-200) })}`;
  return (await ask(path, { method: "POST", body: file, headers: { "Content-Type": "application/octet-stream" }, signal })).json();
}

export async function annotatePmid(pmid, model, signal) {
  return (await ask(`v1/annotate/pmid/${encodeURIComponent(pmid)}?${new URLSearchParams({ model })}`, { signal })).json();
}

/** A file as it is, with the annotations that it has. */
export async function readFile(file, name, signal) {
  const path = `v1/convert/file?${new URLSearchParams({ name: name.slice(-200) })}`;
  return (await ask(path, { method: "POST", body: file, headers: { "Content-Type": "application/octet-stream" }, signal })).json();
}

/** The documents written in `format`, as a blob with the name of a file. */
export async function convert(documents, format) {
  const body = JSON.stringify({ documents, format });
  const response = await ask("v1/convert", { method: "POST", body, headers: { "Content-Type": "application/json" } });
  const name = /filename="([^"]+)"/.exec(response.headers.get("Content-Disposition") ?? "")?.[1] ?? `textome.${format}`;
  return { blob: await response.blob(), name };
}

/** The agreement of two annotators' documents. */
export async function compare(first, second) {
  const body = JSON.stringify({ first, second });
  return (await ask("v1/compare", { method: "POST", body, headers: { "Content-Type": "application/json" } })).json();
}

/** What a model writes: the texts of each prompt. */
export async function write(request, signal) {
  const body = JSON.stringify(request);
  return (await ask("v1/generate", { method: "POST", body, headers: { "Content-Type": "application/json" }, signal })).json();
}

/** The concepts that a typed text may mean: of this type of entity, or, where no vocabulary has the type, of any. */
export async function lookUp(typed, type, signal) {
  for (const chosen of type ? [{ type }, {}] : [{}]) {
    try {
      const path = `v1/lookup?${new URLSearchParams({ q: typed.slice(0, 200), limit: 12, ...chosen })}`;
      const { concepts } = await (await ask(path, { signal })).json();
      if (concepts.length || !chosen.type) return concepts;
    } catch (error) {
      if (!chosen.type || (error.status !== 400 && error.status !== 422)) throw error;
    }
  }
  return [];
}

let askForKey = async () => "";
/** `ask` gives the key that a person types, or an empty text. */
export function onKeyNeeded(ask) {
  askForKey = ask;
}

async function ask(path, options) {
  for (;;) {
    const key = sessionStorage.getItem("textome-key");
    const headers = { ...options.headers, ...(key ? { Authorization: `Bearer ${key}` } : {}) };
    let response;
    try {
      response = await fetch(path, { ...options, headers });
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new Problem({ detail: "the service does not answer; is it still running?" });
    }
    if (response.ok) return response;
    const problem = await response.json().catch(() => ({ detail: `the service answered ${response.status}` }));
    if (response.status !== 401) throw new Problem({ ...problem, status: response.status });
    const typed = await askForKey();
    if (!typed) throw new Problem(problem);
    sessionStorage.setItem("textome-key", typed);
  }
}
