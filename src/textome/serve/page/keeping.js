// Corrections outlive a reload: they are kept in this browser alone, from the first correction on until they are discarded.

const NAME = "textome-corrections";

/** Keep the documents; returns whether there was room for them. */
export function keep(documents) {
  const kept = documents.map(({ source, id, text, passages, entities, relations, done }) => ({ source, id, text, passages, entities, relations, done }));
  try {
    localStorage.setItem(NAME, JSON.stringify({ at: Date.now(), documents: kept }));
    return true;
  } catch {
    return false;
  }
}

/** What is kept, as { at, documents }, or null. */
export function kept() {
  try {
    const value = JSON.parse(localStorage.getItem(NAME));
    return Array.isArray(value?.documents) && value.documents.length ? value : null;
  } catch {
    return null;
  }
}

export function discard() {
  localStorage.removeItem(NAME);
}
