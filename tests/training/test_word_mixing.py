"""Words mixed inside the encoder: only with words of the same labels, only words of mentions, only while training."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from captured import captured_job
from textome.errors import InputError
from textome.tasks.spans.iob import IGNORED
from textome.training.kinds import plan_run
from textome.training.recipe import load_recipe
from textome.training.techniques.word_mixing import mixed, partners
from tiny import make_recipe
from tiny_tasks import make_task_recipe

labels = st.sampled_from([IGNORED, 0, 1, 2])
targets = st.lists(st.tuples(labels, labels), min_size=1, max_size=30).map(lambda rows: torch.tensor(rows))


@given(targets, st.integers(0, 2**32))
def test_partners_have_the_same_labels_and_words_outside_mentions_none(targets: Tensor, seed: int) -> None:
    torch.manual_seed(seed)
    found = partners(targets)
    assert torch.equal(targets[found], targets)
    assert sorted(found.tolist()) == list(range(len(targets)))
    outside = (targets < 1).all(1)
    assert torch.equal(found[outside], torch.arange(len(targets))[outside])


def test_every_word_of_the_same_labels_may_be_the_partner() -> None:
    torch.manual_seed(0)
    targets = torch.tensor([[1], [2], [1], [0], [1], [0]])
    drawn = torch.stack([partners(targets) for _ in range(100)])
    assert set(drawn[:, 0].tolist()) == {0, 2, 4}
    assert set(drawn[:, 1].tolist()) == {1}


class Encoder(nn.Module):
    """Layers that pass on what they get, and remember it."""

    def __init__(self) -> None:
        super().__init__()
        self.embeddings = nn.Identity()
        self.layers = nn.ModuleList(nn.Identity() for _ in range(3))
        self.seen: list[Tensor] = []
        for module in (self.embeddings, *self.layers):
            module.register_forward_pre_hook(lambda module, inputs: self.seen.append(inputs[0]))

    def forward(self, values: Tensor) -> Tensor:
        return self.layers[2](self.layers[1](self.layers[0](self.embeddings(values))))


@given(targets, st.integers(0, 2**32), st.sampled_from([0.1, 1.0, 5.0]))
def test_states_lie_between_two_words_of_the_same_labels(targets: Tensor, seed: int, alpha: float) -> None:
    torch.manual_seed(seed)
    states = torch.randn(2 * len(targets) + 1, 4)
    first = torch.arange(1, 2 * len(targets), 2)
    encoder = Encoder()
    with mixed(encoder, first, targets, alpha):
        found = encoder(states)
    assert torch.equal(encoder(states), states), "nothing is mixed afterwards"
    others = torch.ones(len(states), dtype=torch.bool)
    others[first] = False
    assert torch.equal(found[others], states[others])
    for place, row in zip(first.tolist(), targets, strict=True):
        ends = states[first[(targets == row).all(1)]] if bool((row >= 1).any()) else states[place][None]
        # Its own share s is at least a half: found = s own + (1 - s) other.
        shares = [
            (torch.dot(found[place] - end, states[place] - end) / torch.dot(states[place] - end, states[place] - end))
            for end in ends
            if not torch.equal(end, states[place])
        ]
        fits = [
            (share * states[place] + (1 - share) * end - found[place]).abs().max() < 1e-4 and 0.499 < share < 1.001
            for share, end in zip(shares, [end for end in ends if not torch.equal(end, states[place])], strict=True)
        ]
        assert any(fits) or torch.allclose(found[place], states[place])


def test_a_layer_is_drawn_and_never_the_last() -> None:
    torch.manual_seed(0)
    targets, states, changed = torch.ones(8, 1), torch.randn(8, 4), set()
    for _ in range(60):
        encoder = Encoder()
        with mixed(encoder, torch.arange(8), targets, 1.0):
            found = encoder(states)
        changed.add(next(at for at, seen in enumerate([*encoder.seen, found]) if not torch.equal(seen, states)))
    assert changed == {1, 2, 3}, "the input of layers 1 to 3, behind the embeddings and layers 1 and 2"


def test_a_job_mixes_while_training_and_its_gradient_is_that_of_the_mixed_states(tmp_path: Path) -> None:
    still = ("model.hidden_dropout=0.0", "model.attention_dropout=0.0")
    job = captured_job(make_recipe(tmp_path), tmp_path / "run", "training.word_mixing=0.5", *still)
    batch = job.plan(0)[0]
    assert len({job.loss(batch)[0].item() for _ in range(4)}) == 4
    torch.manual_seed(3)
    first = job.loss(batch)[0]
    torch.manual_seed(3)
    assert job.loss(batch)[0].item() == first.item()
    first.backward()
    assert all(item.grad is not None for name, item in job.model.named_parameters() if "token_type" not in name)
    job.model.eval()
    with torch.no_grad():
        assert job.validate() == job.validate()


def test_mixing_is_for_entities_without_a_teacher(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match="word_mixing does not work for this kind of task: it mixes the words of mentions"
    ):
        plan_run(make_task_recipe(tmp_path / "tasks", "single"), ["training.word_mixing=0.1"])
    with pytest.raises(InputError, match=r"distillation and training\.word_mixing do not go together"):
        load_recipe(make_recipe(tmp_path / "one"), ["training.word_mixing=0.1", "distillation.teacher=x"])
