"""Recipes of translation: an encoder-decoder from scratch on parallel texts, with a vocabulary of its own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pydantic import Field, model_validator

from textome.encoders import from_others
from textome.tasks.translation import Translation
from textome.training.recipe import Training
from textome.training.recipe_files import Section, read_recipe
from textome.training.techniques.matrix import check_techniques


class TranslationData(Section):
    """Parallel texts, see datasets.parallel. Training pairs whose source stands in a test file are left out.

    source, target   codes of the languages, as "en"
    """

    root: str = "."
    source: str = Field(pattern=r"^[A-Za-z-]+$")
    target: str = Field(pattern=r"^[A-Za-z-]+$")
    train: list[str] = Field(min_length=1)
    validation: tuple[str, ...] = ()
    test: tuple[str, ...] = ()
    drop_leaks: bool = True


class TranslationModel(Section):
    """Sizes of the encoder-decoder (encoders.seq2seq.model), and of the vocabulary that both languages share.

    base         the bundle of a finished translation, from whose weights the run goes on, as for texts of another field;
                 sizes, vocabulary and `longest` are its own then, and are not given
    encoder      the paper's own, or another of the same sizes, as "deberta" with disentangled attention
    vocabulary   sub-words, by byte-pair encoding over bytes (Sennrich et al. 2016), so that no character is unknown
    longest      sub-words of a text at most; training pairs beyond it are left out and counted
    """

    base: str | None = None
    encoder: str = "transformer"
    vocabulary: int = Field(8000, ge=300)
    hidden_size: int = Field(256, ge=8)
    encoder_layers: int = Field(3, ge=1)
    decoder_layers: int = Field(3, ge=1)
    num_attention_heads: int = Field(4, ge=1)
    intermediate_size: int = Field(1024, ge=8)
    dropout: float = Field(0.1, ge=0, lt=1)
    normalize_before: bool = True
    longest: int = Field(256, ge=8)

    @model_validator(mode="after")
    def _sizes(self) -> TranslationModel:
        if self.encoder not in (known := ("transformer", *from_others())):
            raise ValueError(f"model.encoder {self.encoder!r} is not one of {', '.join(known)}")
        if self.base is not None and (given := sorted(self.model_fields_set - {"base", "dropout"})):
            raise ValueError(f"model.base brings {', '.join(given)} with it; leave out what base brings")
        if self.hidden_size % self.num_attention_heads:
            raise ValueError("hidden_size must be a multiple of num_attention_heads")
        return self


class TranslationRecipe(Section):
    """A training run for translation."""

    task: str = Field("translation", pattern="^translation$")
    name: str
    description: str = ""
    licence: str = ""
    model: TranslationModel
    data: TranslationData
    training: Training

    @model_validator(mode="after")
    def _settings_are_used(self) -> TranslationRecipe:
        check_techniques(self.training, "translation", [Translation])
        return self

    def path(self, place: str) -> str:
        """A data path of the recipe made absolute."""
        return str(Path(self.data.root) / place)


def load_translation_recipe(path: Path, overrides: Sequence[str] = ()) -> TranslationRecipe:
    """Read a recipe with `task = "translation"`; see `read_recipe`."""
    return read_recipe(TranslationRecipe, path, overrides, "TEXTOME_DATA")
