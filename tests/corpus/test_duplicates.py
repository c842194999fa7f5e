"""Doubles: exact ones are always found, near ones as their similarity says, and the outcome depends on the order alone."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from corpus_texts import text
from textome.corpus import duplicates
from textome.corpus.duplicates import EXACT, KEPT, NEAR, Fingerprinter, find_duplicates
from textome.corpus.ledger import write_chunk


def verdicts_of(
    folder: Path, texts: Sequence[str], chunk: int = 1000, near: bool = True, group: int = duplicates.GROUP
) -> list[int]:
    fingerprinter = Fingerprinter(near)
    places, counts = [], []
    for start in range(0, len(texts), chunk):
        some = texts[start : start + chunk]
        fingerprinter.clear()
        for each in some:
            fingerprinter.add([each])
        places.append(folder / f"chunk-{start}")
        counts.append(len(some))
        write_chunk(places[-1], [("", [each]) for each in some], fingerprinter.fingerprints(), {})
    return find_duplicates(places, counts, group=group).tolist()


def with_changes(words: Sequence[str], number: int, generator: random.Random) -> str:
    changed = list(words)
    for place in generator.sample(range(len(words)), number):
        changed[place] = f"other{generator.randrange(10**6)}"
    return " ".join(changed)


def jaccard(first: str, second: str) -> float:
    a, b = (
        {tuple(t.split()[i : i + 5]) for i in range(len(t.split()) - 4)} for t in (first.casefold(), second.casefold())
    )
    return len(a & b) / len(a | b)


def test_the_same_words_are_exact_doubles(tmp_path: Path) -> None:
    texts = [text(1), text(2), text(1).upper(), text(1).replace(" ", "\n"), text(3), text(2) + "!"]
    assert verdicts_of(tmp_path, texts) == [KEPT, KEPT, EXACT, EXACT, KEPT, EXACT]
    assert verdicts_of(tmp_path, texts, near=False) == [KEPT, KEPT, EXACT, EXACT, KEPT, EXACT]


def test_near_doubles_are_found_by_their_similarity(tmp_path: Path) -> None:
    """At a threshold of 0.8, pairs of 0.9 and more are found nearly always, and those under 0.6 nearly never."""
    generator = random.Random(3)
    found, missed, wrong, right = 0, 0, 0, 0
    texts = []
    for _ in range(60):
        words = [f"word{generator.randrange(10**6)}" for _ in range(300)]
        texts += [" ".join(words), with_changes(words, 2, generator), with_changes(words, 25, generator)]
    verdicts = verdicts_of(tmp_path, texts)
    for start in range(0, len(texts), 3):
        assert jaccard(texts[start], texts[start + 1]) > 0.9
        assert jaccard(texts[start], texts[start + 2]) < 0.6
        assert verdicts[start] == KEPT
        found, missed = found + (verdicts[start + 1] == NEAR), missed + (verdicts[start + 1] == KEPT)
        right, wrong = right + (verdicts[start + 2] == KEPT), wrong + (verdicts[start + 2] == NEAR)
    assert found >= 58
    assert wrong <= 1


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(0, 6), max_size=20), st.integers(1, 7), st.integers(1, 5))
def test_chunks_and_groups_change_nothing(tmp_path: Path, seeds: list[int], chunk: int, group: int) -> None:
    texts = [text(seed) for seed in seeds]
    expected = [EXACT if seed in seeds[:place] else KEPT for place, seed in enumerate(seeds)]
    assert verdicts_of(tmp_path, texts) == expected
    assert verdicts_of(tmp_path, texts, chunk=chunk, group=group) == expected


def test_groups_find_the_same_near_doubles(tmp_path: Path) -> None:
    generator = random.Random(4)
    words = text(1, 20).split()
    texts = [with_changes(words, 2, generator) for _ in range(30)] + [text(seed, 20) for seed in range(2, 30)]
    whole = verdicts_of(tmp_path, texts)
    assert whole.count(NEAR) > 20
    assert verdicts_of(tmp_path, texts, chunk=7, group=5) == whole


def test_no_documents() -> None:
    assert find_duplicates([], []).tolist() == []


@pytest.mark.parametrize("length", [0, 1, 4, 5, 6])
def test_short_texts_have_fingerprints_too(tmp_path: Path, length: int) -> None:
    texts = [" ".join(f"w{n}" for n in range(length))] * 2
    assert verdicts_of(tmp_path, texts) == [KEPT, EXACT]


def test_signatures_are_the_same_in_every_run() -> None:
    fingerprinter = Fingerprinter(near=True)
    fingerprinter.add(["Gout hurts in the morning and in the evening."])
    fingerprints = fingerprinter.fingerprints()
    assert fingerprints.signatures.shape == (1, 128)
    assert fingerprints.bands.shape[1] == 1
    assert int(fingerprints.signatures.sum()) == int(np.array(fingerprints.signatures, np.uint64).sum())
    again = Fingerprinter(near=True)
    again.add(["Gout hurts in the morning", "and in the evening."])
    assert (again.fingerprints().signatures == fingerprints.signatures).all()
