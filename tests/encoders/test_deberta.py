"""Our DeBERTa against the Hugging Face one with the same weights."""

from __future__ import annotations

import pytest
import torch
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.attention import flex_attention
from transformers.models.deberta_v2.modeling_deberta_v2 import build_relative_position

from textome.encoders.build import build_encoder, read_encoder_config
from textome.encoders.checkpoint import load_tensors, to_hugging_face
from textome.encoders.deberta import fused_relative, relative
from textome.encoders.deberta import model as deberta
from textome.encoders.deberta.fused_relative import TILE, packed_mask
from textome.encoders.deberta.model import Deberta, DebertaConfig, EnhancedMaskDecoder
from textome.encoders.deberta.relative import distance_buckets
from textome.encoders.heads import TaskModel, TokenClassifier
from textome.encoders.layers.packing import Layout
from textome.errors import ModelError

TOLERANCE = 1e-4
SIZES = {
    "vocab_size": 90,
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "max_position_embeddings": 64,
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
    "relative_attention": True,
}
V3 = {
    "position_buckets": 16,
    "share_att_key": True,
    "pos_att_type": ["p2c", "c2p"],
    "norm_rel_ebd": "layer_norm",
    "position_biased_input": False,
}
KINDS = {
    "v3": V3,
    "v2": V3 | {"conv_kernel_size": 3, "conv_act": "gelu", "attention_head_size": 8, "pos_att_type": "p2c|c2p"},
    "v1 positions": {"pos_att_type": ["c2p", "p2c"], "type_vocab_size": 2},
    "content to position": V3 | {"share_att_key": False, "pos_att_type": ["c2p"]},
    "position to content": V3 | {"share_att_key": False, "pos_att_type": ["p2c"], "embedding_size": 20},
    "no relative attention": {"relative_attention": False, "pos_att_type": []},
}
RAGGED = [[1], [64], [7, 7, 31, 2], [3, 5, 5, 5, 9, 3], [40, 1, 17, 17]]


def reference(
    kind: dict[str, object], cls: type = transformers.DebertaV2Model, **extra: object
) -> transformers.PreTrainedModel:
    torch.manual_seed(0)
    model = cls(transformers.DebertaV2Config(**(SIZES | kind | extra)))
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return model.eval()


def ours(theirs: transformers.PreTrainedModel) -> Deberta:
    model = Deberta(DebertaConfig.from_dict(theirs.config.to_dict()))
    load_tensors(model, theirs.state_dict(), "reference")
    return model.eval()


def padded(packed: torch.Tensor, lengths: list[int]) -> torch.Tensor:
    return torch.nn.utils.rnn.pad_sequence(list(packed.split(lengths)), batch_first=True)


def assert_equal(kind: dict[str, object], lengths: list[int]) -> None:
    theirs = reference(kind)
    model = ours(theirs)
    torch.manual_seed(sum(lengths))
    input_ids = torch.randint(1, 90, (sum(lengths),))
    mask = padded(torch.ones_like(input_ids), lengths)
    target = torch.randn(sum(lengths), 32)
    expected = theirs(padded(input_ids, lengths), attention_mask=mask).last_hidden_state[mask.bool()]
    hidden = model(input_ids, Layout.of(lengths))
    with torch.no_grad():
        inference = model(input_ids, Layout.of(lengths))
    assert (hidden - expected).abs().max() < TOLERANCE
    assert (inference - expected).abs().max() < TOLERANCE
    ((hidden - target) ** 2).mean().backward()
    ((expected - target) ** 2).mean().backward()
    twin = ours(theirs)
    for name, parameter in twin.named_parameters():
        gradient = dict(model.named_parameters())[name].grad
        parameter.data = torch.zeros_like(parameter) if gradient is None else gradient
    wanted = {name: parameter.grad for name, parameter in theirs.named_parameters()}
    for name, gradient in to_hugging_face(twin).items():
        if wanted[name] is not None:
            scale = max(1.0, float(wanted[name].abs().max()))
            assert (gradient - wanted[name]).abs().max() < TOLERANCE * scale, name


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("lengths", RAGGED, ids=str)
def test_hidden_states_and_gradients_equal_hugging_face(kind: dict[str, object], lengths: list[int]) -> None:
    assert_equal(kind, lengths)


