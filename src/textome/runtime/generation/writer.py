"""Models that write texts: what the verb `generate`, Python and others ask of them, whatever their architecture."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from textome.errors import ModelError
from textome.runtime.generation.decoding import EndedBy, Hypothesis, Steps, finished
from textome.runtime.generation.settings import GenerationSettings
from textome.runtime.step import ModelSettings, ModelStep, load_model
from textome.text.tokenization import Tokenizer

# Tokens before the newest that may belong to one character, or to what a decoder joins.
_AROUND = 8


@dataclass(frozen=True, slots=True)
class Text:
    """What was written behind a prompt.

    num_tokens       tokens that were written, without one that ends the text
    log_probability  natural logarithm of the probability of all that was written, by the model without its settings
    ended_by         "end": the model's own end, "stop": a string of `stop`, "length": there was no more room
    """

    text: str
    num_tokens: int
    log_probability: float
    ended_by: EndedBy


class Writer(ModelStep):
    """A loaded bundle that writes texts."""

    @classmethod
    def load(cls, model: str | Path, **settings: object) -> Self:
        """Load a bundle by folder or hub name; `settings` are the other fields of `ModelSettings`.

        Raises ModelError where it cannot be loaded or writes nothing, InputError for settings that are wrong.
        """
        loaded = load_model(ModelSettings.of({"model": str(model), **settings}))
        if not isinstance(loaded, cls):
            kinds = ", ".join(task.kind for task in loaded.bundle.tasks.values())
            raise ModelError(f"{loaded.directory}: this model writes no texts; its tasks are {kinds}")
        return loaded

    def generate(self, prompts: str | Sequence[str], **options: object) -> list[list[Text]]:
        """The texts that follow each prompt, the best first of a beam; `options` are those of `GenerationSettings`.

        Raises InputError for options that are wrong, and for a prompt that the model cannot read.
        """
        return self.write([prompts] if isinstance(prompts, str) else prompts, GenerationSettings.of(options))

    def write(self, prompts: Sequence[str], settings: GenerationSettings, first: int = 0) -> list[list[Text]]:
        """As `generate`. What is drawn for a prompt depends on the seed and its number alone, not on the others.

        first   the number of the first prompt, where others were written on before
        """
        return finished(self.writing(prompts, settings, first))

    @abstractmethod
    def writing(self, prompts: Sequence[str], settings: GenerationSettings, first: int = 0) -> Steps[list[list[Text]]]:
        """As `write`, with a pause before each run of the model."""

    @abstractmethod
    def check_prompt(self, prompt: str) -> int:
        """The tokens of a prompt. Raises InputError where the model cannot read it, or where no room to write is left."""


def stops_after(tokenizer: Tokenizer, stop: Sequence[str]) -> Callable[[Sequence[int]], bool]:
    """Whether a text's last token completes one of the strings; see `decoding.Limits`."""
    if not stop:
        return lambda tokens: False
    reach = max(len(item.encode()) for item in stop) + _AROUND

    def is_stopped(tokens: Sequence[int]) -> bool:
        ending = tokenizer.decode(tokens[-reach:], strip=False)
        return any(item in ending for item in stop)

    return is_stopped


def text_of(hypothesis: Hypothesis, tokenizer: Tokenizer, stop: Sequence[str]) -> Text:
    """What a hypothesis says, up to the first of the strings that stop it."""
    text = tokenizer.decode(hypothesis.tokens, strip=False)
    if hypothesis.ended_by == "stop":
        text = text[: min(at for item in stop if (at := text.find(item)) >= 0)]
    return Text(text, len(hypothesis.tokens), hypothesis.log_probability, hypothesis.ended_by)
