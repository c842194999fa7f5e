"""A text-to-text model without PyTorch: it writes targets for the records of its tasks, and for prompts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

import numpy as np

from textome.datasets.labelled import LabelledText
from textome.documents import Document
from textome.errors import InputError
from textome.runtime.batching import batches
from textome.runtime.bundle import Bundle
from textome.runtime.generation.decoding import Steps, generating
from textome.runtime.generation.settings import GenerationSettings
from textome.runtime.generation.source_session import SourceSession
from textome.runtime.generation.targets import limits_of, settings_of, write_targets
from textome.runtime.generation.writer import Text, Writer, text_of
from textome.runtime.step import ModelSettings
from textome.tasks.text_to_text import TextToText, Written
from textome.text.tokenization import Tokenizer

# Tokens of sources that are read together; a beam of n counts n times.
_TOKENS = 4096


class TextToTextModel(Writer):
    """A loaded bundle of a T5. As a step, each of its tasks writes a label for a document."""

    def __init__(self, bundle: Bundle, session: SourceSession, settings: ModelSettings | None = None) -> None:
        super().__init__(bundle, settings)
        self.session, self.tokenizer = session, Tokenizer.load(bundle.directory)

    @classmethod
    def of(cls, bundle: Bundle, settings: ModelSettings) -> Self:
        path = bundle.onnx_path(settings.precision, settings.device)
        return cls(bundle, SourceSession(path, settings.threads, settings.device), settings)

    def predictions(self, name: str, records: Sequence[LabelledText]) -> list[Written]:
        task = self._task(name)
        examples = task.examples(records, self.tokenizer, self.bundle.window, self.bundle.overlap)
        written = write_targets(self.session.start, examples, self.tokenizer, settings_of(task), _TOKENS)
        return task.decode(records, examples, written)

    def check_record(self, name: str, record: LabelledText) -> None:
        self._task(name).examples([record], self.tokenizer, self.bundle.window, self.bundle.overlap)

    def apply(self, name: str, documents: Sequence[Document]) -> list[Document]:
        task, records, bad = self._task(name), list[LabelledText | None](), set[int]()
        for number, document in enumerate(documents):
            record = task.records(document, self.settings.question)[0] if document.text.strip() else None
            try:
                if record is not None:
                    self.check_record(name, record)
            except InputError as error:
                if self.report is None:
                    raise
                self.report(document, error)
                bad.add(number)
                record = None
            records.append(record)
        written = iter(self.predictions(name, [record for record in records if record is not None]))
        return [
            document if record is None else task.annotate(name, document, [record], [next(written)])
            for document, record in zip(documents, records, strict=True)
        ]

    def check_prompt(self, prompt: str) -> int:
        """A prompt is a source as the model was trained on, its prefix in front.

        Raises InputError where it is empty, longer than the window, or without the prefix of a task.
        """
        return len(self._source(prompt))

    def writing(self, prompts: Sequence[str], settings: GenerationSettings, first: int = 0) -> Steps[list[list[Text]]]:
        sources = [self._source(prompt) for prompt in prompts]
        texts: list[list[Text]] = [[] for _ in prompts]
        width = max(settings.beam, settings.samples)
        for group in batches(np.array([len(ids) for ids in sources], np.int64), max(1, _TOKENS // width)):
            limits = limits_of(self.tokenizer, len(group), settings)
            chosen = [sources[number] for number in group]
            yield sum(map(len, chosen))
            decoder = self.session.start(chosen)
            written = yield from generating(decoder, limits, settings, [first + number for number in group])
            for number, hypotheses in zip(group, written, strict=True):
                texts[number] = [text_of(item, self.tokenizer, settings.stop) for item in hypotheses]
        return texts

    def _source(self, prompt: str) -> np.ndarray[tuple[int], np.dtype[np.int32]]:
        prefixes = [self._task(name).prefix for name in self.tasks]
        if not prompt.strip():
            raise InputError("the prompt is empty")
        if all(prefixes) and not prompt.startswith(tuple(prefixes)):
            known = ", ".join(map(repr, prefixes))
            raise InputError(f"the prompt begins with the prefix of no task of the model; these are {known}")
        (tokens,) = self.tokenizer.encode([prompt])
        if len(tokens.ids) >= self.bundle.window:
            raise InputError(
                f"the prompt has {len(tokens.ids):,} tokens and the end token, and the model reads {self.bundle.window:,}; "
                f"shorten it, or annotate the text, which reads it in windows"
            )
        return np.append(tokens.ids, self.tokenizer.end_id).astype(np.int32)

    def _task(self, name: str) -> TextToText:
        task = self.task(name)
        assert isinstance(task, TextToText)
        return task