def test_sequences_of_several_blocks_equal_hugging_face() -> None:
    assert_equal(V3 | {"max_position_embeddings": 300}, [300, 129, 128])


@settings(max_examples=25, deadline=None)
@given(
    st.sampled_from(list(KINDS.values())),
    st.lists(st.integers(1, 40), min_size=1, max_size=6),
    st.sampled_from([-1, 4, 8, 32]),
)
def test_any_batch_of_any_kind_equals_hugging_face(kind: dict[str, object], lengths: list[int], buckets: int) -> None:
    assert_equal(kind | {"position_buckets": buckets}, lengths)


@settings(deadline=None)
@given(st.integers(1, 700), st.sampled_from([0, 2, 16, 256]), st.sampled_from([300, 512]))
def test_buckets_equal_hugging_face(length: int, buckets: int, max_relative_position: int) -> None:
    tokens = torch.zeros(1, length, 1)
    theirs = build_relative_position(tokens, tokens, buckets or -1, max_relative_position)[0]
    span = buckets or max_relative_position
    expected = torch.cat([theirs[:, 0].flip(0), theirs[0, 1:]])
    found = distance_buckets(length, buckets, max_relative_position, torch.device("cpu"))
    assert torch.equal(found, (expected + span).clamp(0, 2 * span - 1))


