"""A tokenizer that needs no file: pieces are single letters."""

from __future__ import annotations

from tokenizers import Tokenizer as FastTokenizer
from tokenizers import models, normalizers, pre_tokenizers

from textome.text.tokenization import Tokenizer


def letter_tokenizer() -> Tokenizer:
    """A character-piece WordPiece vocabulary: every word of ASCII letters becomes one piece a letter."""
    letters = "abcdefghijklmnopqrstuvwxyz0123456789-.,()"
    names = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *letters, *(f"##{letter}" for letter in letters)]
    fast = FastTokenizer(models.WordPiece({name: number for number, name in enumerate(names)}, unk_token="[UNK]"))
    fast.normalizer = normalizers.BertNormalizer(lowercase=True)
    fast.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return Tokenizer(fast, "test")
