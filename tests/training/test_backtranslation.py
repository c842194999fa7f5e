"""Texts translated there and back around their mentions, which stay as they are."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from textome.errors import InputError, ModelError
from textome.tasks.spans.iob import Mention
from textome.training.finetune import finetune
from textome.training.kinds import plan_run
from textome.training.recipe import load_recipe
from textome.training.techniques.backtranslation import back_translated, stretches, there_and_back
from tiny import corpora_of, make_recipe

WORDS = ["gout", "due", "to\u00a0x", "no", "IL-2", "(a", "b),", "𝒳", "ß"]


@st.composite
def annotated(draw: st.DrawFn) -> tuple[str, tuple[Mention, ...]]:
    """A text of words with mentions that may begin and end anywhere, touch, nest and cross."""
    text = draw(st.sampled_from(["", " "])) + draw(st.sampled_from([" ", "  ", "\t"])).join(
        draw(st.lists(st.sampled_from(WORDS), min_size=1, max_size=12))
    )
    places = draw(st.lists(st.tuples(st.integers(0, len(text) - 1), st.integers(1, 8), st.integers(0, 2)), max_size=3))
    return text, tuple(Mention(start, min(start + length, len(text)), head) for start, length, head in places)


def inside(text: str, mentions: Sequence[Mention]) -> list[tuple[str, int]]:
    return [(text[mention.start : mention.end], mention.head) for mention in mentions]


@given(st.lists(annotated(), max_size=4), st.lists(st.text(max_size=12), min_size=1), st.sampled_from([0.0, 0.5, 1.0]))
def test_mentions_and_the_words_they_touch_stay(
    cases: list[tuple[str, tuple[Mention, ...]]], answers: list[str], share: float
) -> None:
    asked: list[str] = []

    def paraphrase(texts: Sequence[str]) -> list[str]:
        asked.extend(texts)
        return [answers[number % len(answers)] for number in range(len(texts))]

    found = back_translated(cases, paraphrase, share, np.random.default_rng(0))
    for (text, mentions), (changed, moved) in zip(cases, found, strict=True):
        assert inside(changed, moved) == inside(text, mentions)
        places = stretches(text, mentions)
        for start, end in places:
            assert len(text[start:end].split()) >= 3
            assert text[start:end] == text[start:end].strip()
            assert all(mention.end <= start or mention.start >= end for mention in mentions)
        if share == 0.0 or not places:
            assert (changed, moved) == (text, mentions)
    assert len(set(asked)) == len(asked), "each stretch is translated once"
    if share == 1.0:
        assert set(asked) == {text[start:end] for text, mentions in cases for start, end in stretches(text, mentions)}


def test_only_what_is_long_enough_and_free_is_put_in_other_words() -> None:
    text = "we have seen gout in all of the IL-2-treated patients here"
    mentions = [Mention(13, 17, 0), Mention(32, 36, 1)]
    found = back_translated(
        [(text, tuple(mentions))], lambda texts: [f"<{item}>\n" for item in texts], 1.0, np.random.default_rng(0)
    )
    assert found[0][0] == "<we have seen> gout <in all of the> IL-2-treated patients here"
    assert inside(*found[0]) == [("gout", 0), ("IL-2", 1)]
    empty = back_translated([("a b c", ())], lambda texts: [" "] * len(texts), 1.0, np.random.default_rng(0))
    assert empty == [("a b c", ())], "where nothing comes back, the words stay"


TRANSLATION = """task = "translation"
name = "{source}-{target}"
[data]
source = "{source}"
target = "{target}"
train = ["texts.{{}}"]
validation = ["texts.{{}}"]
[model]
vocabulary = 300
hidden_size = 16
encoder_layers = 1
decoder_layers = 1
num_attention_heads = 2
intermediate_size = 32
longest = 16
[training]
epochs = 1
learning_rate = 1e-2
"""


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two models that have learnt next to nothing: what they say is nonsense, as a translation may be."""
    folder = tmp_path_factory.mktemp("models")
    for code in ("en", "xx"):
        (folder / f"texts.{code}").write_text("patients took aspirin daily\nno asthma was seen\n" * 4)
    found = []
    for source, target in (("en", "xx"), ("xx", "en")):
        path = folder / f"{source}.toml"
        path.write_text(TRANSLATION.format(source=source, target=target))
        found.append(plan_run(path).start(folder / source, False, lambda record: None))
    return found[0], found[1]


PLAIN = 'name="d", train=["diseases.tsv"], types={Disease="Disease"}, repeat=2'


def test_a_recipe_reads_a_corpus_again_in_other_words(tmp_path: Path, models: tuple[Path, Path]) -> None:
    there, back = models
    path = make_recipe(tmp_path, epochs=1)
    plain = corpora_of(load_recipe(path, [f"corpora=[{{{PLAIN}}}]"]))[0].train
    more = f'back_translation=["{there}", "{back}"], back_translate=1.0'
    recipe = load_recipe(path, [f"corpora=[{{{PLAIN}, {more}}}]"])
    (data,) = corpora_of(recipe)
    half = len(plain) // 2
    assert data.train[:half] == plain[:half]
    assert [inside(item.text, item.mentions) for item in data.train] == [
        inside(item.text, item.mentions) for item in plain
    ]
    changed = [one.text != other.text for one, other in zip(data.train[half:], plain[half:], strict=True)]
    free = [bool(stretches(item.text, item.mentions)) for item in plain[half:]]
    assert any(changed)
    assert all(is_free for is_changed, is_free in zip(changed, free, strict=True) if is_changed)
    assert corpora_of(recipe)[0].train == data.train
    assert {"there", "back"} < data.hashes.keys()
    bundle = finetune(recipe, tmp_path / "run")
    assert str(there.parent) not in (bundle / "textome.json").read_text()


def test_models_that_do_not_fit_are_refused(tmp_path: Path, models: tuple[Path, Path]) -> None:
    there, back = models
    device = torch.device("cpu")
    assert len(there_and_back(there, back, device)(["patients took aspirin", "no"])) == 2
    with pytest.raises(InputError, match="give a second model for the way back"):
        there_and_back(there, there, device)
    with pytest.raises(ModelError, match="complete Textome bundle"):
        there_and_back(tmp_path, back, device)
    recipe = make_recipe(tmp_path)
    missing = load_recipe(recipe, [f'corpora=[{{{PLAIN}, back_translate=0.5, back_translation=["a", "b"]}}]'])
    with pytest.raises(ModelError, match="no such model directory"):
        corpora_of(missing)
    for wrong in (
        "back_translate=0.5",
        f'back_translate=0.5, back_translation=["{there}"]',
        'back_translation=["a", "b"]',
    ):
        with pytest.raises(InputError, match="two models in back_translation"):
            load_recipe(recipe, [f"corpora=[{{{PLAIN}, {wrong}}}]"])
    once = PLAIN.replace("repeat=2", "repeat=1")
    with pytest.raises(InputError, match="back_translate changes every reading but the first"):
        load_recipe(recipe, [f'corpora=[{{{once}, back_translate=0.5, back_translation=["a", "b"]}}]'])
