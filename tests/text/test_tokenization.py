"""Tokens point to the right code points, whatever the text."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer as FastTokenizer
from tokenizers import models, normalizers, pre_tokenizers

from textome.errors import ModelError
from textome.text.tokenization import Tokenizer, end_of_character


def fast_tokenizer() -> FastTokenizer:
    letters = "abcdefghijklmnopqrstuvwxyzα"
    names = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *letters, *(f"##{letter}" for letter in letters)]
    tokenizer = FastTokenizer(models.WordPiece({name: number for number, name in enumerate(names)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return tokenizer


@settings(deadline=None, max_examples=200)
@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=60))
@example("na\u0308ive \u0661\u0662 \u05e9\u05dc\u05d5\u05dd a\u200bb \U0001f9ec\U0001f9ec x")
@example("İstanbul\r\nﬁbrosis")
def test_words_are_in_order_and_hold_no_white_space(text: str) -> None:
    (tokens,) = Tokenizer(fast_tokenizer(), "test").encode([text])
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


def test_texts_without_visible_characters_have_no_tokens() -> None:
    for tokens in Tokenizer(fast_tokenizer(), "test").encode(["", " \n\t ", "\u200b"]):
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