@pytest.mark.parametrize("dropout", [0.0, 0.25])
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(("count", "length"), [(3, 1), (2, 7), (3, 64), (9, 130), (2, 200), (1, 512)])
def test_attention_by_distance_equals_a_gather(
    count: int, length: int, threads: int, dropout: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(length)
    # So that some of these are computed in parts, of some sequences or, with two threads, of two heads and then the third.
    monkeypatch.setattr(relative, "SCORES", {4: 40_000})
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    shapes = [(3, count, length, 5)] * 3 + [(3, 2 * length, 5)] * 2
    tensors = [torch.randn(shape, dtype=torch.float64, requires_grad=True) for shape in shapes]
    query, key, value, keys, queries = tensors
    places = torch.arange(length)
    index = (length - 1 - places[:, None] + places).expand(3, count, length, length)
    by_query, by_key = (
        torch.einsum("hcid,hrd->hcir", *pair).gather(3, rows)
        for pair, rows in (((query, keys), index), ((key, queries), index.mT))
    )
    weights = (0.4 * (query @ key.mT + by_query + by_key.mT)).softmax(-1)
    found = relative.disentangled(query, key, value, keys, queries, 0.4, dropout)
    kept = found.grad_fn.saved_tensors[5].flip(2).signbit() | (dropout == 0)  # type: ignore[union-attr]
    assert abs(float((~kept).double().mean()) - dropout) < (0.02 if kept.numel() > 10_000 else 0.5)
    plain = (weights * kept / (1 - dropout)) @ value
    assert torch.allclose(found, plain)
    direction = torch.randn_like(plain)
    for ours, wanted in zip(
        torch.autograd.grad((found * direction).sum(), tensors),
        torch.autograd.grad((plain * direction).sum(), tensors),
        strict=True,
    ):
        assert torch.allclose(ours, wanted)


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_saving_gives_back_every_tensor(kind: dict[str, object]) -> None:
    theirs = reference(kind)
    saved, state = to_hugging_face(ours(theirs)), theirs.state_dict()
    assert saved.keys() == state.keys()
    assert all(torch.equal(saved[name], state[name]) for name in state)


def test_a_token_classifier_equals_hugging_face() -> None:
    theirs = reference(V3, transformers.DebertaV2ForTokenClassification, num_labels=5)
    model = TokenClassifier(read_encoder_config(theirs.config.to_dict()), 5).eval()
    load_tensors(model, theirs.state_dict(), "reference")
    input_ids = torch.randint(1, 90, (12,))
    with torch.no_grad():
        difference = model(input_ids, Layout.of([12])) - theirs(input_ids[None]).logits[0]
    assert difference.abs().max() < TOLERANCE
    assert to_hugging_face(model).keys() == theirs.state_dict().keys()


def test_a_classifier_of_texts_equals_hugging_face() -> None:
    cls = transformers.DebertaV2ForSequenceClassification
    theirs = reference(V3, cls, num_labels=3, pooler_hidden_act="tanh")
    model = TaskModel(read_encoder_config(theirs.config.to_dict()), {"kind": (3, 1)}).eval()
    load_tensors(model, theirs.state_dict(), "reference")
    input_ids = torch.randint(1, 90, (12,))
    with torch.no_grad():
        found = model("kind", input_ids, Layout.of([12]), torch.tensor([[0]]))
        assert (found - theirs(input_ids[None]).logits).abs().max() < TOLERANCE
    assert to_hugging_face(model).keys() == theirs.state_dict().keys()


def test_the_mask_decoder_equals_its_layers_in_hugging_face() -> None:
    """Figure 2 of the paper put together from their layers: the last one twice, positions joining at the queries."""
    theirs = reference(V3, transformers.DebertaV2ForMaskedLM)
    model = EnhancedMaskDecoder(DebertaConfig.from_dict(theirs.config.to_dict())).eval()
    load_tensors(model, theirs.state_dict(), "reference", fresh=("position_embeddings.",))
    lengths = [9, 4, 17]
    input_ids, places = torch.randint(1, 90, (30,)), torch.tensor([2, 8, 9, 29])
    mask = padded(torch.ones_like(input_ids), lengths)
    with torch.no_grad():
        outputs = theirs(padded(input_ids, lengths), attention_mask=mask, output_hidden_states=True)
        hidden, encoder = outputs.hidden_states[-2], theirs.deberta.encoder
        queries = hidden + model.position_embeddings.weight[: max(lengths)]
        for _ in range(2):
            queries, _ = encoder.layer[-1](
                hidden,
                encoder.get_attention_mask(mask),
                query_states=queries,
                relative_pos=encoder.get_rel_pos(hidden),
                rel_embeddings=encoder.get_rel_embedding(),
            )
        expected = theirs.cls(queries[mask.bool()][places])
        found, _ = model(input_ids, Layout.of(lengths), places)
    assert (found - expected).abs().max() < TOLERANCE


def test_dropout_is_off_in_evaluation_and_on_in_training() -> None:
    theirs = reference(V3, hidden_dropout_prob=0.5, attention_probs_dropout_prob=0.5)
    model, input_ids, layout = ours(theirs), torch.randint(1, 90, (20,)), Layout.of([20])
    assert torch.allclose(model(input_ids, layout), model(input_ids, layout))
    model.train()
    assert not torch.allclose(model(input_ids, layout), model(input_ids, layout))


def test_relative_positions_have_no_longest_sequence_but_absolute_ones_do() -> None:
    assert ours(reference(V3))(torch.ones(100, dtype=torch.int64), Layout.of([100])).isfinite().all()
    with pytest.raises(ValueError, match="65 tokens"):
        ours(reference(KINDS["v1 positions"]))(torch.ones(65, dtype=torch.int64), Layout.of([65]))


def test_what_does_not_fit_is_refused() -> None:
    bert = transformers.BertModel(transformers.BertConfig(**{k: v for k, v in SIZES.items() if "relative" not in k}))
    with pytest.raises(ModelError, match="not part of this architecture"):
        load_tensors(Deberta(DebertaConfig.from_dict(SIZES | V3)), bert.state_dict(), "weights")
    with pytest.raises(ValueError, match="'roberta'"):
        read_encoder_config({"model_type": "roberta"})
    with pytest.raises(ValueError, match="p2p"):
        DebertaConfig.from_dict({"pos_att_type": "c2p|p2p"})
    with pytest.raises(ValueError, match="no pooler"):
        build_encoder(DebertaConfig.from_dict(SIZES | V3), pooler=True)


@pytest.fixture
def fused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel of a GPU, which PyTorch also computes on a CPU, uncompiled; it only forbids the backward pass there."""
    monkeypatch.setattr(flex_attention, "_validate_device", lambda *tensors: None)
    monkeypatch.setattr(deberta, "runs_fused", lambda layout: True)


@pytest.mark.filterwarnings("ignore:flex_attention called without")
@pytest.mark.usefixtures("fused")
@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("lengths", [[1], [7, 7, 31, 2], [130, 129, 128, 1]], ids=str)
def test_the_fused_kernel_equals_hugging_face(kind: dict[str, object], lengths: list[int]) -> None:
    assert_equal(kind | {"max_position_embeddings": 140}, lengths)


@pytest.mark.parametrize("lengths", [[1], [128], [128, 128], [256, 7], [5, 300, 20, 128, 1, 1, 90], [1] * 130], ids=str)
def test_tiles_hold_each_sequence_and_nothing_else(lengths: list[int]) -> None:
    layout = Layout.of(lengths)
    mask = packed_mask(layout)
    sequence = torch.repeat_interleave(torch.arange(len(lengths)), torch.tensor(lengths))
    wanted = sequence[:, None] == sequence
    tiles = (
        torch.nn.functional.pad(wanted, (0, -len(sequence) % TILE) * 2)
        .unflatten(0, (-1, TILE))
        .unflatten(2, (-1, TILE))
    )
    count = len(tiles)
    for numbers, listed, expected in (
        (mask.full_kv_num_blocks, mask.full_kv_indices, tiles.all(3).all(1)),
        (mask.kv_num_blocks, mask.kv_indices, tiles.any(3).any(1) & ~tiles.all(3).all(1)),
    ):
        for row in range(count):
            found = listed[0, 0, row, : numbers[0, 0, row]]
            assert sorted(found.tolist()) == expected[row].nonzero().flatten().tolist()
    places = torch.arange(len(sequence))
    assert torch.equal(mask.mask_mod(0, 0, places[:, None], places), wanted)


@pytest.mark.filterwarnings("ignore:flex_attention called without")
@pytest.mark.usefixtures("fused")
def test_the_fused_kernel_drops_weights_and_not_scores() -> None:
    lengths, heads, size, count, dropout = [5, 130, 1, 20], 2, 8, 32, 0.25
    total, layout = sum(lengths), Layout.of(lengths)
    torch.manual_seed(0)
    tensors = [
        torch.randn(heads, rows, size, dtype=torch.float64, requires_grad=True) for rows in (total,) * 3 + (count,) * 2
    ]
    query, key, value, keys, queries = tensors
    torch.manual_seed(3)
    found = fused_relative.fused(
        query, key, value, (keys, queries), fused_relative.Tiles.of(layout, 0, count, 16, 64), dropout
    )
    torch.manual_seed(3)
    seeds = torch.randint(-(2**31), 2**31, (heads,)).to(torch.int32)
    places = torch.arange(total)
    kept = fused_relative._mixed(seeds[:, None, None], places[:, None], places) >= dropout * 2**24
    assert abs(float(kept.double().mean()) - 0.75) < 0.01
    row = distance_buckets(total, 16, 64, torch.device("cpu"))[total - 1 + places - places[:, None]]
    index = row.expand(heads, total, total)
    scores = query @ key.mT + (query @ keys.mT).gather(2, index) + (key @ queries.mT).gather(2, index.mT).mT
    sequence = torch.repeat_interleave(torch.arange(len(lengths)), torch.tensor(lengths))
    scores = scores.masked_fill(sequence[:, None] != sequence, float("-inf"))
    expected = (scores.softmax(-1) * kept / (1 - dropout)) @ value
    assert torch.allclose(found, expected)
    weights = torch.randn_like(expected)
    for ours, wanted in zip(
        torch.autograd.grad((found * weights).sum(), tensors),
        torch.autograd.grad((expected * weights).sum(), tensors),
        strict=True,
    ):
        assert torch.allclose(ours, wanted)
