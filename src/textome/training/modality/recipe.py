"""Recipes of sequence models: one modality, one target, an encoder from scratch or from a pretrained one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from textome.inputs import AnyModality
from textome.tasks.target import Target
from textome.training.recipe import Training
from textome.training.recipe_files import Section, read_recipe
from textome.training.techniques.matrix import check_techniques


class ModalityData(Section):
    """Where the records lie: places of the modality, or `PLACE#RULE` for a part of them (see inputs.records).

    Records of `train` whose content stands in `test` too are left out with `drop_leaks`.
    """

    root: str = "."
    train: tuple[str, ...] = Field(min_length=1)
    validation: tuple[str, ...] = ()
    test: tuple[str, ...] = ()
    drop_leaks: bool = True


class SequenceEncoder(Section):
    """The encoder's sizes, or where it comes from.

    base        a text encoder in the Hugging Face layout, or the bundle of another sequence model; `package:NAME/FOLDER`
                for one inside a package. Its sizes are taken, and with `pretrained` its weights
    layers      of the base so many are kept, the last one and the others evenly below it
    pooling     what the head sees: the start token's state, or the mean of all
    """

    base: str = ""
    pretrained: bool = True
    layers: int | None = Field(None, ge=1)
    hidden_size: int = Field(128, ge=8)
    num_attention_heads: int = Field(4, ge=1)
    intermediate_size: int = Field(512, ge=8)
    hidden_dropout: float = Field(0.1, ge=0, lt=1)
    attention_dropout: float = Field(0.0, ge=0, lt=1)
    pooling: Literal["first", "mean"] = "mean"


class Mixing(Section):
    """Two records become one, with the mean of their targets (single labels or numbers; vectors of one length).

    mixup   alpha of the beta distribution of the shares (Zhang et al. 2018, equation 1), 0 for none
    cutmix  the same for a box of patches, or a stretch of time, of the other record (Yun et al. 2019, equation 1)
    """

    mixup: float = Field(0.0, ge=0)
    cutmix: float = Field(0.0, ge=0)


class ModalityRecipe(Section):
    """A run that trains a sequence model."""

    task: Literal["modality"] = "modality"
    name: str
    description: str = ""
    licence: str = ""
    data: ModalityData
    modality: AnyModality
    target: Target = Field(default_factory=lambda: Target.model_validate({}))
    model: SequenceEncoder = Field(default_factory=lambda: SequenceEncoder.model_validate({}))
    mixing: Mixing = Field(default_factory=lambda: Mixing.model_validate({}))
    training: Training

    @model_validator(mode="after")
    def _is_heeded(self) -> ModalityRecipe:
        check_techniques(self.training, "modality", [type(self.target)])
        if (self.mixing.mixup or self.mixing.cutmix) and self.target.kind == "masked_tokens":
            raise ValueError("mixing needs targets, and hidden tokens have none to mix")
        return self

    def path(self, place: str) -> str:
        """A data path of the recipe made absolute."""
        return str(Path(self.data.root) / place)


def load_modality_recipe(path: Path, overrides: Sequence[str] = ()) -> ModalityRecipe:
    """Read a recipe with `task = "modality"`; see `read_recipe`."""
    return read_recipe(ModalityRecipe, path, overrides, "TEXTOME_DATA")
