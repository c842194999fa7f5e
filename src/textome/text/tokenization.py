"""Sub-word tokenisation that keeps the way back: every token knows its place in the text, in code points."""

from __future__ import annotations

import hashlib
import re
import string
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from itertools import islice, pairwise
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray
from tokenizers import Encoding
from tokenizers import Tokenizer as _FastTokenizer

from textome.errors import ModelError
from textome.text.byte_level import END_OF_TEXT

Integers = NDArray[np.int32]
# Characters that the library cuts at once: meanwhile it takes some 400 bytes for each.
CHARACTERS_AT_ONCE = 50_000
# Where a long text may be cut: before white space, and where each mark and each ideograph is a word by itself.
_SPACE = r"\s"
# What an input begins with; the vocabularies of T5 have no token for that, and a target there begins with padding.
_STARTS = ("[CLS]", "<s>", "<pad>", END_OF_TEXT)
_ENDS = ("[SEP]", "</s>", END_OF_TEXT)
# Sentinels stand for spans of a text (Raffel et al. 2020), in order.
SENTINELS = tuple(f"<extra_id_{number}>" for number in range(100))
_SPACE_OR_MARK = r"""\s|(?<=[{}()"',;:.!?/])(?=[{}()"',;:.!?/])|(?<=[\u4e00-\u9fff])(?=[\u4e00-\u9fff])"""


@dataclass(frozen=True, slots=True)
class Tokens:
    """The n sub-words of one text, without special tokens, and the m words that they are pieces of.

    A word is what the tokenizer's pre-tokeniser cuts: for BERT a run between white space and punctuation. Byte-level and
    SentencePiece vocabularies have white space in their tokens, and the latter cut there alone: with these, white space is
    part of no word all the same, a word ends where a token ends at punctuation, and tokens of white space alone belong to
    the word in front of them.

    ids                     (n,) vocabulary ids
    first                   (m,) for each word, the index in `ids` of its first piece
    word_starts, word_ends  (m,) for each word, its place in the text, in code points
    """

    ids: Integers
    first: Integers
    word_starts: Integers
    word_ends: Integers


