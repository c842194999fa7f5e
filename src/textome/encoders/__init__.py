"""The encoders there are: one folder an architecture, one line each in the table `ENCODERS`.

All other code asks an `Encoder` for what it must know, and names no architecture. Nothing here needs PyTorch: a folder's
`model.py` does, its `onnx.py` needs the package onnx, and inference needs neither.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib import import_module
from typing import Any, Literal, cast

Pruned = Literal["layers", "attention_heads", "intermediate_size"]


@dataclass(frozen=True, slots=True)
class HeadLayer:
    """The layer between hidden states and the scores of a head: linear, an activation, and a norm if it has one.

    dense, norm, classifier   the names of its layers and of the last one, which scores, in the checkpoint of a model with
                              one head; `norm` is "" if there is none
    bias          whether the linear layer has one
    norm_bias, epsilon   of the norm
    over_tokens   whether heads over each token have such a layer too, not only those over [CLS] or several tokens
    text_classifier   the name of the last layer of the only head if that is over [CLS]; "" if it is `classifier` too
    """

    dense: str
    activation: str = "tanh"
    bias: bool = True
    norm: str = ""
    norm_bias: bool = True
    epsilon: float = 1e-5
    over_tokens: bool = False
    classifier: str = "classifier"
    text_classifier: str = ""

    def of(self, task: str, num_heads: int, num_pooled: int) -> HeadLayer:
        """The layer of this task's head, by its names in a checkpoint with `num_heads` heads.

        num_pooled   how many hidden states the head joins; 0 of a head over each token
        """
        if num_heads == 1 and num_pooled <= 1:
            return replace(self, classifier=(num_pooled and self.text_classifier) or self.classifier)
        name = f"heads.{task}."
        return replace(self, dense=f"{name}dense", norm=self.norm and f"{name}norm", classifier=f"{name}classifier")


@dataclass(frozen=True, slots=True)
class Encoder:
    """What all other code must know of an architecture.

    folder          its folder below `encoders`
    transformers    what the names of its classes in `transformers` begin with
    prefix          before the names of its tensors in a checkpoint that has a head too
    hidden_states   the tensor of the last hidden states, (S, B, hidden_size), in an exported graph; `{last}` stands for the
                    number of the last layer
    head_layer      the layer that its heads have, from a parsed `config.json`
    unused          a pattern of the tensors that its published checkpoints have and other tasks do not need
    config          what `config.json` says so that `transformers` computes heads as Textome does
    positions       the key of `config.json` for the number of positions
    unused_positions   the rows of its table of positions that no token has
    causal          whether a token sees only those before it, so that it writes texts and has no heads over them
    dropout, attention_dropout   the keys of `config.json` for dropout of hidden states and of attention weights
    starts_from     the folders of architectures whose weights a fresh one can take over, see its conversion.py
    prunable        what pruning.py can take away
    int8_aware      whether its int8 graph rounds word embeddings, the weights of all linear layers and what these read, and
                    nothing else, so that training can round alike
    early_exit      whether tokens can leave its graph early, see early_exit.py
    next_sentence   whether it has a pooler, and a head for pairs of sentences
    layers_called_once   whether a pass calls every layer with weights once, so that gradients of single records are known
    """

    folder: str
    transformers: str
    prefix: str
    hidden_states: str
    head_layer: Callable[[Mapping[str, Any]], HeadLayer]
    unused: str
    config: Mapping[str, Any] = field(default_factory=dict)
    positions: str = "max_position_embeddings"
    unused_positions: int = 0
    causal: bool = False
    dropout: tuple[str, ...] = ("hidden_dropout_prob",)
    attention_dropout: tuple[str, ...] = ("attention_probs_dropout_prob",)
    starts_from: frozenset[str] = frozenset()
    prunable: frozenset[Pruned] = frozenset()
    int8_aware: bool = False
    early_exit: bool = False
    next_sentence: bool = False
    layers_called_once: bool = False

    def max_length(self, config: Mapping[str, Any]) -> int:
        """The tokens of a sequence at most, with those at its ends."""
        return int(config.get(self.positions, 512)) - self.unused_positions

    def with_dropout(self, config: Mapping[str, Any], hidden: float, attention: float) -> dict[str, Any]:
        """A parsed `config.json` with these probabilities."""
        return {**config, **dict.fromkeys(self.dropout, hidden), **dict.fromkeys(self.attention_dropout, attention)}


# The `model_type` of a `config.json` -> the folder.
ENCODERS = {
    "bert": "bert",
    "deberta-v2": "deberta",
    "modernbert": "modernbert",
    "mpnet": "mpnet",
    "gpt2": "gpt",
    "textome-gpt": "gpt",  # with rotary positions
}
# A constant of a graph that tokens leave early, which a caller may feed: the score that a token must exceed to stay; minus
# infinity keeps all. See early_exit.py.
EXIT_THRESHOLD = "exit.threshold"
# The first checkpoints named no `model_type`.
UNNAMED = "bert"


def num_joined(num_pooled: int, groups: Sequence[int] = ()) -> int:
    """How many vectors of hidden_size a head joins: the positions that are in no group, the maximum of each of the `groups`
    (two or more, or none), and the product of the first two."""
    return num_pooled - sum(groups) + len(groups) + bool(groups)


def encoder_of(config: Mapping[str, Any]) -> Encoder:
    """The architecture that a parsed `config.json` names. Raises ValueError for one that is not in the table."""
    return encoder_of_folder(folder_of(config))


def encoder_of_folder(folder: str) -> Encoder:
    """The architecture of a folder in the table."""
    return cast(Encoder, import_module(f"textome.encoders.{folder}").ENCODER)


def from_others() -> list[str]:
    """The folders of architectures that can start from another one's weights."""
    return [folder for folder in ENCODERS.values() if encoder_of_folder(folder).starts_from]


def folder_of(config: Mapping[str, Any]) -> str:
    """The folder of that architecture. Raises ValueError as `encoder_of` does."""
    kind = config.get("model_type", UNNAMED)
    if kind not in ENCODERS:
        raise ValueError(f"the architecture is {kind!r}; only {', '.join(ENCODERS)} are supported")
    return ENCODERS[kind]
