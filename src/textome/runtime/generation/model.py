"""A language model without PyTorch: it writes on from prompts, and says how probable texts are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from textome.documents import Document
from textome.errors import InputError
from textome.runtime.batching import batches
from textome.runtime.bundle import Bundle
from textome.runtime.generation.decoding import Floats, Limits, Steps, finished, generating
from textome.runtime.generation.session import DecoderSession
from textome.runtime.generation.settings import GenerationSettings
from textome.runtime.generation.writer import Text, Writer, stops_after, text_of
from textome.runtime.step import ModelSettings
from textome.tasks import language_model as tasks
from textome.tasks.language_model import Likelihood
from textome.text.tokenization import Tokenizer

# Tokens whose keys and values are kept at once, and numbers of logits that are computed at once.
_TOKENS, _LOGITS = 2**12, 2**24


@dataclass(frozen=True, slots=True)
class _Window:
    """A stretch of a text's tokens; those from `first` on are scored, the others were in the window before."""

    record: int
    ids: list[int]
    first: int


class LanguageModel(Writer):
    """A loaded bundle of a decoder. As a step it writes on from each document, as a label."""

    def __init__(self, bundle: Bundle, session: DecoderSession, settings: ModelSettings | None = None) -> None:
        super().__init__(bundle, settings)
        self.session, self.tokenizer = session, Tokenizer.load(bundle.directory)
        self._positions = bundle.window
        self._task = next(task for task in bundle.tasks.values() if isinstance(task, tasks.LanguageModel))
        self._start, self._end = (
            int(bundle.config.get(key, default))
            for key, default in (("bos_token_id", self.tokenizer.start_id), ("eos_token_id", self.tokenizer.end_id))
        )

    @classmethod
    def of(cls, bundle: Bundle, settings: ModelSettings) -> Self:
        path = bundle.onnx_path(settings.precision, settings.device)
        return cls(bundle, DecoderSession(path, settings.threads, settings.device), settings)

    def check_prompt(self, prompt: str) -> int:
        """A prompt may be empty: the model then writes from the start of a text."""
        (ids,) = self._prompts([prompt])
        if len(ids) >= self._positions:
            raise InputError(
                f"the prompt has {len(ids):,} tokens, and the model reads at most {self._positions:,}, what it writes "
                "among them; give its end alone"
            )
        return len(ids)

    def writing(self, prompts: Sequence[str], settings: GenerationSettings, first: int = 0) -> Steps[list[list[Text]]]:
        for number, prompt in enumerate(prompts, first + 1):
            try:
                self.check_prompt(prompt)
            except InputError as error:
                raise InputError(f"prompt {number}: {error}") from error
        most = [settings.max_new_tokens] * len(prompts)
        return (yield from self._writing(self._prompts(prompts), most, settings, first))

    def predictions(self, name: str, records: Sequence[Document]) -> list[Likelihood]:
        """How probable each text is. One longer than the model's window is read in windows that share their halves."""
        texts = list(self.tokenizer.ids([record.text for record in records]))
        windows = [window for number, ids in enumerate(texts) for window in self._windows(number, ids.tolist())]
        totals = [0.0] * len(texts)
        size = min(_TOKENS, max(1, _LOGITS // int(self.bundle.config["vocab_size"])))
        for group in batches(np.array([len(window.ids) for window in windows], np.int64), size):
            for number, total in zip(group, self._scores([windows[index] for index in group]), strict=True):
                totals[windows[number].record] += total
        begins = self._task.begins  # otherwise nothing says how probable the first token is
        return [Likelihood(total, len(ids) - (not begins)) for total, ids in zip(totals, texts, strict=True)]

    def check_record(self, name: str, record: Document) -> None:
        min_length = 1 if self._task.begins else 2
        if len(next(self.tokenizer.ids([record.text]))) < min_length:
            raise InputError(f"record {record.id}: there is no text to score")

    def apply(self, name: str, documents: Sequence[Document]) -> list[Document]:
        """With what follows each text, at most twice as long as the text and ten tokens more, so that no request costs much
        more than its size. Of a long text the end is read."""
        task = self._task
        records = [task.records(document) for document in documents]
        room = self._positions - min(task.max_new_tokens, self._positions // 2)
        prompts = [ids[-room:] for ids in self._prompts([record.text for own in records for record in own])]
        limits = [min(task.max_new_tokens, 2 * len(ids) + 10) for ids in prompts]
        written = iter(finished(self._writing(prompts, limits, GenerationSettings())))
        return [
            task.annotate(name, document, own, [next(written)[0].text for _ in own])
            for document, own in zip(documents, records, strict=True)
        ]

    def _prompts(self, texts: Sequence[str]) -> list[list[int]]:
        """The tokens of prompts; that of an empty one is the start token."""
        prompts = [ids.tolist() for ids in self.tokenizer.ids(texts)]
        return [[self._start, *ids] if self._task.begins or not ids else ids for ids in prompts]

    def _writing(
        self, prompts: list[list[int]], most: Sequence[int], settings: GenerationSettings, first: int = 0
    ) -> Steps[list[list[Text]]]:
        """Prompts of nearly equal length are written on together."""
        width = max(settings.beam, settings.samples)
        lengths = [len(ids) + limit for ids, limit in zip(prompts, most, strict=True)]
        texts: list[list[Text]] = [[] for _ in prompts]
        for group in batches(np.array(lengths, np.int64) * width, _TOKENS):
            chosen = [prompts[number] for number in group]
            limits = Limits(
                first=[ids[-1] for ids in chosen],
                max_tokens=[min(most[number], self._positions - len(prompts[number])) for number in group],
                ends=(self._end,),
                no_repeat=settings.no_repeat,
                histories=chosen,
                is_stopped=stops_after(self.tokenizer, settings.stop),
            )
            yield sum(map(len, chosen))
            decoder = self.session.start(chosen)
            written = yield from generating(decoder, limits, settings, [first + number for number in group])
            for number, hypotheses in zip(group, written, strict=True):
                texts[number] = [text_of(item, self.tokenizer, settings.stop) for item in hypotheses]
        return texts

    def _windows(self, number: int, ids: list[int]) -> Iterator[_Window]:
        whole, size = [self._start, *ids] if self._task.begins else ids, self._positions
        for start in range(0, max(1, len(whole) - size + size // 2), max(1, size // 2)):
            yield _Window(number, whole[start : start + size], size - size // 2 if start else 1)

    def _scores(self, windows: Sequence[_Window]) -> list[float]:
        """The log probability of the scored tokens of each window."""
        max_length = max(len(window.ids) for window in windows)
        first = min(window.first for window in windows)
        tokens = np.zeros((len(windows), max_length), np.int64)
        mask = np.zeros((len(windows), max_length), np.int32)
        for row, window in enumerate(windows):
            tokens[row, : len(window.ids)], mask[row, : len(window.ids)] = window.ids, 1
        logits, _ = self.session.run(tokens, mask, range(first - 1, max_length - 1), self.session.empty(len(windows)))
        return [
            _log_probability(logits[row, window.first - first : len(window.ids) - first], window.ids[window.first :])
            for row, window in enumerate(windows)
        ]


def _log_probability(logits: Floats, tokens: Sequence[int]) -> float:
    """Of tokens (n,), from the logits (n, vocab_size) before each."""
    largest = logits.max(-1, keepdims=True)
    totals = np.log(np.exp(logits - largest).sum(-1, dtype=np.float64)) + largest[:, 0]
    return float((logits[np.arange(len(tokens)), list(tokens)] - totals).sum())
