"""A new vocabulary on an old encoder: shared tokens keep their embeddings, new ones are the mean of their pieces."""

from __future__ import annotations

import torch

from textome.encoders.bert.model import BertConfig
from textome.encoders.build import build_masked_lm
from textome.encoders.layers.packing import Layout
from textome.text.tokenization import Tokenizer
from textome.training.pretraining.transplant import partitions, transplanted
from tiny import CONFIG, make_base

OLD = ["[UNK]", "[CLS]", "met", "##form", "##in", "a", "##a", "##b", "b"]


def test_tokens_are_partitioned_as_wordpiece_cuts():
    new = ["[CLS]", "metformin", "##forma", "ab", "##in", "xy", "##bq"]
    assert partitions(OLD, new) == [[1], [2, 3, 4], [3, 6], [5, 7], [4], [], []]


def test_embeddings_and_biases_follow_the_partition(tmp_path):
    old = Tokenizer.load(make_base(tmp_path / "old"))
    path = make_base(tmp_path / "new") / "tokenizer.json"
    path.write_text(path.read_text().replace('"asthma"', '"aspen"'))
    new = Tokenizer.load(path.parent)
    torch.manual_seed(0)
    model = build_masked_lm(BertConfig.from_dict(CONFIG | {"vocab_size": old.vocabulary_size})).eval()
    torch.nn.init.normal_(model.bias)
    made = transplanted(model, old, new).eval()

    before, after = (m.encoder.embeddings.word_embeddings.weight for m in (model, made))
    names_before, names_after = old.vocabulary(), new.vocabulary()
    shared = [name for name in names_after if name in names_before]
    assert len(shared) == len(names_after) - 1
    for name in shared:
        assert torch.equal(after[names_after.index(name)], before[names_before.index(name)])
    pieces = [names_before.index(piece) for piece in ("a", "##s", "##p", "##e", "##n")]
    place = names_after.index("aspen")
    assert torch.allclose(after[place], before[pieces].mean(0))
    assert torch.allclose(made.bias[place], model.bias[pieces].mean())

    # A text without new tokens is seen as before.
    ids = {name: number for number, name in enumerate(names_before)}
    text = [ids["[CLS]"], ids["gout"], ids["[SEP]"]]
    renamed = [names_after.index(names_before[number]) for number in text]
    with torch.no_grad():
        one = model.encoder(torch.tensor(text), Layout.of([3]))
        other = made.encoder(torch.tensor(renamed), Layout.of([3]))
    assert torch.equal(one, other)
