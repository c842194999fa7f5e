"""What the table of techniques says is true: each kind of run trains with all that it may, and refuses the rest."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from textome.errors import InputError
from textome.tasks import task_class
from textome.training.kinds import plan_run
from textome.training.techniques.matrix import CONFLICTS, TECHNIQUES
from tiny import make_pretraining_recipe
from tiny_modalities import write_images
from tiny_pixels import write_masked
from tiny_sequences import write_dna
from training.test_language_model import make_gpt_recipe
from training.test_pairs import write_pairs
from training.test_span_corruption_run import make_t5_recipe
from training.test_text_to_text import make_recipe as make_text_to_text
from training.test_translation import make_recipe as make_translation

# A value of each key of [training] that is not its default.
VALUES = {
    "micro_budget": "100",
    "gradient_checkpointing": "true",
    "layer_decay": "0.9",
    "frozen_layers": "1",
    "average": "0.5",
    "patience": "5",
    "min_steps": "2",
    "schedule": "inverse_sqrt",
    "stages": "[{until=0.5, length=8}, {until=1.0, length=16}]",
    "evaluate_every": "200",
    "workers": "1",
    "lora_rank": "2",
    "int8_aware": "true",
    "adversarial": "0.1",
    "r_drop": "0.5",
    "token_masking": "0.1",
    "word_mixing": "0.5",
    "early_exit": "1",
    "label_smoothing": "0.1",
}
# Those that take long, or that a single process cannot show.
ELSEWHERE = {"training.sharding", "training.compile"}


def sequences(write: Callable[[Path], str], modality: str, target: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        place = write(folder)
        path = folder / "recipe.toml"
        path.write_text(
            f'name = "tiny"\n[data]\ntrain = ["{place}"]\nvalidation = ["{place}"]\ndrop_leaks = false\n'
            f"[modality]\n{modality}\n[target]\n{target}\n[model]\nlayers = 2\nhidden_size = 32\n"
            "num_attention_heads = 2\nintermediate_size = 64\n[training]\nepochs = 1\nlearning_rate = 1e-3\n"
            'token_budget = 400\nprecision = "fp32"\n'
        )
        return path

    return make


def pairs(folder: Path) -> Path:
    pytest.importorskip("rdkit")
    write_pairs(folder)
    path = folder / "recipe.toml"
    path.write_text(
        'name = "tiny"\n[data]\ntrain = ["pairs.tsv"]\nvalidation = ["pairs.tsv"]\ndrop_leaks = false\n'
        '[modality]\nkind = "pairs"\ntargets = ["score"]\nfiles = { molecule = "m.csv", protein = "p.fasta" }\n'
        '[modality.parts]\nmolecule = { kind = "molecules", scheme = "fingerprint", name = "name" }\n'
        'protein = { kind = "proteins", scheme = "kmers" }\n[target]\nkind = "affinity"\n'
        "[model]\nintermediate_size = 16\nhidden_size = 8\njoint_size = 8\n"
        '[training]\nepochs = 1\nlearning_rate = 1e-3\ntoken_budget = 16\nprecision = "fp32"\n'
    )
    return path


def segmentation(folder: Path) -> Path:
    write_masked(folder, 4)
    path = folder / "recipe.toml"
    path.write_text(
        'name = "tiny"\n[data]\ntrain = ["."]\nvalidation = ["."]\ndrop_leaks = false\n'
        '[modality]\nkind = "pixels"\ntile = 32\noverlap = 8\n[target]\nkind = "segmentation"\n'
        "[model]\nwidths = [8, 8]\nencoder_layers = 1\nhidden_size = 16\nnum_attention_heads = 2\nintermediate_size = 16\n"
        '[training]\nepochs = 1\nlearning_rate = 1e-3\ntoken_budget = 32\nprecision = "fp32"\n'
    )
    return path


def text_to_text(folder: Path) -> Path:
    path = make_text_to_text(folder)
    path.write_text(path.read_text().replace("epochs = 8", "epochs = 1").replace("#0-20%", "#0-5%"))
    return path


RUNS: dict[str, Callable[[Path], Path]] = {
    "segmentation": segmentation,
    "sequence_classification": sequences(write_images, 'kind = "image"\nsize = 8\npatch = 4', ""),
    "masked_tokens": sequences(write_dna, 'kind = "dna"\nwindow = 24', 'kind = "masked"'),
    "affinity": pairs,
    "translation": lambda folder: make_translation(folder, epochs=1),
    "text_to_text": text_to_text,
    "span_corruption": lambda folder: make_t5_recipe(folder, tokens=600),
    "masked_lm": lambda folder: make_pretraining_recipe(folder, tokens=600),
    "language_model": lambda folder: make_gpt_recipe(folder, {}, tokens=1500),
}


@pytest.mark.parametrize("kind", RUNS)
def test_a_run_trains_with_every_technique_that_it_may_and_refuses_the_others(tmp_path: Path, kind: str) -> None:
    path, task = RUNS[kind](tmp_path), task_class(kind)
    works = []
    for technique in TECHNIQUES:
        section, _, key = technique.key.partition(".")
        if section != "training" or technique.key in ELSEWHERE:
            continue
        if reason := technique.reason(task.trained_by, kind, task):
            with pytest.raises(InputError, match=f"training.{key} does not work for this kind of task: {reason}"):
                plan_run(path, [f"training.{key}={VALUES[key]}"])
        else:
            works.append(key)
    # As many together as there may be, and then the others.
    while works:
        chosen: list[str] = []
        for key in works:
            if not any(
                {first, second} <= {f"training.{name}" for name in (*chosen, key)} for first, second, _ in CONFLICTS
            ):
                chosen.append(key)
        works = [key for key in works if key not in chosen]
        said: list[dict[str, Any]] = []
        name = f"run{len(works)}"
        run = plan_run(path, [f"training.{key}={VALUES[key]}" for key in chosen])
        bundle = run.start(tmp_path / name, False, said.append)
        assert (bundle / "model.safetensors").is_file()
        recipe = json.loads((tmp_path / name / "recipe.json").read_text())
        assert all(str(recipe["training"][key]) for key in chosen)
