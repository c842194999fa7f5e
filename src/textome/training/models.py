"""The `[model]` of a recipe: one class for each kind of run, since each starts from something else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from textome.encoders import from_others
from textome.settings import Fields


class Model(Fields):
    """Where the model starts.

    base      a directory in the Hugging Face layout, or `package:NAME/FOLDER` inside an installed package
    heads     if the base has tasks of the recipe: "kept" keeps the heads of common labels, "fresh" makes new heads
    layers    keeps this many layers of the base: the last one and others evenly below it
    attention_heads, intermediate_size   keep this many attention heads and feed-forward neurons of each layer: those with
              the largest weights
    """

    base: str
    heads: Literal["kept", "fresh"] = "kept"
    layers: int | None = Field(None, ge=1)
    attention_heads: int | None = Field(None, ge=1)
    intermediate_size: int | None = Field(None, ge=1)
    hidden_dropout: float = Field(0.1, ge=0, lt=1)
    attention_dropout: float = Field(0.0, ge=0, lt=1)
    window: int = Field(512, ge=8)
    overlap: int = Field(128, ge=0)

    @model_validator(mode="after")
    def _overlap_fits(self) -> Self:
        _check_overlap(self.window, self.overlap)
        return self


class SequenceEncoder(Fields):
    """The encoder's sizes, or where it comes from.

    base        a text encoder in the Hugging Face layout, or the bundle of another sequence model; `package:NAME/FOLDER`
                for one inside a package. The model has its sizes and, with `pretrained`, its weights
    layers      keeps this many layers of the base: the last one and others evenly below it
    pooling     what the head reads: the state of the start token, or the mean of all states
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


class PairEncoder(Fields):
    """The sizes of two towers and the head over both (encoders.towers.model).

    intermediate_size, hidden_size   of a tower's middle layer, and of what it makes of a thing
    joint_size   of the layer that sees both things of a pair
    """

    intermediate_size: int = Field(512, ge=8)
    hidden_size: int = Field(256, ge=8)
    joint_size: int = Field(256, ge=8)
    hidden_dropout: float = Field(0.1, ge=0, lt=1)


class MapEncoder(Fields):
    """The sizes of a model that gives maps of images (encoders.transunet.model).

    widths        channels at half and at a quarter of a tile's side, multiples of 8
    encoder_layers, hidden_size, num_attention_heads, intermediate_size   of the Transformer over patches of 8 x 8 pixels
    """

    widths: tuple[int, int] = (24, 48)
    encoder_layers: int = Field(2, ge=1)
    hidden_size: int = Field(96, ge=8)
    num_attention_heads: int = Field(4, ge=1)
    intermediate_size: int = Field(192, ge=8)
    hidden_dropout: float = Field(0.0, ge=0, lt=1)
    attention_dropout: float = Field(0.0, ge=0, lt=1)

    @model_validator(mode="after")
    def _sizes(self) -> MapEncoder:
        if any(width < 8 or width % 8 for width in self.widths):
            raise ValueError(f"widths are multiples of 8, not {self.widths}")
        if self.hidden_size % self.num_attention_heads:
            raise ValueError("hidden_size must be a multiple of num_attention_heads")
        return self


class TranslationModel(Fields):
    """Sizes of the encoder-decoder (encoders.seq2seq.model), and of the vocabulary that both languages share.

    base         the bundle of a finished translation model, from whose weights the run starts, for instance to adapt it to
                 another field; it decides sizes, vocabulary and `max_length`
    encoder      the paper's own, or another of the same sizes, as "deberta" with disentangled attention
    vocabulary   sub-words, by byte-pair encoding over bytes (Sennrich et al. 2016), so that no character is unknown
    max_length   the maximum sub-words of a text; longer training pairs are left out and counted
    """

    old_keys: ClassVar[Mapping[str, str]] = {"longest": "max_length"}

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
    max_length: int = Field(256, ge=8)

    @model_validator(mode="after")
    def _sizes(self) -> TranslationModel:
        if self.encoder not in (known := ("transformer", *from_others())):
            raise ValueError(f"model.encoder {self.encoder!r} is not one of {', '.join(known)}")
        if self.base is not None:
            _check_left_out(self, "base", "dropout")
        if self.hidden_size % self.num_attention_heads:
            raise ValueError("hidden_size must be a multiple of num_attention_heads")
        return self


class TextToTextModel(Fields):
    """The sizes of a T5 (encoders.t5), or where it comes from.

    base          a T5 in the Hugging Face layout, the model of a run that pretrained one, or the bundle of a finished run;
                  it decides the sizes and the vocabulary
    tokenizer     without a base: a folder with a vocabulary that has sentinels (`textome train-tokenizer --sentinels`)
    feed_forward  "relu" as in T5 v1.0, or "gated-gelu" as in v1.1
    tied          whether the output scores by the table of embeddings, as in v1.0
    window, overlap   tokens of a source at most, and how many of them two windows of a longer one share
    """

    base: str | None = None
    tokenizer: str | None = None
    hidden_size: int = Field(256, ge=8)
    encoder_layers: int = Field(4, ge=1)
    decoder_layers: int = Field(4, ge=1)
    num_attention_heads: int = Field(4, ge=1)
    head_size: int = Field(64, ge=1)
    intermediate_size: int = Field(1024, ge=8)
    feed_forward: Literal["relu", "gelu", "gated-gelu", "gated-relu", "gated-silu"] = "gated-gelu"
    tied: bool = True
    dropout: float = Field(0.1, ge=0, lt=1)
    window: int = Field(512, ge=8)
    overlap: int = Field(64, ge=0)

    @model_validator(mode="after")
    def _one_origin(self) -> TextToTextModel:
        if (self.base is None) == (self.tokenizer is None):
            raise ValueError("give model.base, or model.tokenizer for a fresh model")
        if self.base is not None:
            _check_left_out(self, "base", "dropout", "window", "overlap")
        _check_overlap(self.window, self.overlap)
        return self


def _check_overlap(window: int, overlap: int) -> None:
    """Raises ValueError where windows, without their two special tokens, would not go on."""
    if overlap >= window - 2:
        raise ValueError(f"model.overlap is {overlap}; it must be less than model.window - 2, which is {window - 2}")


def _check_left_out(settings: Fields, *own: str) -> None:
    """Raises ValueError for what `model.base` decides. Defaults may be there: a resumed run reads all of its recipe."""
    defaults = {name for name, field in type(settings).model_fields.items() if getattr(settings, name) == field.default}
    if extra := sorted(settings.model_fields_set - defaults - set(own)):
        raise ValueError(f"model.base brings {', '.join(extra)} with it; leave out what base brings")


class PretrainedModel(Fields):
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
    def _known(self) -> PretrainedModel:
        if self.encoder not in (known := ("same", *from_others())):
            raise ValueError(f"model.encoder {self.encoder!r} is not one of {', '.join(known)}")
        return self
