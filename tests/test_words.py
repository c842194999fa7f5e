"""Public names use the field's words: those of the old dialect are gone."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

SOURCE = Path(__file__).resolve().parent.parent / "src" / "textome"
# Words that no public name has. "connection_made" is a name of asyncio.
GONE = {
    "apart",
    "doubles",
    "facts",
    "found",
    "furthest",
    "halvings",
    "its",
    "lots",
    "made",
    "mine",
    "place",
    "places",
    "ruled",
    "surest",
    "taken",
    "taught",
    "told",
    "twin",
    "wanted",
}
ALLOWED = {"connection_made"}


def public_names(tree: ast.Module | ast.ClassDef) -> Iterator[str]:
    """Names of functions, classes, fields, constants and parameters of a module that do not begin with _."""
    for node in tree.body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            yield node.target.id
        elif isinstance(node, ast.Assign):
            yield from (target.id for target in node.targets if isinstance(target, ast.Name))
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            yield node.name
            if isinstance(node, ast.ClassDef):
                yield from public_names(node)
            else:
                yield from (argument.arg for argument in (*node.args.args, *node.args.kwonlyargs))


def words(name: str) -> list[str]:
    """The words of a name, as `num_heads` and `NumHeads` have two."""
    return [word.lower() for word in re.split(r"_|(?<=[a-z])(?=[A-Z])", name) if word]


def test_no_public_name_has_a_word_of_the_old_dialect() -> None:
    counts: Counter[str] = Counter()
    for path in SOURCE.rglob("*.py"):
        for name in public_names(ast.parse(path.read_text(encoding="utf-8"))):
            if not name.startswith("_") and name not in ALLOWED:
                counts.update(set(words(name)) & GONE)
    assert counts == {}, "names with words that the field does not use"


def test_names_are_cut_into_words() -> None:
    tree = ast.parse(
        "class TwinModel:\n    field: int\n    def told(self, place): ...\n    def _mine(self): ...\nLOTS = 1"
    )
    assert list(public_names(tree)) == ["TwinModel", "field", "told", "self", "place", "LOTS"]
    assert words("TwinModel") == ["twin", "model"]
    assert words("num_LOTS") == ["num", "lots"]
