"""The gradients of records in a packed batch against a loop over single records, and against Opacus."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from captured import captured_job
from textome.training.devices import autocast
from textome.training.job import Batch
from textome.training.techniques.record_gradients import Owners, add_clipped, add_clipped_alone, packable, watched
from tiny import make_recipe
from tiny_tasks import ONE_PASS, PARTS, join_documents, make_task_recipe

STILL = ("model.hidden_dropout=0.0", "model.attention_dropout=0.0")
# Documents of several sentences and, with so small a window, sentences of several windows: records of many examples.
SMALL = ("model.window=8", "model.overlap=2")


def packed(job: Any, records: Sequence[Sequence[int]], limit: float) -> tuple[Tensor, dict[str, Tensor]]:
    job.model.zero_grad(set_to_none=True)
    with watched(job.model) as calls:
        each = job.each(records)
    norms = add_clipped(each.losses, calls, Owners(each.tokens, len(records)), Owners(each.rows, len(records)), limit)
    return norms, gradients(job.model)


def alone(job: Any, records: Sequence[Sequence[int]], limit: float) -> tuple[Tensor, dict[str, Tensor]]:
    """Each record by itself, by plain backward passes, cut and summed here."""
    norms, total = [], {}
    for record in records:
        job.model.zero_grad(set_to_none=True)
        job.each([record]).losses[0].backward()
        own = gradients(job.model)
        norms.append(torch.cat([item.flatten() for item in own.values()]).norm())
        for name, item in own.items():
            total[name] = total.get(name, 0) + item * min(1.0, limit / float(norms[-1]))
    return torch.stack(norms), total


def gradients(model: nn.Module) -> dict[str, Tensor]:
    return {name: item.grad.clone() for name, item in model.named_parameters() if item.grad is not None}


def agree(first: tuple[Tensor, dict[str, Tensor]], second: tuple[Tensor, dict[str, Tensor]]) -> None:
    assert torch.allclose(first[0], second[0], rtol=1e-4)
    assert first[1].keys() == second[1].keys()
    size = torch.cat([item.flatten() for item in second[1].values()]).norm()
    for name, item in second[1].items():
        assert (first[1][name] - item).norm() < 1e-5 * size, name


def limits(job: Any) -> tuple[float, float]:
    """One that cuts about half of the records, and one that cuts none."""
    norms, _ = alone(job, job.records, 1.0)
    assert norms.min() < norms.median() < norms.max()
    return float(norms.median()), 1e6


@pytest.mark.parametrize("frozen", [0, 1])
def test_records_of_entities_are_as_single_examples(tmp_path: Path, frozen: int) -> None:
    job = captured_job(make_recipe(tmp_path), tmp_path / "run", *STILL, *SMALL)
    job.records = [[0, 1, 2], *([at] for at in range(3, 12)), [12, 13]]
    if frozen:
        job.model.encoder.embeddings.requires_grad_(False)
        job.model.encoder.layers[0].requires_grad_(False)
    assert packable(job.model)
    for limit in limits(job):
        agree(packed(job, job.records, limit), alone(job, job.records, limit))


@pytest.mark.parametrize("name", [name for name in PARTS if name != "entities"])
def test_records_of_any_task_are_as_single_examples(tmp_path: Path, name: str) -> None:
    job = captured_job(make_task_recipe(tmp_path, name), tmp_path / "run", *STILL)
    job.records = job.records[:9]
    assert packable(job.model)
    for limit in limits(job):
        agree(packed(job, job.records, limit), alone(job, job.records, limit))


def test_records_with_several_pairs_in_one_pass_are_as_single_examples(tmp_path: Path) -> None:
    path = make_task_recipe(tmp_path, "treats")
    documents = join_documents(tmp_path)
    job = captured_job(path, tmp_path / "run", *STILL, *ONE_PASS)
    assert len(job.records) == len(documents)
    job.records = job.records[:9]
    assert any(
        len(job.tasks[0].data.examples[index].record_of_position) > 2 for record in job.records for index in record
    )
    for limit in limits(job):
        agree(packed(job, job.records, limit), alone(job, job.records, limit))


def test_the_loss_of_a_record_is_that_of_the_job(tmp_path: Path) -> None:
    for path in (make_recipe(tmp_path / "a"), make_task_recipe(tmp_path / "b", "roles")):
        job = captured_job(path, tmp_path / "run" / path.parent.name, *STILL)
        alone = [record for record in job.records if len(record) == 1][:5]
        assert len(alone) == 5
        losses = job.each(alone).losses
        assert torch.allclose(losses, torch.stack([job.loss(Batch(0, record))[0] for record in alone]), rtol=1e-5)


def test_sentences_of_a_document_and_windows_of_a_sentence_are_one_record(tmp_path: Path) -> None:
    job = captured_job(make_recipe(tmp_path / "conll"), tmp_path / "run", *SMALL)
    assert sorted(number for record in job.records for number in record) == list(range(len(job.tasks[0].data.examples)))
    assert any(len(record) > 1 for record in job.records), "a sentence of several windows"
    assert len(job.records) == 120, "in CoNLL without -DOCSTART- each sentence is a document"
    path = make_task_recipe(tmp_path, "treats")
    corpus = 'name="c", format="jsonl", train=["c.jsonl"], types={Disease="Disease", Chemical="Chemical"}'
    entities = tmp_path / "entities.toml"
    entities.write_text(
        path.read_text().split("[[tasks]]")[0]
        + "[entities]\ntypes = ['Disease', 'Chemical']\n[training]\nepochs = 1\nlearning_rate = 1e-3\n"
    )
    job = captured_job(entities, tmp_path / "run2", f"corpora=[{{{corpus}}}]")
    assert len(job.records) == 60
    relations = captured_job(path, tmp_path / "run3")
    assert len(relations.records) == 60
    assert sorted(number for record in relations.records for number in record) == list(range(60))


def test_low_rank_products_and_other_encoders_are_read_one_at_a_time(tmp_path: Path) -> None:
    job = captured_job(make_recipe(tmp_path), tmp_path / "run", *STILL, "training.lora_rank=2")
    assert not packable(job.model)
    records = job.records[:4]
    median = float(alone(job, records, 1.0)[0].median())
    expected = alone(job, records, median)
    job.model.zero_grad(set_to_none=True)
    norms = torch.stack([add_clipped_alone(job.model, job.each([record]).losses[0], median) for record in records])
    agree((norms, gradients(job.model)), expected)


def test_in_bf16_the_cut_gradient_of_a_record_is_not_longer_than_the_limit(tmp_path: Path) -> None:
    job = captured_job(make_recipe(tmp_path), tmp_path / "run", *STILL)
    for record in job.records[:5]:
        job.model.zero_grad(set_to_none=True)
        with watched(job.model) as calls, autocast(torch.device("cpu"), "bf16"):
            each = job.each([record])
        (norm,) = add_clipped(each.losses, calls, Owners(each.tokens, 1), Owners(each.rows, 1), 0.01)
        size = torch.cat([item.flatten() for item in gradients(job.model).values()]).norm()
        assert norm > 0.01
        assert 0.00999 < size < 0.010001


def test_the_sum_is_that_of_opacus() -> None:
    opacus = pytest.importorskip("opacus", reason="the extra `privacy` is not installed")
    torch.manual_seed(0)

    class Small(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = nn.Embedding(11, 6)
            self.inner, self.norm, self.out = nn.Linear(6, 9), nn.LayerNorm(9), nn.Linear(9, 2)

        def forward(self, ids: Tensor) -> Tensor:
            return self.out(torch.tanh(self.norm(self.inner(self.table(ids)))))

    model, ids, target = Small(), torch.randint(11, (7, 4)), torch.randn(7, 4, 2)
    flat = ids.flatten()
    with watched(model) as calls:
        found = model(flat)
    losses = (found.view(7, 4, 2) - target).square().mean((1, 2))
    owners = Owners(torch.arange(7).repeat_interleave(4), 7)
    norms = add_clipped(losses, calls, owners, owners, 2.3)
    ours = gradients(model)
    assert norms.min() < 2.3 < norms.max()

    model.zero_grad(set_to_none=True)
    watched_model = opacus.GradSampleModule(model, loss_reduction="sum")
    optimizer = opacus.optimizers.DPOptimizer(
        torch.optim.SGD(model.parameters(), lr=1.0), noise_multiplier=0.0, max_grad_norm=2.3, expected_batch_size=1
    )
    (watched_model(ids) - target).square().mean((1, 2)).sum().backward()
    optimizer.pre_step()
    for name, item in model.named_parameters():
        assert torch.allclose(item.grad, ours[name], atol=1e-6), name


def test_a_layer_that_is_called_twice_is_refused() -> None:
    model = nn.Sequential(nn.Linear(3, 3))
    with watched(model) as calls:
        out = model(model(torch.randn(2, 3)))
    owners = Owners(torch.arange(2), 2)
    with pytest.raises(ValueError, match="called twice"):
        add_clipped(out.sum(1), calls, owners, owners, 1.0)
