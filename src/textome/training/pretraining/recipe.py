"""Recipes of pretraining runs: TOML files, read and checked as those of fine-tuning are (see recipe.py)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from textome.encoders import from_others
from textome.training.recipe import DeviceName, PrecisionName
from textome.training.recipe_files import Section, read_recipe


class Encoder(Section):
    """Where the encoder comes from.

    base       a directory in the Hugging Face layout, or `package:NAME/FOLDER` inside an installed package
    scratch    true to take only the sizes and the tokenizer of `base`, with fresh weights
    encoder    another architecture of the sizes of `base`, fresh or from its weights: "deberta" makes a DeBERTa of a BERT,
               set up as v3 is (He et al. 2023; see encoders/deberta/conversion.py). "same" keeps that of `base`
    tokenizer  a directory with a new vocabulary for the model (made by `textome train-tokenizer`), "default" for that of
               the bundled model, or `package:NAME/FOLDER`: a new token's embedding is built from those of the old tokens
               that it was split into
    """

    base: str
    scratch: bool = False
    encoder: str = "same"
    tokenizer: str | None = None
    hidden_dropout: float = Field(0.1, ge=0, lt=1)
    attention_dropout: float = Field(0.0, ge=0, lt=1)

    @model_validator(mode="after")
    def _known(self) -> Encoder:
        if self.encoder not in (known := ("same", *from_others())):
            raise ValueError(f"model.encoder {self.encoder!r} is not one of {', '.join(known)}")
        return self


class Source(Section):
    """A corpus made by `textome preprocess`. `weight` is its share of the sequences, against those of the others; without
    any weights every corpus counts by its size."""

    path: str
    name: str = ""
    weight: float | None = Field(None, gt=0)


class Data(Section):
    """`root` is where corpora lie; `held_out` the share of each corpus's documents that is only evaluated on, of which at
    most `held_out_tokens` tokens are read."""

    root: str = "."
    held_out: float = Field(0.005, ge=0, lt=1)
    held_out_tokens: int = Field(100_000, ge=1)


class Masking(Section):
    """Which tokens are hidden (see tasks/masked_lm.py) and whether sentence pairs are told apart as in the first BERT."""

    unit: Literal["word", "token", "span"] = "word"
    probability: float = Field(0.15, gt=0, lt=1)
    dynamic: bool = True
    next_sentence: bool = False


class Stage(Section):
    """Up to this share of the training, sequences have at most `length` tokens."""

    until: float = Field(gt=0, le=1)
    length: int = Field(ge=8)


class Training(Section):
    """Sizes and rates. `tokens` is how many tokens are trained on in all, `token_budget` how many make one step,
    `micro_budget` how many are computed at once (see recipe.Training, also for the keys that stand there too),
    `sharding` "full" spreads weights, gradients and the optimiser's state over the processes of a run,
    `workers` how many processes make batches ahead (default: some for a GPU, none otherwise)."""

    tokens: int = Field(ge=1)
    token_budget: int = Field(8192, ge=16)
    micro_budget: int | None = Field(None, ge=16)
    gradient_checkpointing: bool = False
    stages: tuple[Stage, ...] = (Stage(until=1.0, length=128),)
    learning_rate: float = Field(gt=0)
    warmup: float = Field(0.06, ge=0, le=1)
    weight_decay: float = Field(0.01, ge=0)
    max_grad_norm: float = Field(1.0, gt=0)
    seed: int = 42
    precision: PrecisionName = "auto"
    device: DeviceName = "auto"
    compile: bool = False
    sharding: Literal["none", "full"] = "none"
    workers: int | None = Field(None, ge=0)
    mlflow: str | None = None
    checkpoint_minutes: float = Field(5.0, gt=0)
    evaluate_every: int = Field(0, ge=0, description="tokens between evaluations; 0 for the start and the end only")

    @model_validator(mode="after")
    def _stages_rise(self) -> Training:
        ends = [stage.until for stage in self.stages]
        if not ends or ends != sorted(set(ends)) or ends[-1] != 1.0:
            raise ValueError("training.stages must have rising `until` values, the last of them 1.0")
        return self


class PretrainingRecipe(Section):
    """A masked-language-model run."""

    name: str
    description: str = ""
    licence: str = ""
    model: Encoder
    data: Data = Field(default_factory=lambda: Data.model_validate({}))
    corpora: list[Source] = Field(min_length=1)
    masking: Masking = Field(default_factory=lambda: Masking.model_validate({}))
    training: Training

    @model_validator(mode="after")
    def _weights_for_all_or_none(self) -> PretrainingRecipe:
        given = [source.weight is not None for source in self.corpora]
        if any(given) and not all(given):
            raise ValueError("corpora: give a weight to every corpus or to none")
        return self

    def path(self, path: str) -> Path:
        """A path of the recipe made absolute."""
        return Path(self.data.root) / path


def load_pretraining_recipe(path: str | Path, overrides: Sequence[str] = ()) -> PretrainingRecipe:
    """Read a pretraining recipe; see `recipe.read_recipe`. TEXTOME_CORPORA takes the place of `data.root`."""
    return read_recipe(lambda values, source: PretrainingRecipe, path, overrides, "TEXTOME_CORPORA")
