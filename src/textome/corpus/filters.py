"""What is not worth learning from: another language, and what is not prose (tables, listings, remains of a conversion)."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from textome.errors import MissingExtraError

_WORD = re.compile(r"\w+(?:[-'’.]\w+)*")
_SYMBOL = re.compile(r"[^\w\s]|_")
_LETTER = re.compile(r"[^\W\d_]")
# Identifying a language needs no more, and its time grows with the text.
_LANGUAGE_CHARACTERS = 1000


@dataclass(frozen=True, slots=True)
class QualityLimits:
    """Where prose ends. After Rae et al. 2021 (Gopher, appendix A.1.1), set wider for names of chemicals and genes.

    Meant for languages that part words by spaces.

    min_words           words of the whole document; titles without an abstract are shorter
    min_word_length     mean number of characters of a word, and `max_word_length`
    max_symbols         share of characters that are neither letters, digits nor white space
    min_letter_words    share of words that hold a letter
    max_repeated        share of sentences that stood in the document before, by characters
    """

    min_words: int = 20
    min_word_length: float = 2.5
    max_word_length: float = 12.0
    max_symbols: float = 0.25
    min_letter_words: float = 0.6
    max_repeated: float = 0.3


def fault_of(sentences: Sequence[str], limits: QualityLimits = QualityLimits()) -> str | None:
    """Why a document is not worth keeping, in one or two words that a report counts by, or None."""
    text = "\n".join(sentences)
    words = _WORD.findall(text)
    if len(words) < max(limits.min_words, 1):
        return "too short"
    if not limits.min_word_length <= sum(map(len, words)) / len(words) <= limits.max_word_length:
        return "word length"
    if len(_SYMBOL.findall(text)) > limits.max_symbols * len("".join(text.split())):
        return "symbols"
    if sum(word.isalpha() or _LETTER.search(word) is not None for word in words) < limits.min_letter_words * len(words):
        return "few words"
    if repeated_share(sentences) > limits.max_repeated:
        return "repetition"
    return None


def repeated_share(sentences: Sequence[str]) -> float:
    """The share of characters in sentences that stood before in the same text."""
    seen: set[str] = set()
    repeated = total = 0
    for sentence in sentences:
        total += len(sentence)
        if sentence in seen:
            repeated += len(sentence)
        seen.add(sentence)
    return repeated / total if total else 0.0


class LanguageFilter:
    """Keeps texts in some languages, told by py3langid (Lui and Baldwin 2012, retrained; 97 languages).

    Raises MissingExtraError where py3langid is not installed. `languages` are ISO 639-1 codes such as `en`.
    """

    def __init__(self, languages: Collection[str]) -> None:
        try:
            import py3langid
        except ImportError as error:
            raise MissingExtraError("the language filter", "corpus") from error
        self.languages = frozenset(languages)
        self._classify = py3langid.classify

    def keeps(self, text: str) -> bool:
        """Whether the beginning of `text` is in one of the languages, or most like one where it is too short to tell."""
        language, _ = self._classify(text[:_LANGUAGE_CHARACTERS])
        return str(language) in self.languages
