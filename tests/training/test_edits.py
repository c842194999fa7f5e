"""Synonyms, words left out, texts joined, tokens hidden: every mention keeps its text, its type and its order."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from captured import captured_job
from textome.encoders.layers.packing import Layout
from textome.errors import InputError
from textome.tasks.spans.iob import Mention
from textome.training.finetune import finetune
from textome.training.recipe import load_recipe
from textome.training.techniques.edits import Synonyms, drop_words, join, read_synonyms, replace_synonyms
from textome.training.techniques.token_masking import mask_tokens
from tiny import corpora_of, make_recipe
from tiny_tasks import make_task_recipe

SETS = [["shown", "demonstrated"], ["because of", "due to", "owing to"], ["ß", "SS x"], ["given", "taken"]]
WORDS = ["shown", "Because of", "DUE TO", "due", "to", "given", "taken.", "gout"]
WORDS += ["x\u00a0y", "\u1e9e", "ß", "ss", "SS x", "𝒳", "re-given"]


@st.composite
def annotated(draw: st.DrawFn) -> tuple[str, tuple[Mention, ...]]:
    """A text of words that have synonyms and others, with mentions that may touch, nest and cross."""
    text = draw(st.sampled_from(["", " "])) + draw(st.sampled_from([" ", "  ", "\t"])).join(
        draw(st.lists(st.sampled_from(WORDS), min_size=1, max_size=8))
    )
    text += draw(st.text(max_size=5))
    text = text or "x"
    places = draw(st.lists(st.tuples(st.integers(0, len(text) - 1), st.integers(1, 8), st.integers(0, 2)), max_size=4))
    return text, tuple(Mention(start, min(start + length, len(text)), head) for start, length, head in places)


def covered(text: str, mentions: Sequence[Mention]) -> list[tuple[str, int]]:
    assert all(0 <= mention.start < mention.end <= len(text) for mention in mentions)
    return [(text[mention.start : mention.end], mention.head) for mention in mentions]


def outside(text: str, mentions: Sequence[Mention]) -> str:
    inside = {place for mention in mentions for place in range(mention.start, mention.end)}
    return "".join("\0" if place in inside else letter for place, letter in enumerate(text))


seeds = st.integers(0, 2**32)
shares = st.sampled_from([0.0, 0.3, 1.0])


@given(annotated(), shares, seeds)
def test_synonyms_leave_mentions_as_they_are(case: tuple[str, tuple[Mention, ...]], share: float, seed: int) -> None:
    text, mentions = case
    synonyms = Synonyms(SETS)
    changed, moved = replace_synonyms(text, mentions, synonyms, share, np.random.default_rng(seed))
    assert covered(changed, moved) == covered(text, mentions)
    if share == 0.0:
        assert (changed, moved) == (text, mentions)
    if share == 1.0:
        free = [(start, end) for start, end, _ in synonyms.matches(text)
                if "\0" not in outside(text, mentions)[start:end]]  # fmt: skip
        assert (changed == text) == (not free)


@given(annotated(), shares, seeds)
def test_words_left_out_leave_mentions_and_one_word(
    case: tuple[str, tuple[Mention, ...]], share: float, seed: int
) -> None:
    text, mentions = case
    changed, moved = drop_words(text, mentions, share, np.random.default_rng(seed))
    assert covered(changed, moved) == covered(text, mentions)
    assert bool(changed.split()) == bool(text.split())
    kept = iter(text.split())
    assert all(any(word == other for other in kept) for word in changed.split()), "words stay whole and in order"
    if share == 0.0:
        assert (changed, moved) == (text, mentions)


@given(st.lists(annotated(), min_size=1, max_size=4))
def test_joined_texts_keep_all_mentions(cases: list[tuple[str, tuple[Mention, ...]]]) -> None:
    text, mentions = join(cases)
    assert text == " ".join(one for one, _ in cases)
    assert covered(text, mentions) == [item for case in cases for item in covered(*case)]


def test_synonyms_are_whole_words_in_the_case_of_the_old_ones() -> None:
    synonyms = Synonyms([["given", "taken"], ["due to", "because of"]])
    text = "Given drugs, forgiven and re-given, due to DUE TO pain"
    changed, moved = replace_synonyms(text, [Mention(50, 54, 0)], synonyms, 1.0, np.random.default_rng(0))
    assert changed == "Taken drugs, forgiven and re-taken, because of because of pain"
    assert changed[moved[0].start : moved[0].end] == "pain"


def test_a_file_of_synonyms_is_checked(tmp_path: Path) -> None:
    path = tmp_path / "synonyms.tsv"
    path.write_text("# sets\ngiven\ttaken\t administered # verbs\n\n", encoding="utf-8")
    assert read_synonyms(path).matches("given") == [(0, 5, ["taken", "administered"])]
    path.write_text("given\ttaken\nalone\n", encoding="utf-8")
    with pytest.raises(InputError, match="line 2: one name alone"):
        read_synonyms(path)
    path.write_text("# nothing\n", encoding="utf-8")
    with pytest.raises(InputError, match="no set of synonyms"):
        read_synonyms(path)
    with pytest.raises(InputError, match="cannot be read"):
        read_synonyms(tmp_path / "missing.tsv")


PLAIN = 'name="d", train=["diseases.tsv"], types={Disease="Disease"}'


def test_a_recipe_reads_a_corpus_again_with_all_changes(tmp_path: Path) -> None:
    path = make_recipe(tmp_path)
    (tmp_path / "synonyms.tsv").write_text("patients\tpeople\nno\tnot a single\n")
    plain = corpora_of(load_recipe(path, [f"corpora=[{{{PLAIN}}}]"]))[0].train
    more = 'repeat=2, synonyms="synonyms.tsv", replace_synonyms=1.0, drop_words=0.2, join=3'
    recipe = load_recipe(path, [f"corpora=[{{{PLAIN}, {more}}}]"])
    (data,) = corpora_of(recipe)
    assert data.train[: len(plain)] == plain
    rest = data.train[len(plain) :]
    assert len(rest) == -(-len(plain) // 3)
    names = sorted(s.text[m.start : m.end] for s in plain for m in s.mentions)
    assert sorted(s.text[m.start : m.end] for s in rest for m in s.mentions) == names
    words = " ".join(sentence.text for sentence in rest).split()
    assert "people" in words
    assert "patients" not in words
    assert len(words) < sum(len(sentence.text.split()) for sentence in plain)
    assert corpora_of(recipe)[0].train == data.train
    assert "synonyms.tsv" in data.hashes
    bundle = finetune(load_recipe(path, [f"corpora=[{{{PLAIN}, {more}}}]", "training.epochs=1"]), tmp_path / "run")
    assert str(tmp_path / "synonyms.tsv") not in (bundle / "textome.json").read_text()


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ("drop_words=0.5", "drop_words changes every reading but the first"),
        ("join=2", "join changes every reading but the first"),
        ("repeat=2, replace_synonyms=0.5", "need each other"),
        ("repeat=2, synonyms='x'", "need each other"),
    ],
)
def test_settings_that_contradict_each_other_are_errors(tmp_path: Path, extra: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        load_recipe(make_recipe(tmp_path), [f"corpora=[{{{PLAIN}, {extra}}}]"])


@given(st.lists(st.integers(3, 30), min_size=1, max_size=8), seeds)
def test_hidden_tokens_are_never_the_first_or_last_of_a_text(lengths: list[int], seed: int) -> None:
    torch.manual_seed(seed)
    ids, layout = torch.full((sum(lengths),), 7), Layout.of(lengths)
    masked = mask_tokens(ids, layout, 0.999999, 4)
    outer = {at for start, end in pairwise(layout.cu_seqlens.tolist()) for at in (start, end - 1)}
    assert [at for at, token in enumerate(masked.tolist()) if token == 7] == sorted(outer)
    assert ids.tolist() == [7] * sum(lengths)


def test_hidden_tokens_are_the_share_that_was_asked_for_and_only_while_training(tmp_path: Path) -> None:
    torch.manual_seed(0)
    masked = mask_tokens(torch.full((2000,), 7), Layout.of([2000]), 0.15, 4)
    assert (masked == 4).float().mean().item() == pytest.approx(0.15, abs=0.03)
    path = make_recipe(tmp_path)
    still = ("model.hidden_dropout=0.0", "model.attention_dropout=0.0")
    job = captured_job(path, tmp_path / "run", "training.token_masking=0.3", *still)
    assert len({job.loss(job.plan(0)[0])[0].item() for _ in range(3)}) == 3
    job.model.eval()
    with torch.no_grad():
        assert job.validate() == job.validate()


@pytest.mark.parametrize("name", ["single", "roles", "treats", "answers", "topics"])
def test_tokens_of_any_task_can_be_hidden(tmp_path: Path, name: str) -> None:
    still = ("model.hidden_dropout=0.0", "model.attention_dropout=0.0")
    job = captured_job(make_task_recipe(tmp_path, name), tmp_path / "run", "training.token_masking=0.3", *still)
    assert len({job.loss(job.plan(0)[0])[0].item() for _ in range(3)}) == 3
