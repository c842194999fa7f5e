"""Replaced mentions: labels stay exact, everything else stays as it was."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from textome.errors import InputError
from textome.tasks.spans.iob import Mention
from textome.training.recipe import load_recipe
from textome.training.techniques.augmentation import names_of, read_lexicon, replace_mentions
from tiny import DISEASES, corpora_of, make_recipe

NAMES = {0: ["zebrafish", "Mus musculus", "𝒳 virus", ""], 1: ["x"]}


@st.composite
def annotated(draw):
    """A text with mentions that may touch, nest and cross."""
    text = draw(st.text(min_size=1, max_size=40))
    places = draw(st.lists(st.tuples(st.integers(0, len(text) - 1), st.integers(1, 6), st.integers(0, 2)), max_size=5))
    return text, tuple({Mention(start, min(start + length, len(text)), head) for start, length, head in places})


@given(annotated(), st.floats(0, 1), st.integers(0, 2**32))
def test_every_mention_still_covers_its_text_or_a_given_name(case, share, seed):
    text, mentions = case
    changed, moved = replace_mentions(text, mentions, NAMES, share, np.random.default_rng(seed))
    before = sorted(mentions, key=lambda mention: (mention.start, mention.end))
    assert [mention.head for mention in moved] == [mention.head for mention in before]
    for old, new in zip(before, moved, strict=True):
        found = changed[new.start : new.end]
        assert found == text[old.start : old.end] or found in NAMES[new.head]
    # What no mention covers has not changed.
    assert outside(changed, moved) == outside(text, before)


def outside(text: str, mentions) -> str:
    covered = {place for mention in mentions for place in range(mention.start, mention.end)}
    return "".join(letter for place, letter in enumerate(text) if place not in covered)


@given(annotated(), st.integers(0, 2**32))
def test_a_share_of_nothing_changes_nothing(case, seed):
    text, mentions = case
    changed, moved = replace_mentions(text, mentions, NAMES, 0.0, np.random.default_rng(seed))
    assert (changed, set(moved)) == (text, set(mentions))


def test_equal_mentions_get_one_name_and_crossing_ones_stay():
    text = "mice and mice of breast cancer cells"
    mentions = [Mention(0, 4, 0), Mention(9, 13, 0), Mention(17, 30, 1), Mention(24, 36, 1)]
    changed, moved = replace_mentions(text, mentions, {0: ["rats!"], 1: ["gone"]}, 1.0, np.random.default_rng(0))
    assert changed == "rats! and rats! of breast cancer cells"
    assert [changed[start:end] for start, end, _ in moved] == ["rats!", "rats!", "breast cancer", "cancer cells"]


def test_a_lexicon_gives_short_forms_of_binomials(tmp_path):
    path = tmp_path / "names.txt"
    path.write_text("# people\nboys\n\nMus musculus # the house mouse\n")
    assert read_lexicon(path) == ["boys", "Mus musculus", "M. musculus"]
    path.write_text("# nothing\n")
    with pytest.raises(InputError, match="holds no name"):
        read_lexicon(path)
    with pytest.raises(InputError, match="cannot be read"):
        read_lexicon(tmp_path / "missing.txt")


def test_a_recipe_reads_a_corpus_again_with_other_names(tmp_path):
    path = make_recipe(tmp_path)
    (tmp_path / "more.txt").write_text("scurvy\n")
    corpora = """corpora=[{name="d", train=["diseases.tsv"], types={Disease="Disease"}, repeat=3, replace_mentions=1.0,
        lexicon={Disease="more.txt"}}]"""
    recipe = load_recipe(path, [corpora.replace("\n", " ")])
    (data,) = corpora_of(recipe)
    plain = corpora_of(load_recipe(path, ['corpora=[{name="d", train=["diseases.tsv"], types={Disease="Disease"}}]']))
    count = len(plain[0].train)
    first, rest = data.train[:count], data.train[count:]
    assert first == plain[0].train
    assert len(rest) == 2 * sum(bool(sentence.mentions) for sentence in first)
    assert all(sentence.mentions for sentence in rest)
    assert {name for names in names_of((s.text, s.mentions) for s in first).values() for name in names} <= set(DISEASES)
    found = {name for names in names_of((s.text, s.mentions) for s in rest).values() for name in names}
    assert found == {*DISEASES, "scurvy"}
    assert corpora_of(recipe)[0].train == data.train
    assert "more.txt" in data.hashes


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ("replace_mentions=0.5", "needs repeat = 2"),
        ("lexicon={Disease='x'}", "a lexicon is for replace_mentions"),
        ("repeat=2, replace_mentions=0.5, lexicon={Virus='x'}", "'Virus', which is not in entities.types"),
    ],
)
def test_settings_that_contradict_each_other_are_errors(tmp_path, extra, message):
    path = make_recipe(tmp_path)
    with pytest.raises(InputError, match=message):
        load_recipe(path, [f'corpora=[{{name="d", train=["diseases.tsv"], types={{Disease="Disease"}}, {extra}}}]'])
