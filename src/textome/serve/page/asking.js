// Several requests for one result: two at a time, patient with a busy service, and not ended by one that fails.

/**
 * The documents that requests `{ name, ask }` give, in their order; records that were quarantined; and what went wrong.
 * `tell` is called with how many are done. Throws only where `signal` ended them.
 */
export async function askAll(requests, signal, tell) {
  const answers = new Array(requests.length);
  const problems = [];
  const queue = requests.entries();
  let done = 0;
  async function some() {
    for (let next = queue.next(); !next.done; next = queue.next()) {
      const [index, { name, ask }] = next.value;
      try {
        answers[index] = await patiently(ask, signal);
      } catch (error) {
        if (error.name === "AbortError") throw error;
        problems.push(requests.length > 1 ? `${name}: ${error.message}` : error.message);
      }
      done += 1;
      tell(done);
    }
  }
  // While one is computed the next is sent.
  await Promise.all([some(), some()]);
  const given = answers.flatMap((answer, index) => (answer ? answer.documents.map((item) => named(item, requests[index].name)) : []));
  return { given, bad: answers.flatMap((answer) => answer?.quarantined ?? []), problems };
}

/** The answer to a request that is sent again while the service is busy. */
async function patiently(ask, signal) {
  for (let tries = 0; ; tries += 1) {
    try {
      return await ask(signal);
    } catch (error) {
      if (error.status !== 503 && error.status !== 429) throw error;
      if (tries === 20 || signal.aborted) throw error;
      await new Promise((resolve) => setTimeout(resolve, 1000));
    }
  }
}

/** A document of a file without ids is called by the file. */
// A text without an id has the name of its file, without the ending, from the service; here with its folder.
const named = (item, name) => (name && (!item.id || name.split("/").at(-1).startsWith(`${item.id}.`)) ? { ...item, id: name } : item);
