"""The table `broader` of a query: of each concept in the results all broader concepts, by the trees of vocabularies."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import pyarrow as pa

from textome.vocabularies import BUNDLED, Vocabulary, open_vocabulary

SCHEMA = pa.schema(
    [("curie", pa.string()), ("broader", pa.string()), ("broader_label", pa.string()), ("steps", pa.int32())]
)


def broader_table(curies: Iterable[str], vocabularies: Sequence[str] = (BUNDLED,)) -> pa.Table:
    """Rows of a concept, a broader one, that one's label, and how many steps lie between them at least.

    A concept is also broader than itself, by 0 steps, so that one condition finds it and all below it. Of several
    vocabularies the first that has a concept counts. Raises InputError for an index that cannot be read.
    """
    tree = _Tree([open_vocabulary(path) for path in vocabularies])
    rows = [row for curie in sorted(curies) for row in tree.above(curie)]
    columns = [list(column) for column in zip(*rows, strict=True)] or [[] for _ in SCHEMA]
    return pa.table([pa.array(column, field.type) for column, field in zip(columns, SCHEMA, strict=True)], SCHEMA)


class _Tree:
    """Parents and labels of concepts, each looked up once."""

    def __init__(self, vocabularies: Sequence[Vocabulary]) -> None:
        self._vocabularies = vocabularies
        self._known: dict[str, tuple[str, tuple[str, ...]]] = {}

    def above(self, curie: str) -> Iterator[tuple[str, str, str, int]]:
        seen, level, steps = {curie}, [curie], 0
        while level:
            following = []
            for item in level:
                label, parents = self._entry(item)
                yield curie, item, label, steps
                following += [parent for parent in parents if parent not in seen]
                seen.update(parents)
            level, steps = list(dict.fromkeys(following)), steps + 1

    def _entry(self, curie: str) -> tuple[str, tuple[str, ...]]:
        if curie not in self._known:
            pairs = (vocabulary.find(curie) for vocabulary in self._vocabularies)
            section, number = next(filter(None, pairs), (None, 0))
            self._known[curie] = (section.label(number), tuple(section.parents(number))) if section else ("", ())
        return self._known[curie]
