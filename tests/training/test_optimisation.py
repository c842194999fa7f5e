"""Rates of layers, frozen layers, the mean of weights, the adversary and early stopping, each against its definition."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from textome.encoders.bert.model import BertConfig
from textome.encoders.heads import TokenClassifier
from textome.encoders.layers.packing import Layout
from textome.encoders.t5 import T5Config
from textome.encoders.t5.model import T5
from textome.errors import InputError
from textome.training.finetune import finetune
from textome.training.optimisation.optimiser import build_optimizer
from textome.training.recipe import Training, load_recipe
from textome.training.techniques.adversary import worst_step
from textome.training.techniques.averaging import holding, move
from tiny import CONFIG, make_recipe


def model() -> TokenClassifier:
    torch.manual_seed(0)
    return TokenClassifier(BertConfig.from_dict(CONFIG | {"vocab_size": 50}), 3)


def settings(**values: float) -> Training:
    return Training(epochs=1, learning_rate=1e-3, **values)  # type: ignore[arg-type]


def test_each_layer_learns_at_a_share_of_the_one_above_it() -> None:
    net = model()
    optimizer = build_optimizer(net, settings(layer_decay=0.5, head_learning_rate=1e-2))
    rates = {id(item): group["peak"] for group in optimizer.param_groups for item in group["params"]}
    decays = {id(item): group["weight_decay"] for group in optimizer.param_groups for item in group["params"]}
    for name, item in net.named_parameters():
        wanted = 1e-2 if name.startswith("head.") else 1e-3
        wanted *= 0.5 if "layers.0." in name else 0.25 if "embeddings" in name else 1.0
        assert rates[id(item)] == pytest.approx(wanted), name
        assert decays[id(item)] == (0.01 if item.ndim > 1 else 0.0), name


def test_the_scaled_table_of_a_t5_learns_at_a_higher_rate() -> None:
    sizes = {"vocab_size": 40, "d_model": 16, "d_kv": 8, "d_ff": 16, "num_layers": 1, "num_heads": 2}
    for tied, expected in ((True, 4e-3), (False, 1e-3)):
        net = T5(T5Config.from_dict(sizes | {"tie_word_embeddings": tied}))
        rates = {
            id(item): group["peak"]
            for group in build_optimizer(net, settings()).param_groups
            for item in group["params"]
        }
        assert rates.pop(id(net.shared.weight)) == pytest.approx(expected)
        assert set(rates.values()) == {1e-3}


def test_frozen_layers_keep_their_weights(tmp_path: Path) -> None:
    path = make_recipe(tmp_path, epochs=1, frozen_layers=1)
    trained = load_file(finetune(load_recipe(path), tmp_path / "run") / "model.safetensors")
    before = {f"bert.{name}": item for name, item in load_file(tmp_path / "base" / "model.safetensors").items()}
    same = {name for name in trained if name in before and torch.equal(before[name], trained[name])}
    assert same == {name for name in trained if ".embeddings." in name or ".layer.0." in name}


def test_more_frozen_layers_than_there_are_is_an_error() -> None:
    with pytest.raises(InputError, match="the model has 2 layers"):
        build_optimizer(model(), settings(frozen_layers=3))


def test_the_mean_of_weights_is_what_its_formula_says() -> None:
    net = torch.nn.Linear(1, 1, bias=False)
    average = {"weight": torch.zeros(1, 1)}
    expected = 0.0
    for step in range(1, 30):
        torch.nn.init.constant_(net.weight, float(step))
        move(average, net, 0.6, step)
        decay = min(0.6, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * step
    assert average["weight"].item() == pytest.approx(expected, rel=1e-5)
    with holding(net, average):
        assert net.weight.item() == pytest.approx(expected, rel=1e-5)
    assert net.weight.item() == 29.0


def test_the_worst_step_raises_the_loss_and_is_taken_back() -> None:
    net = model().eval()
    ids = torch.arange(12)

    def loss() -> torch.Tensor:
        logits = net(ids, Layout.of([5, 7]))
        return torch.nn.functional.cross_entropy(logits, torch.arange(12) % 3)

    before = loss()
    before.backward()  # type: ignore[no-untyped-call]
    embeddings = net.encoder.embeddings.word_embeddings.weight
    own = embeddings.detach().clone()
    gradient = embeddings.grad
    assert gradient is not None
    with worst_step(net, 0.05):
        assert (embeddings.detach() - own).norm().item() == pytest.approx(0.05, rel=1e-3)
        assert loss() > before
    assert torch.equal(embeddings, own)


def test_an_adversary_without_embeddings_that_learn_is_an_error(tmp_path: Path) -> None:
    path = make_recipe(tmp_path, epochs=1, adversarial=1.0, frozen_layers=1)
    with pytest.raises(InputError, match=r"training\.adversarial and training\.frozen_layers do not go together"):
        finetune(load_recipe(path), tmp_path / "run")


def test_a_run_stops_when_epochs_bring_nothing_more(tmp_path: Path) -> None:
    path = make_recipe(tmp_path, epochs=60, patience=2)
    records: list[dict[str, object]] = []
    finetune(load_recipe(path), tmp_path / "run", report=records.append)
    epochs = [record for record in records if record["event"] == "validation"]
    (end,) = (record for record in records if record["event"] == "end")
    assert len(epochs) < 60
    assert end["best_epoch"] == len(epochs) - 2


def test_the_distances_that_frozen_layers_read_are_frozen_too() -> None:
    encoder = nn.Module()
    encoder.relative, encoder.layers = nn.Embedding(8, 2), nn.ModuleList([nn.Linear(2, 2), nn.Linear(2, 2)])
    whole = nn.Module()
    whole.encoder = encoder
    build_optimizer(whole, settings(frozen_layers=1))
    learns = [name for name, item in whole.named_parameters() if item.requires_grad]
    assert learns == ["encoder.layers.1.weight", "encoder.layers.1.bias"]
