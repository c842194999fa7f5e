"""`textome evaluate --task STEP`: score a step on annotated data; the only one that can be scored gives identifiers."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from textome.cli.streams import echo, finish, read_all, reported, say
from textome.errors import InputError

if TYPE_CHECKING:
    from textome.documents import Document
    from textome.evaluation.linking import LinkingScore

_ERRORS = 100
_COLUMNS = ("type", "mentions", "strict", "lenient", "seen", "unseen", "document F1", "no concept", "left alone")


def evaluate_step(
    step: str,
    data: Sequence[str],
    format: str | None,
    text_column: str | None,
    train: Sequence[str],
    settings: Sequence[str],
    report: Path | None,
    as_json: bool,
) -> None:
    """Score the identifiers that a step gives to the mentions of annotated documents."""
    from textome.evaluation.linking import link_gold_mentions, score_linking
    from textome.formats import Quarantine
    from textome.pipeline import setting
    from textome.steps import load_step

    own_settings = [setting(text) for text in settings]
    if other := [name for name, _, _ in own_settings if name != step]:
        raise InputError(f"--set {other[0]}: the settings of {step} are wanted here")
    loaded, quarantine = load_step(step, **{key: value for _, key, value in own_settings}), Quarantine()
    with reported(quarantine):
        documents = list(read_all(data, format, quarantine, text_column=text_column))
        started = time.monotonic()
        gold, linked = link_gold_mentions(loaded, documents)
        seconds = time.monotonic() - started
        scores = score_linking(gold, linked, str, _identifiers(read_all(train, format, quarantine)) if train else None)
        scores = {type: score for type, score in scores.items() if score.mentions or score.unlinkable}
        if not any(score.mentions for score in scores.values()):
            raise InputError(f"{', '.join(data)}: no mention has an identifier to compare with")
    if as_json:
        results = {type: score.as_dict() for type, score in scores.items()}
        echo(json.dumps({"step": step, "data": list(data), "seconds": seconds, "types": results}, indent=2))
    else:
        echo(" ".join(f"{name:>12}" for name in _COLUMNS))
        echo("\n".join(" ".join(f"{cell:>12}" for cell in _cells(type, score)) for type, score in scores.items()))
    if report:
        _write_report(report, scores, f"{step} on {', '.join(data)}")
        say(f"report: {report}")
    say(f"{len(documents):,} documents in {seconds:.1f} s")
    finish(quarantine, len(documents))


def _identifiers(documents: Iterable[Document]) -> dict[str, set[str]]:
    """The identifiers in documents, by type."""
    curies: dict[str, set[str]] = {}
    for document in documents:
        for entity in document.entities:
            curies.setdefault(entity.type, set()).update(entity.curies)
    return curies


def _cells(type: str, score: LinkingScore) -> list[str]:
    values = (score.strict, score.lenient, score.strict_seen, score.strict_unseen, score.document_f1)
    percents = [f"{100 * value:.2f}" for value in values]
    if not score.seen:
        percents[2:4] = ["-", "-"]
    return [type, f"{score.mentions:,}", *percents, f"{score.unlinkable:,}", f"{score.unlinked:,}"]


def _write_report(path: Path, scores: dict[str, LinkingScore], title: str) -> None:
    from textome.evaluation.html_parts import page, table, write_page

    rows: list[list[Any]] = [[escape(cell) for cell in _cells(*item)] for item in scores.items()]
    parts = [table(_COLUMNS, rows)]
    for type, score in scores.items():
        errors = [[escape(text) for text in (*key, str(count))] for key, count in score.errors.most_common(_ERRORS)]
        parts += [f"<h2>{escape(type)}: errors</h2>", table(("mention", "corpus", "found", "times"), errors)]
    write_page(path, page(title, parts))
