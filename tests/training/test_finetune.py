"""Training end to end on a tiny model: it learns, it can be stopped anywhere, and what it leaves loads everywhere."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import load_file

from captured import captured_job
from textome.errors import InputError
from textome.tasks.spans.iob import IGNORED, OUTSIDE
from textome.text.tokenization import Tokenizer
from textome.training.batches import plan
from textome.training.finetune import finetune
from textome.training.job import Batch
from textome.training.recipe import load_recipe
from tiny import corpora_of, make_recipe
from training_runs import records, same_weights, stopped


def test_a_tiny_corpus_is_learnt_by_two_heads_that_never_saw_each_others_types(tiny_run: Path) -> None:
    last = records(tiny_run, "validation")[-1]
    assert last["scores"]["diseases"] > 0.95
    assert last["scores"]["drugs"] > 0.95
    described = json.loads((tiny_run / "bundle" / "textome.json").read_text())
    assert described["tasks"]["entities"]["types"] == ["Disease", "Chemical"]
    assert set(described["provenance"]["data"]["entities"]) >= {"drugs.tsv", "drugs-devel.tsv"}


def test_a_bundle_made_from_another_records_how_that_was_made_and_no_folder(tiny_run: Path, tmp_path: Path) -> None:
    recipe = load_recipe(make_recipe(tmp_path, epochs=1), [f"model.base={json.dumps(str(tiny_run / 'bundle'))}"])
    record = json.loads((finetune(recipe, tmp_path / "run") / "textome.json").read_text())["provenance"]
    assert record["base"] == json.loads((tiny_run / "bundle" / "textome.json").read_text())["provenance"]
    assert record["recipe"]["model"]["base"] == f"{tiny_run.name}/bundle"


def test_the_bundle_loads_in_transformers_with_its_labels_in_order(tiny_run: Path) -> None:
    model = transformers.AutoModelForTokenClassification.from_pretrained(tiny_run / "bundle")
    assert list(model.config.id2label.values()) == [
        "Disease:O", "Disease:B", "Disease:I", "Chemical:O", "Chemical:B", "Chemical:I",
    ]  # fmt: skip
    saved = load_file(tiny_run / "bundle" / "model.safetensors")
    assert torch.equal(model.classifier.weight, saved["classifier.weight"])


def test_a_stopped_run_can_be_finished_with_the_mean_of_the_weights_that_it_had(tmp_path: Path) -> None:
    recipe = load_recipe(make_recipe(tmp_path, epochs=2, checkpoint_minutes=1e-9), ["training.average=0.5"])
    with pytest.raises(InputError, match="no checkpoint to finish the run with"):
        finetune(recipe, tmp_path / "run", finish=True)
    with stopped(torch.optim.AdamW, "step", 5):
        finetune(recipe, tmp_path / "run", resume=True)
    last = max((tmp_path / "run" / "checkpoints").glob("step-*"))
    means = load_file(last / "optimizer.safetensors")
    bundle = finetune(recipe, tmp_path / "run", resume=True, finish=True)
    assert last.name == "step-0000004"
    saved = load_file(bundle / "model.safetensors")["bert.embeddings.word_embeddings.weight"]
    assert any(torch.equal(saved, tensor) for name, tensor in means.items() if name.startswith("average."))
    assert len(json.loads((bundle / "textome.json").read_text())["provenance"]["validation"]) == 1


@pytest.mark.parametrize("step", [2, 7, 12])
def test_a_run_stopped_anywhere_and_resumed_gives_the_same_weights(tmp_path: Path, step: int) -> None:
    path = make_recipe(tmp_path, epochs=2, checkpoint_minutes=1e-9)
    whole = finetune(load_recipe(path), tmp_path / "whole")
    # The optimiser's step is where a real kill may fall as well: between two checkpoints.
    with stopped(torch.optim.AdamW, "step", step):
        finetune(load_recipe(path), tmp_path / "stopped")
    torch.manual_seed(99)  # a new process would not have the old random state either
    resumed = finetune(load_recipe(path), tmp_path / "stopped", resume=True)
    assert same_weights(whole, resumed)
    assert records(tmp_path / "stopped", "validation") == records(tmp_path / "whole", "validation")


def test_a_run_is_not_overwritten_nor_resumed_with_another_recipe(tmp_path: Path) -> None:
    path = make_recipe(tmp_path, epochs=1)
    finetune(load_recipe(path), tmp_path / "run")
    with pytest.raises(InputError, match="--resume"):
        finetune(load_recipe(path), tmp_path / "run")
    with pytest.raises(InputError, match="another recipe"):
        finetune(load_recipe(path, ["training.seed=8"]), tmp_path / "run", resume=True)


def test_a_loss_that_is_no_number_stops_the_run_and_says_where(tmp_path: Path) -> None:
    path = make_recipe(tmp_path, epochs=3, learning_rate=1e30, max_grad_norm=1e30, warmup=0.0)
    with pytest.raises(InputError, match=r"the loss is (nan|inf) at step \d+ .*learning_rate"):
        finetune(load_recipe(path), tmp_path / "run")


def test_a_split_without_sentences_is_named(tmp_path: Path) -> None:
    path = make_recipe(tmp_path)
    (tmp_path / "drugs.tsv").write_text("broken line\n\nanother\n")
    with pytest.raises(InputError, match="'drugs': no training sentence"):
        finetune(load_recipe(path), tmp_path / "run")


def test_training_sentences_of_a_test_file_are_left_out(tmp_path: Path) -> None:
    path = make_recipe(tmp_path, epochs=1)
    sentence = [("Patients", "O"), ("with", "O"), ("recurrent", "O"), ("abdominal", "O"), ("pain", "O"),
                ("took", "O"), ("quinine", "B-Chemical"), ("tablets", "O")]  # fmt: skip
    block = "".join(f"{word}\t{tag}\n" for word, tag in sentence) + "\n"
    with (tmp_path / "drugs.tsv").open("a") as stream:
        stream.write(block)
    (tmp_path / "test.tsv").write_text(block.upper().replace("\tO", "\tO").replace("-CHEMICAL", "-Chemical"))
    recipe = load_recipe(
        path, ['corpora=[{name="drugs", train=["drugs.tsv"], test=["test.tsv"], types={Chemical="Chemical"}}]']
    )
    finetune(recipe, tmp_path / "run")
    assert (
        json.loads((tmp_path / "run" / "data.json").read_text())["entities"]["corpora"]["drugs"]["left_out_as_leaks"]
        == 1
    )


def test_types_that_exclude_each_other_teach_each_other_in_training_only(tmp_path: Path) -> None:
    recipe = load_recipe(make_recipe(tmp_path), ['entities.exclusive=[["Chemical", "Disease"]]'])
    tokenizer, task = Tokenizer.load(recipe.model.base), recipe.tasks[0].task
    for corpus, own, other in zip(corpora_of(recipe), (0, 1), (1, 0), strict=True):
        examples = task.examples(corpus.train, tokenizer, 32, 8)
        rows = np.concatenate([task.targets_of(example, corpus.train) for example in examples])
        mentioned = rows[:, own] > OUTSIDE
        assert mentioned.any()
        assert not mentioned.all()
        assert (rows[mentioned, other] == OUTSIDE).all()
        assert (rows[~mentioned, other] == IGNORED).all()
        assert corpus.validation[0].annotated == (own,)


def test_packed_batches_hold_each_example_once_within_the_budget() -> None:
    lengths = np.random.default_rng(0).integers(3, 90, 500).tolist()
    for generator in (None, np.random.default_rng(1)):
        batches = plan(lengths, 200, generator)
        assert sorted(index for batch in batches for index in batch) == list(range(500))
        assert all(sum(lengths[index] for index in batch) <= 200 for batch in batches)
        fill = sum(lengths) / (200 * len(batches))
        assert fill > 0.8
    assert plan(lengths, 200, np.random.default_rng([7, 1])) == plan(lengths, 200, np.random.default_rng([7, 1]))


def test_an_example_longer_than_the_budget_has_a_batch_of_its_own() -> None:
    assert [0] in plan([500, 3, 4], 100, None)


def test_packing_keeps_words_with_their_targets(tmp_path: Path) -> None:
    job = captured_job(make_recipe(tmp_path), tmp_path / "run")
    (task,) = job.tasks
    data = task.data
    chosen = sorted((5, 1, 3, 9), key=lambda index: len(data.examples[index].input_ids))
    packed = task.packed(Batch(0, [5, 1, 3, 9]))
    examples = [data.examples[index] for index in chosen]
    assert packed.ids.tolist() == np.concatenate([example.input_ids for example in examples]).tolist()
    words = np.concatenate([example.input_ids[example.positions] for example in examples])
    assert packed.ids[packed.positions].tolist() == words.tolist()
    assert packed.targets.tolist() == np.concatenate([data.targets[index] for index in chosen]).tolist()
    assert packed.sizes == [len(example.positions) for example in examples]


def test_what_a_run_leaves_may_be_read_by_others(tiny_run: Path) -> None:
    umask = os.umask(0)
    os.umask(umask)
    modes = {path: path.stat().st_mode & 0o777 for path in tiny_run.rglob("*") if path.is_file()}
    assert modes
    assert set(modes.values()) == {0o666 & ~umask}, modes
