"""What happens to one document on its way into a corpus: each step can be left out, and each is counted.

repair, clean -> sentences -> quality -> language -> leakage -> de-identification. What is left out says why.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from textome.corpus.filters import LanguageFilter, QualityLimits, fault_of
from textome.corpus.leakage import TestSets, pmid_of
from textome.documents import Document
from textome.errors import MissingExtraError
from textome.text.cleaning import CleaningOptions, clean
from textome.text.deidentification.finding import mask
from textome.text.sentences import split_sentences

_MAX_CHARACTERS = 1_000_000
_BLANK_LINE = re.compile(r"\n[^\S\n]*\n\s*")
# Formulas and pictures that a conversion left as text (MathType, base64), and sequences: no vocabulary has words for them.
_LONG_STRING = re.compile(r"[^\s\u2e80-\U0003ffff]{100,}")  # but scripts without spaces have long runs
# Not after one or two letters, which are initials and abbreviations (`p. syringae pv. tomato`).
_SENTENCE_START = re.compile(r"(?<=[^\s.]{3}[.!?…]\s)[a-z]")
_CAPITAL = re.compile("[A-Z]")
# A line of capitals alone is a heading (BACKGROUND, ABSTRACT.METHODS:) and no part of the sentence below it.
_HEADING = re.compile(r"^[^\S\n]*+((?=[^\n]*[A-Z]{3})[A-Z][A-Z0-9 .,:;&/()'’–-]{2,150})[^\S\n]*\n", re.MULTILINE)


@dataclass(frozen=True)
class Steps:
    """Which steps are done. All of it is kept in `corpus.json`, and a build is resumed only with the same.

    clean       repair of text decoded by a wrong encoding (`â€™` for `’`), markup, control characters, NFC, white space,
                strings of 100 characters or more without a space
    replace     (old, new) strings, replaced before all else: placeholders of a source, for instance
    split       sentences by rules; otherwise each paragraph is one
    languages   ISO 639-1 codes to keep; empty keeps all
    quality     limits, or None to keep all but empty documents
    """

    clean: bool = True
    lowercase: bool = False
    replace: tuple[tuple[str, str], ...] = ()
    split: bool = True
    languages: tuple[str, ...] = ()
    quality: QualityLimits | None = field(default_factory=QualityLimits)
    deidentify: bool = False


_NAMED_COUNTS = ("dropped", "leaked", "changed", "identifiers")


@dataclass
class Counts:
    """What happened to documents; all but `read` by reason or kind. `read` is `kept` and the sum of `dropped`."""

    read: int = 0
    kept: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    leaked: Counter[str] = field(default_factory=Counter)  # of the dropped, by test set; one can share with several
    changed: Counter[str] = field(default_factory=Counter)  # documents repaired, replaced in, de-identified
    identifiers: Counter[str] = field(default_factory=Counter)

    def add(self, other: Counts) -> None:
        self.read += other.read
        self.kept += other.kept
        for name in _NAMED_COUNTS:
            getattr(self, name).update(getattr(other, name))

    def as_dict(self) -> dict[str, Any]:
        named = {name: dict(sorted(getattr(self, name).items())) for name in _NAMED_COUNTS}
        return {"read": self.read, "kept": self.kept, **named}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Counts:
        return cls(values["read"], values["kept"], *(Counter(values[name]) for name in _NAMED_COUNTS))


class Pipeline:
    """The steps, ready to be done; `counts` grows with each document.

    Raises MissingExtraError where a step needs a package that is not installed.
    """

    def __init__(self, steps: Steps, test_sets: TestSets | None = None) -> None:
        self.counts = Counts()
        self._steps = steps
        self._test_sets = test_sets
        self._language = LanguageFilter(steps.languages) if steps.languages else None
        self._options = CleaningOptions(lowercase=steps.lowercase)
        if steps.clean:
            try:
                from ftfy import fix_encoding
            except ImportError as error:
                raise MissingExtraError("the repair of encodings", "corpus") from error
            self._fix_encoding = fix_encoding

    def sentences_of(self, document: Document, split: bool = True) -> list[str] | None:
        """The sentences of a document that is kept, or None where it is dropped; both are counted.

        split   False where each passage is a sentence already
        """
        self.counts.read += 1
        changed: set[str] = set()
        paragraphs = [
            cleaned
            for passage in document.passages
            for paragraph in _paragraphs(self._replaced(passage.text, changed))
            if (cleaned := self._cleaned(paragraph, changed))
        ]
        # White space as one blank also without cleaning: a corpus has a line for each sentence.
        pieces = (" ".join(piece.split()) for paragraph in paragraphs for piece in self._split(paragraph, split))
        sentences = [piece for piece in pieces if piece]
        if (reason := self._reason_against(document, sentences)) is not None:
            self.counts.dropped[reason] += 1
            return None
        if self._steps.deidentify:
            sentences = self._deidentified(sentences, changed)
        self.counts.kept += 1
        self.counts.changed.update(changed)
        return sentences

    def take_counts(self) -> Counts:
        """What was counted since this was asked last."""
        counts, self.counts = self.counts, Counts()
        return counts

    def _reason_against(self, document: Document, sentences: Sequence[str]) -> str | None:
        if not sentences:
            return "empty"
        if self._steps.quality is not None and (fault := fault_of(sentences, self._steps.quality)):
            return fault
        if self._language is not None and not self._language.keeps(" ".join(sentences)):
            return "language"
        if self._test_sets is not None and (names := self._test_sets.sets_with(sentences, pmid_of(document))):
            self.counts.leaked.update(names)
            return "leakage"
        return None

    def _replaced(self, text: str, changed: set[str]) -> str:
        for old, new in self._steps.replace:
            if old in text:
                text = text.replace(old, new)
                changed.add("replaced")
        return text

    def _cleaned(self, text: str, changed: set[str]) -> str:
        if not self._steps.clean:
            return text.lower() if self._steps.lowercase else text
        repaired = self._fix_encoding(text)
        if repaired != text:
            changed.add("encoding repaired")
        cleaned = clean(repaired, self._options).text
        if len(shortened := _LONG_STRING.sub(" ", cleaned)) != len(cleaned):
            changed.add("long strings dropped")
            return " ".join(shortened.split())
        return cleaned

    def _split(self, paragraph: str, split: bool) -> list[str]:
        if not (self._steps.split and split):
            return [paragraph]
        # Where all is lower-cased no capital shows where a sentence begins; it may begin after any stop then.
        lowered = not _CAPITAL.search(paragraph)
        cased = _SENTENCE_START.sub(lambda letter: letter[0].upper(), paragraph) if lowered else paragraph
        return [paragraph[start:end] for start, end in split_sentences(cased)]

    def _deidentified(self, sentences: Sequence[str], changed: set[str]) -> list[str]:
        texts = []
        for sentence in sentences:
            text, counts = mask(sentence)
            texts.append(text)
            self.counts.identifiers.update(counts)
            if counts:
                changed.add("de-identified")
        return texts


def _paragraphs(text: str) -> list[str]:
    """The pieces between blank lines, and headings in capitals as pieces of their own.

    A piece of more than `_LONGEST` characters is cut at white space, since cleaning takes 30 bytes for each.
    """
    parted = _HEADING.sub(r"\1\n\n", text) if "\n" in text else text
    pieces = [piece for piece in _BLANK_LINE.split(parted) if piece and not piece.isspace()]
    return [part for piece in pieces for part in ([piece] if len(piece) <= _MAX_CHARACTERS else _cut(piece))]


def _cut(text: str) -> list[str]:
    pieces = []
    start = 0
    while start < len(text):
        end = start + _MAX_CHARACTERS
        if end < len(text) and (space := max(text.rfind(" ", start, end), text.rfind("\n", start, end))) > start:
            end = space + 1
        pieces.append(text[start:end])
        start = end
    return pieces
