"""Tokens point to the right code points, whatever the text."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Regex, models, normalizers, pre_tokenizers
from tokenizers import Tokenizer as FastTokenizer

from textome.errors import ModelError
from textome.text import tokenization
from textome.text.tokenization import Tokenizer, end_of_character


def fast_tokenizer() -> FastTokenizer:
    letters = "abcdefghijklmnopqrstuvwxyzα"
    names = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *letters, *(f"##{letter}" for letter in letters)]
    tokenizer = FastTokenizer(models.WordPiece({name: number for number, name in enumerate(names)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return tokenizer


def byte_level() -> FastTokenizer:
    """As that of ModernBERT: byte-pair encoding over bytes, with tokens of its own for runs of white space."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    names = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *alphabet, "Ġa", "is", "Ġis"]
    ids = {name: number for number, name in enumerate(names)}
    tokenizer = FastTokenizer(models.BPE(ids, [("Ġ", "a"), ("i", "s"), ("Ġ", "is")], unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.add_special_tokens([AddedToken("[MASK]", lstrip=True)])
    tokenizer.add_tokens([AddedToken(" " * count, normalized=False) for count in (2, 3)])
    return tokenizer


def sentence_piece() -> FastTokenizer:
    """As that of DeBERTa v3."""
    names = {"▁a": -1.0, "▁": -2.0, ");": -2.0, "a": -3.0, "b": -3.0, ".": -3.0, "-": -3.0}
    pieces = [("[UNK]", 0.0), ("[CLS]", 0.0), ("[SEP]", 0.0), *names.items()]
    tokenizer = FastTokenizer(models.Unigram(pieces, unk_id=0))
    tokenizer.normalizer = normalizers.Replace(Regex(r"\s"), " ")
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    return tokenizer


KINDS = {"wordpiece": fast_tokenizer, "byte-level": byte_level, "sentencepiece": sentence_piece}


@pytest.mark.parametrize("kind", KINDS)
@settings(deadline=None, max_examples=200)
@given(text=st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from(" \n\ta"), max_size=60))
@example(text="na\u0308ive \u0661\u0662 \u05e9\u05dc\u05d5\u05dd a\u200bb \U0001f9ec\U0001f9ec x")
@example(text="İstanbul\r\nﬁbrosis")
@example(text="  \n aspirin   is\n\n [MASK] for α-synuclein 😀 don't \t")
def test_words_are_in_order_and_hold_no_white_space(kind: str, text: str) -> None:
    (tokens,) = Tokenizer(KINDS[kind](), "test").encode([text])
    assert not len(tokens.first) or tokens.first[0] == 0
    assert all(np.diff(tokens.first) > 0)
    assert bool(len(tokens.ids)) == bool(len(tokens.first))
    position = 0
    for start, end in zip(tokens.word_starts.tolist(), tokens.word_ends.tolist(), strict=True):
        assert position <= start < end <= len(text)
        assert not any(character in " \t\r\n" for character in text[start:end])
        position = end


def test_truncation_and_padding_of_the_file_are_switched_off(tmp_path: Path) -> None:
    fast = fast_tokenizer()
    fast.enable_truncation(4)
    fast.enable_padding(length=16)
    fast.save(str(tmp_path / "tokenizer.json"))
    long, short = Tokenizer.load(tmp_path).encode(["ab " * 50, "a"])
    assert (len(long.ids), len(long.first), len(short.ids)) == (100, 50, 1)


@pytest.mark.parametrize("kind", ["byte-level", "sentencepiece"])
def test_the_space_in_front_is_part_of_a_token_and_not_of_its_word(kind: str) -> None:
    text = "a  b\n\n a "
    (tokens,) = Tokenizer(KINDS[kind](), "test").encode([text])
    words = [text[start:end] for start, end in zip(tokens.word_starts, tokens.word_ends, strict=True)]
    assert words == ["a", "b", "a"]
    assert len(tokens.ids) > len(words)  # white space in the middle is read


@pytest.mark.parametrize("kind", KINDS)
@settings(deadline=None, max_examples=50)
@given(sentences=st.lists(st.text("ab.)-; ", min_size=1).map(lambda text: " ".join(text.split())).filter(bool)))
def test_the_ids_of_sentences_end_to_end_are_those_of_their_text(kind: str, sentences: list[str]) -> None:
    tokenizer = Tokenizer(KINDS[kind](), "test")
    (whole,) = tokenizer.ids([" ".join(sentences)])
    pieces = list(tokenizer.ids(tokenizer.in_running_text(sentences)))
    assert np.concatenate([np.empty(0, np.int32), *pieces]).tolist() == whole.tolist()


@pytest.mark.parametrize("kind", KINDS)
def test_words_end_at_punctuation(kind: str) -> None:
    text = "a-b ab); \u03b1."
    (tokens,) = Tokenizer(KINDS[kind](), "test").encode([text])
    words = [text[start:end] for start, end in zip(tokens.word_starts, tokens.word_ends, strict=True)]
    marks = [");"] if kind == "sentencepiece" else [")", ";"]  # there one token has both
    assert words == ["a", "-", "b", "ab", *marks, "\u03b1", "."]


@given(st.text(alphabet='ab α,("一鿿é\u0301\n[', max_size=60))
def test_a_long_text_is_cut_into_pieces_and_has_the_same_tokens(text: str) -> None:
    whole = Tokenizer(fast_tokenizer(), "test")
    with pytest.MonkeyPatch.context() as patch:
        expected = whole.encode([text, "a", text])
        patch.setattr(tokenization, "CHARACTERS_AT_ONCE", 5)
        bounds = [0, *(match.start() for match in re.finditer(whole._cuts, text)), len(text)]
        # A longer run that may be cut nowhere is cut all the same.
        assume(all(end - start <= 5 for start, end in pairwise(bounds)))
        for tokens, other in zip(whole.encode([text, "a", text]), expected, strict=True):
            for field in ("ids", "first", "word_starts", "word_ends"):
                assert getattr(tokens, field).tolist() == getattr(other, field).tolist()


def test_a_word_without_end_takes_little_memory_and_keeps_its_offsets() -> None:
    (tokens,) = Tokenizer(fast_tokenizer(), "test").encode(["é" * 250_000 + " a"])
    assert (tokens.word_starts[-1], tokens.word_ends[-1]) == (250_001, 250_002)


def test_texts_without_visible_characters_have_no_tokens() -> None:
    for kind in KINDS:
        for tokens in Tokenizer(KINDS[kind](), "test").encode(["", " \n\t ", "   "]):
            assert len(tokens.ids) == len(tokens.first) == len(tokens.word_starts) == 0
    for tokens in Tokenizer(fast_tokenizer(), "test").encode(["\u200b"]):
        assert len(tokens.ids) == len(tokens.first) == len(tokens.word_starts) == 0


def test_accents_stay_with_their_letter() -> None:
    text = "cafe\u0301 noir"
    assert text[: end_of_character(text, 4)] == "cafe\u0301"


def test_a_directory_without_tokenizer_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"no tokenizer\.json"):
        Tokenizer.load(tmp_path)
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(ModelError, match="cannot be read"):
        Tokenizer.load(tmp_path)


def test_a_vocabulary_without_special_tokens_is_an_error() -> None:
    with pytest.raises(ModelError, match=r"\[CLS\]"):
        Tokenizer(FastTokenizer(models.WordPiece({"[UNK]": 0}, unk_token="[UNK]")), "plain")
