"""Our masked language model against the Hugging Face ones with the same weights: logits, loss and gradients."""

from __future__ import annotations

import pytest
import torch
import transformers
from torch.nn import functional

from textome.encoders.bert.model import BertConfig
from textome.encoders.build import build_masked_lm
from textome.encoders.checkpoint import load_tensors, to_hugging_face
from textome.encoders.interface import MaskedLM
from textome.encoders.layers.packing import Layout

SIZES = {
    "vocab_size": 120,
    "hidden_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 96,
    "max_position_embeddings": 64,
}
LENGTHS = [3, 17, 17, 40, 64]


def models(pairs: bool) -> tuple[transformers.PreTrainedModel, MaskedLM]:
    torch.manual_seed(0)
    kind = transformers.BertForPreTraining if pairs else transformers.BertForMaskedLM
    theirs = kind(transformers.BertConfig(**SIZES)).eval()
    for parameter in theirs.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    ours = build_masked_lm(BertConfig.from_dict(theirs.config.to_dict()), next_sentence=pairs)
    load_tensors(ours, theirs.state_dict(), "reference")
    return theirs, ours.eval()


@pytest.mark.parametrize("pairs", [False, True])
def test_scores_loss_and_gradients_equal_hugging_face(pairs):
    theirs, ours = models(pairs)
    ids = torch.randint(1, 120, (sum(LENGTHS),))
    kinds = torch.randint(0, 2, ids.shape)
    places = torch.tensor([1, 4, 5, 19, 30, 76, 140])
    targets = torch.randint(1, 120, places.shape)
    follows = torch.tensor([0, 1, 1, 0, 1])

    def padded(values: torch.Tensor, fill: int = 0) -> torch.Tensor:
        return torch.nn.utils.rnn.pad_sequence(list(values.split(LENGTHS)), batch_first=True, padding_value=fill)

    labels = torch.full_like(ids, -100)
    labels[places] = targets
    inputs = {"attention_mask": padded(torch.ones_like(ids)), "token_type_ids": padded(kinds)}
    extra = {"next_sentence_label": follows} if pairs else {}
    expected = theirs(padded(ids), labels=padded(labels, -100), **inputs, **extra)
    expected_logits = expected.prediction_logits if pairs else expected.logits

    logits, sentence = ours(ids, Layout.of(LENGTHS), places, kinds)
    loss = functional.cross_entropy(logits, targets)
    if pairs:
        loss = loss + functional.cross_entropy(sentence, follows)
        assert torch.allclose(sentence, expected.seq_relationship_logits, atol=1e-5)
    assert torch.allclose(logits, expected_logits[padded(labels, -100) != -100], atol=1e-5)
    assert loss.item() == pytest.approx(expected.loss.item(), abs=1e-6)

    loss.backward()
    expected.loss.backward()
    wanted = dict(theirs.named_parameters())
    gradients = {name: parameter.grad for name, parameter in ours.named_parameters()}
    table = wanted["bert.embeddings.word_embeddings.weight"].grad
    # Their table gives no gradient to row 0, which pads; the output side, which shares it, does.
    assert torch.allclose(gradients["encoder.embeddings.word_embeddings.weight"][1:], table[1:], atol=1e-5)
    assert torch.allclose(gradients["bias"], wanted["cls.predictions.bias"].grad, atol=1e-6)
    assert torch.allclose(
        gradients["transform.weight"], wanted["cls.predictions.transform.dense.weight"].grad, atol=1e-5
    )
    fused = gradients["encoder.layers.0.attention.project.weight"].chunk(3)
    for part, name in zip(fused, ("query", "key", "value"), strict=True):
        assert torch.allclose(part, wanted[f"bert.encoder.layer.0.attention.self.{name}.weight"].grad, atol=1e-5)


@pytest.mark.parametrize("pairs", [False, True])
def test_saved_tensors_load_in_hugging_face(pairs, tmp_path):
    theirs, ours = models(pairs)
    saved = to_hugging_face(ours)
    fresh = type(theirs)(theirs.config)
    missing, unexpected = fresh.load_state_dict(saved, strict=False)
    # The output matrix is the table of embeddings; `transformers` ties them itself.
    assert set(missing) <= {
        "cls.predictions.decoder.weight",
        "cls.predictions.decoder.bias",
        "bert.embeddings.position_ids",
    }
    assert unexpected == []


def test_a_plain_encoder_gets_a_fresh_head():
    torch.manual_seed(0)
    theirs = transformers.BertModel(transformers.BertConfig(**SIZES), add_pooling_layer=False)
    ours = build_masked_lm(BertConfig.from_dict(theirs.config.to_dict()))
    report = load_tensors(ours, theirs.state_dict(), "encoder", fresh=("transform.", "norm.", "bias"))
    assert set(report.fresh) == {"transform.weight", "transform.bias", "norm.weight", "norm.bias", "bias"}
