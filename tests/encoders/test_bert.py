"""Our BERT against the Hugging Face one with the same weights."""

from __future__ import annotations

import pytest
import torch
import transformers

from textome.encoders.bert.model import Bert, BertConfig
from textome.encoders.checkpoint import load_tensors, to_hugging_face
from textome.encoders.heads import TokenClassifier
from textome.encoders.layers.packing import Layout
from textome.errors import ModelError

TOLERANCE = 1e-5
SIZES = {
    "vocab_size": 120,
    "hidden_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 96,
    "max_position_embeddings": 512,
}
RAGGED = [[1], [511], [512], [7, 7, 31, 2], [512, 1, 40], [3, 5, 5, 5, 9, 3]]


def reference(cls: type = transformers.BertModel, **extra: object) -> transformers.PreTrainedModel:
    torch.manual_seed(0)
    model = cls(transformers.BertConfig(**SIZES, **extra))
    for parameter in model.parameters():  # biases and norms start at 0 and 1: give them something to get wrong
        torch.nn.init.normal_(parameter, std=0.1)
    return model.eval()


def ours(theirs: transformers.PreTrainedModel) -> torch.nn.Module:
    config = BertConfig.from_dict(theirs.config.to_dict())
    labelled = isinstance(theirs, transformers.BertForTokenClassification)
    model = TokenClassifier(config, theirs.config.num_labels) if labelled else Bert(config, pooler=True)
    load_tensors(model, theirs.state_dict(), "reference")
    return model.eval()


def padded(packed: torch.Tensor, lengths: list[int]) -> torch.Tensor:
    return torch.nn.utils.rnn.pad_sequence(list(packed.split(lengths)), batch_first=True)


def batch(lengths: list[int], types: bool) -> tuple[torch.Tensor, torch.Tensor | None, torch.Tensor]:
    torch.manual_seed(sum(lengths))
    total = sum(lengths)
    mask = padded(torch.ones(total, dtype=torch.int64), lengths)
    # Token 0 pads rows in Hugging Face models, which give its embedding no gradient; packed batches never hold it.
    return torch.randint(1, 120, (total,)), torch.randint(0, 2, (total,)) if types else None, mask


@pytest.mark.parametrize("types", [False, True])
@pytest.mark.parametrize("lengths", RAGGED)
def test_hidden_states_and_pooler_equal_hugging_face(lengths: list[int], types: bool) -> None:
    theirs = reference()
    model = ours(theirs)
    input_ids, token_type_ids, mask = batch(lengths, types)
    layout = Layout.of(lengths)
    with torch.no_grad():
        expected = theirs(
            padded(input_ids, lengths),
            attention_mask=mask,
            token_type_ids=None if token_type_ids is None else padded(token_type_ids, lengths),
        )
        hidden = model(input_ids, layout, token_type_ids)
    assert (hidden - expected.last_hidden_state[mask.bool()]).abs().max() < TOLERANCE
    assert (model.pooled(hidden, layout) - expected.pooler_output).abs().max() < TOLERANCE


@pytest.mark.parametrize("lengths", RAGGED)
def test_logits_and_gradients_equal_hugging_face(lengths: list[int]) -> None:
    theirs = reference(transformers.BertForTokenClassification, num_labels=9)
    model = ours(theirs)
    input_ids, _, mask = batch(lengths, types=False)
    labels = input_ids % 9
    logits = model(input_ids, Layout.of(lengths))
    torch.nn.functional.cross_entropy(logits, labels).backward()
    expected = theirs(padded(input_ids, lengths), attention_mask=mask)
    keep = mask.bool()
    assert (logits - expected.logits[keep]).abs().max() < TOLERANCE
    torch.nn.functional.cross_entropy(expected.logits[keep], labels).backward()

    twin = ours(theirs)
    for name, parameter in twin.named_parameters():
        parameter.data = dict(model.named_parameters())[name].grad
    for name, gradient in to_hugging_face(twin).items():
        wanted = dict(theirs.named_parameters())[name].grad
        assert (gradient - wanted).abs().max() < TOLERANCE, name


def test_saving_gives_back_every_tensor() -> None:
    theirs = reference()
    saved = to_hugging_face(ours(theirs))
    state = theirs.state_dict()
    assert saved.keys() == state.keys()
    assert all(torch.equal(saved[name], state[name]) for name in state)


def test_packing_keeps_sequences_apart() -> None:
    """A sequence's result does not depend on its neighbours in the batch."""
    model = ours(reference())
    input_ids, _, _ = batch([9, 4, 4, 17], types=False)
    with torch.no_grad():
        together = model(input_ids, Layout.of([9, 4, 4, 17]))
        alone = model(input_ids[9:13], Layout.of([4]))
    assert (together[9:13] - alone).abs().max() < TOLERANCE


def test_checkpoints_that_do_not_fit_are_refused_by_name() -> None:
    theirs = reference()
    model = Bert(BertConfig.from_dict(theirs.config.to_dict()), pooler=True)
    tensors = dict(theirs.state_dict())
    tensors["surprise.weight"] = torch.zeros(2)
    del tensors["encoder.layer.1.attention.self.key.bias"]
    tensors["pooler.dense.bias"] = torch.zeros(3)
    with pytest.raises(ModelError) as error:
        load_tensors(model, tensors, "weights.safetensors")
    for part in ("weights.safetensors", "encoder.layer.1.attention.self.key.bias", "surprise.weight", "(3,)"):
        assert part in str(error.value)


def test_a_new_head_starts_afresh_and_says_so() -> None:
    theirs = reference()
    model = TokenClassifier(BertConfig.from_dict(theirs.config.to_dict()), 6)
    report = load_tensors(model, theirs.state_dict(), "encoder", fresh=("head.",))
    assert report.fresh == ("head.classifier.weight", "head.classifier.bias")
    assert report.unused == ("pooler.dense.bias", "pooler.dense.weight")


def test_old_layer_norm_names_are_read() -> None:
    theirs = reference()
    renamed = {
        name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): tensor
        for name, tensor in theirs.state_dict().items()
    }
    model = Bert(BertConfig.from_dict(theirs.config.to_dict()), pooler=True)
    load_tensors(model, renamed, "old")
    assert torch.equal(model.embeddings.norm.weight, theirs.embeddings.LayerNorm.weight)


def test_sequences_beyond_the_positions_are_an_error() -> None:
    model = ours(reference())
    with pytest.raises(ValueError, match="513 tokens"):
        model(torch.zeros(513, dtype=torch.int64), Layout.of([513]))


def test_empty_sequences_are_an_error() -> None:
    with pytest.raises(ValueError, match="at least one token"):
        Layout.of([3, 0])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"hidden_act": "quick_gelu"}, "quick_gelu"),
        ({"hidden_size": 50, "num_attention_heads": 4}, "multiple"),
        ({"position_embedding_type": "relative_key"}, "relative_key"),
    ],
)
def test_configurations_that_are_not_bert_are_refused(values: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        BertConfig.from_dict(values)