class Tokenizer:
    """The `tokenizer.json` of a model, without the truncation and padding that such files often switch on."""

    def __init__(self, tokenizer: _FastTokenizer, source: str) -> None:
        tokenizer.no_truncation()
        tokenizer.no_padding()
        self._tokenizer = tokenizer
        self._source = source
        self.vocabulary_size: int = tokenizer.get_vocab_size()
        # Whether the place of a token takes in the space in front of it, as in byte-level and SentencePiece vocabularies.
        self._spaces_in_words = any(
            start == 1 for start, _ in tokenizer.encode("a a", add_special_tokens=False).offsets
        )
        marks = tokenizer.encode("a,,\u4e00\u4e00", add_special_tokens=False).word_ids
        self._cuts = _SPACE_OR_MARK if len({*marks}) == 5 else _SPACE
        self.start_id, self.end_id = (self._special(names, source) for names in (_STARTS, _ENDS))

    @cached_property
    def fingerprint(self) -> str:
        """sha256 of all that decides how a text is cut; equal for equal tokenizers."""
        return hashlib.sha256(self._tokenizer.to_str().encode()).hexdigest()

    @classmethod
    def load(cls, directory: str | Path) -> Self:
        """Read `tokenizer.json` in a model directory. Raises ModelError where it is missing or damaged."""
        path = Path(directory) / "tokenizer.json"
        if not path.is_file():
            raise ModelError(
                f"{directory}: there is no tokenizer.json; a model needs the tokenizer it was trained with"
            )
        try:
            return cls(_FastTokenizer.from_file(str(path)), str(path))
        except ModelError:
            raise
        except Exception as error:  # the library raises plain Exception for anything wrong in the file
            raise ModelError(f"{path}: the tokenizer cannot be read ({error})") from error
        except BaseException as error:
            _explain_panic(error, str(path))
            raise

    def encode(self, texts: Sequence[str]) -> list[Tokens]:
        """Tokenise texts, in parallel. A text without visible characters gives no tokens."""
        if self._spaces_in_words:
            return list(self._encoded(texts))
        pieces = [_pieces(text, self._cuts) for text in texts]
        encoded = self._encoded([piece for own in pieces for piece in own])
        return [_joined(own, list(islice(encoded, len(own)))) for own in pieces]

    def _encoded(self, texts: Sequence[str]) -> Iterator[Tokens]:
        """The tokens of each text; of so many at once as keeps what the library holds for them small."""
        for group in _groups(texts):
            with self._explained():
                encodings = self._tokenizer.encode_batch(group, add_special_tokens=False)
            yield from map(_tokens_with_spaces, encodings, group) if self._spaces_in_words else map(_tokens, encodings)

    def ids(self, texts: Iterable[str], batch_size: int = 1000) -> Iterator[Integers]:
        """The ids of each text, as `encode` gives them but without places: quicker, in little memory however many.

        White space at both ends of a text is left in, in vocabularies that have tokens for it.
        """
        waiting = iter(texts)
        while batch := list(islice(waiting, batch_size)):
            with self._explained():
                encodings = self._tokenizer.encode_batch_fast(batch, add_special_tokens=False)
            for encoding in encodings:
                yield np.asarray(encoding.ids, np.int32)

    def decode(self, ids: Sequence[int], strip: bool = True) -> str:
        """The text of ids without special tokens, and without white space around unless `strip` is False.

        Bytes that are not a whole character become U+FFFD.
        """
        with self._explained():
            text = self._tokenizer.decode(list(ids))
        return text.strip() if strip else text

    def in_running_text(self, sentences: Sequence[str]) -> list[str]:
        """The sentences of a document so that their ids, end to end, are those of the document: all but the first with a
        space in front, in vocabularies that have it in their tokens."""
        space = " " if self._spaces_in_words else ""
        return [*sentences[:1], *(space + sentence for sentence in sentences[1:])]

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Turns what the library raises on a tokenizer.json that it could read, but cannot follow, into a ModelError."""
        try:
            yield
        except Exception as error:
            raise ModelError(f"{self._source}: the tokenizer cannot cut a text ({error})") from error
        except BaseException as error:
            _explain_panic(error, self._source)
            raise

    @property
    def mask_id(self) -> int:
        """The id of the token that hides another in pretraining. Raises ModelError where the vocabulary has none."""
        return self._special(("[MASK]", "<mask>"), self._source)

    @property
    def sentinel_ids(self) -> list[int]:
        """The ids of <extra_id_0>, <extra_id_1> and so on. Raises ModelError where the vocabulary has none."""
        ids: list[int] = []
        for name in SENTINELS:
            if (number := self._tokenizer.token_to_id(name)) is None:
                break
            ids.append(number)
        if len(ids) < 2:
            raise ModelError(
                f"{self._source}: the vocabulary has no sentinels ({SENTINELS[0]} ...); make one with: textome "
                f"train-tokenizer --sentinels"
            )
        return ids

    @property
    def unknown_id(self) -> int | None:
        """The id that stands for what the vocabulary cannot spell, or None where it can spell everything."""
        for name in ("[UNK]", "<unk>"):
            if (number := self._tokenizer.token_to_id(name)) is not None:
                return int(number)
        return None

    def save(self, path: Path) -> None:
        """Write `tokenizer.json`."""
        path.write_text(self._tokenizer.to_str(pretty=True), encoding="utf-8")

    @property
    def special_ids(self) -> list[int]:
        """Ids of the tokens that never come from text: [CLS], [PAD] and the like."""
        return sorted(number for number, token in self._tokenizer.get_added_tokens_decoder().items() if token.special)

    def vocabulary(self) -> list[str]:
        """All tokens in the order of their ids."""
        return [self._tokenizer.id_to_token(number) or "" for number in range(self.vocabulary_size)]

    def continuations(self) -> NDArray[np.bool_]:
        """(vocabulary size,) bool: which tokens continue a word.

        WordPiece marks these by `##`; SentencePiece and byte-level vocabularies mark the others, by `▁` or `Ġ`.
        """
        tokens = self.vocabulary()
        if any(token.startswith("##") for token in tokens):
            return np.array([token.startswith("##") for token in tokens])
        return np.array([not token.startswith(("▁", "Ġ")) for token in tokens])

    def _special(self, names: tuple[str, ...], source: str) -> int:
        for name in names:
            if (number := self._tokenizer.token_to_id(name)) is not None:
                return int(number)
        raise ModelError(f"{source}: the vocabulary has none of the special tokens {', '.join(names)}")


def _groups(texts: Sequence[str]) -> Iterator[list[str]]:
    group: list[str] = []
    size = 0
    for text in texts:
        if group and size + len(text) > CHARACTERS_AT_ONCE:
            yield group
            group, size = [], 0
        group.append(text)
        size += len(text)
    if group:
        yield group


def _pieces(text: str, between_words: str) -> list[str]:
    """A long text, cut where no word of a vocabulary without spaces reaches over, or in a word that is too long to be one;
    others whole."""
    cuts = [0]
    while len(text) - cuts[-1] > 2 * CHARACTERS_AT_ONCE:
        start, end = cuts[-1] + CHARACTERS_AT_ONCE, cuts[-1] + 2 * CHARACTERS_AT_ONCE
        match = re.compile(between_words).search(text, start, end)
        cuts.append(match.start() if match else end)
    return [text[start:end] for start, end in pairwise([*cuts, len(text)])]


def _joined(pieces: Sequence[str], tokens: Sequence[Tokens]) -> Tokens:
    """The tokens of a text from those of its pieces."""
    if len(tokens) == 1:
        return tokens[0]
    starts = np.cumsum([0, *map(len, pieces[:-1])], dtype=np.int32)
    counts = np.cumsum([0, *(len(item.ids) for item in tokens[:-1])], dtype=np.int32)
    return Tokens(
        np.concatenate([item.ids for item in tokens]),
        np.concatenate([item.first + count for item, count in zip(tokens, counts, strict=True)]),
        np.concatenate([item.word_starts + start for item, start in zip(tokens, starts, strict=True)]),
        np.concatenate([item.word_ends + start for item, start in zip(tokens, starts, strict=True)]),
    )


def _explain_panic(error: BaseException, source: str) -> None:
    """Raises ModelError for a panic of the library, which is not an Exception: a regular expression without end does it."""
    if type(error).__name__ == "PanicException":
        raise ModelError(f"{source}: the tokenizer fails on its own rules ({str(error)[:200]})") from error


def _tokens(encoding: Encoding) -> Tokens:
    ids, offsets = np.asarray(encoding.ids, np.int32), np.asarray(encoding.offsets, np.int32).reshape(-1, 2)
    return _in_words(ids, offsets, np.diff(np.asarray(encoding.word_ids, np.int32)) != 0)


def _in_words(ids: Integers, offsets: Integers, cuts: NDArray[np.bool_]) -> Tokens:
    """Tokens with their places, (n,) and (n, 2), and between which of them a word ends, (n - 1,)."""
    if not len(ids):
        return Tokens(ids, ids, ids, ids)
    changes = np.flatnonzero(cuts) + 1
    first = np.concatenate(([0], changes)).astype(np.int32)
    last = np.concatenate((changes - 1, [len(ids) - 1])).astype(np.int32)
    return Tokens(ids, first, offsets[first, 0], offsets[last, 1])


def _tokens_with_spaces(encoding: Encoding, text: str) -> Tokens:
    """As `_tokens` of a vocabulary that has white space in its tokens; none is left in words, nor at the text's ends."""
    ids, offsets = np.asarray(encoding.ids, np.int32), np.asarray(encoding.offsets, np.int32).reshape(-1, 2)
    marks = np.fromiter(map(_is_punctuation, text), np.bool_, len(text))
    ends, starts = offsets[:-1, 1], offsets[1:, 0]
    # A character may be several tokens, all of the same place, which belong together.
    separate = (starts >= ends) & (ends > offsets[:-1, 0]) & (offsets[1:, 1] > starts)
    punctuated = (
        separate & (marks[np.maximum(ends - 1, 0)] | marks[np.minimum(starts, len(text) - 1)]) if text else separate
    )
    tokens = _in_words(ids, offsets, (np.diff(np.asarray(encoding.word_ids, np.int32)) != 0) | punctuated)

    space = np.fromiter(map(str.isspace, text), np.bool_, len(text))
    positions = np.arange(len(text) + 1)
    # For each position the first visible character from there on, and the end of the last one before it.
    later = np.minimum.accumulate(np.append(np.where(space, len(text), positions[:-1]), len(text))[::-1])[::-1]
    before = np.maximum.accumulate(np.append(0, np.where(space, 0, positions[1:])))
    word_starts, word_ends = later[tokens.word_starts], before[tokens.word_ends]
    words = np.flatnonzero(word_starts < word_ends)
    if not len(words):
        return Tokens(*[np.empty(0, np.int32)] * 4)
    bounds = np.append(tokens.first, len(ids))
    begin, end = bounds[words[0]], bounds[words[-1] + 1]
    return Tokens(
        ids[begin:end],
        tokens.first[words] - begin,
        word_starts[words].astype(np.int32),
        word_ends[words].astype(np.int32),
    )


def _is_punctuation(character: str) -> bool:
    """As BERT's tokenizer has it: what Unicode calls so, and all marks of ASCII."""
    return character in string.punctuation or unicodedata.category(character).startswith("P")


def end_of_character(text: str, end: int) -> int:
    """`end`, moved over the combining marks that follow: tokenizers that strip accents stop before them."""
    while end < len(text) and unicodedata.combining(text[end]):
        end += 1
    return end
