"""Names use the field's words, private ones too: those of the old dialect are gone."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

SOURCE = Path(__file__).resolve().parent.parent / "src" / "textome"
# Words that no name has. "connection_made" is a name of asyncio; "halvings" is a name of weights in bundles;
# a given name is a first name.
GONE = {
    "apart",
    "doubles",
    "facts",
    "found",
    "furthest",
    "given",
    "gives",
    "halvings",
    "its",
    "least",
    "longest",
    "lots",
    "made",
    "mine",
    "ours",
    "place",
    "places",
    "ruled",
    "said",
    "surest",
    "taken",
    "taught",
    "theirs",
    "told",
    "twin",
    "wanted",
}
ALLOWED = {"connection_made", "halvings", "is_given_name", "_is_sure_given_name"}


def names_of(tree: ast.AST) -> Iterator[str]:
    """Every name that a module binds: functions, classes, parameters, attributes and variables."""
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                yield node.name
            case ast.arg():
                yield node.arg
            case ast.Name(ctx=ast.Store()):
                yield node.id
            case ast.Attribute(ctx=ast.Store()):
                yield node.attr


def words(name: str) -> list[str]:
    """The words of a name, as `num_heads` and `NumHeads` have two."""
    return [word.lower() for word in re.split(r"_|(?<=[a-z])(?=[A-Z])", name) if word]


def test_no_name_has_a_word_of_the_old_dialect() -> None:
    counts: Counter[str] = Counter()
    for path in SOURCE.rglob("*.py"):
        for name in names_of(ast.parse(path.read_text(encoding="utf-8"))):
            if name not in ALLOWED:
                counts.update(f"{path.name}: {name}" for _ in set(words(name)) & GONE)
    assert counts == {}, "names with words that the field does not use"


def test_names_are_cut_into_words() -> None:
    tree = ast.parse(
        "class TwinModel:\n    field: int\n    def told(self, place): self._mine = 1\nLOTS = [its for its in ()]"
    )
    assert set(names_of(tree)) == {"TwinModel", "field", "told", "self", "place", "_mine", "LOTS", "its"}
    assert words("TwinModel") == ["twin", "model"]
    assert words("num_LOTS") == ["num", "lots"]
