"""BERT's WordPiece tokenizer, put together from a vocabulary (Devlin et al. 2019, section 3; Wu et al. 2016, 4.1)."""

from __future__ import annotations

from pathlib import Path

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

from textome.errors import ModelError

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


def bert_tokenizer(model: models.WordPiece, lowercase: bool) -> Tokenizer:
    """A tokenizer that cleans, takes accents off with capitals, and parts words as BERT's does; without marks yet."""
    tokenizer = Tokenizer(model)
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=lowercase)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    return tokenizer


def add_marks(tokenizer: Tokenizer) -> None:
    """Have a text begin with [CLS] and end with [SEP], and keep special tokens whole. They must be in the vocabulary."""
    tokenizer.add_special_tokens([name for name in SPECIAL if tokenizer.token_to_id(name) is not None])
    start, end = (tokenizer.token_to_id(name) for name in ("[CLS]", "[SEP]"))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", start), ("[SEP]", end)]
    )


def read_vocabulary(path: Path) -> dict[str, int]:
    """The tokens of a `vocab.txt`, one a line, with their line numbers from 0 as ids.

    Raises ModelError where a token stands twice, since the ids of a checkpoint's embeddings are the lines, or where one of
    [UNK], [CLS], [SEP] is missing.
    """
    try:
        lines = path.read_text(encoding="utf-8").removesuffix("\n").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(f"{path} cannot be read ({error})") from error
    vocabulary: dict[str, int] = {}
    for number, token in enumerate(line.rstrip("\r") for line in lines):
        if token in vocabulary:
            raise ModelError(f"{path}, line {number + 1}: {token!r} stands in line {vocabulary[token] + 1} already")
        vocabulary[token] = number
    if missing := [name for name in ("[UNK]", "[CLS]", "[SEP]") if name not in vocabulary]:
        raise ModelError(f"{path}: {', '.join(missing)} missing; this is not a vocabulary of a BERT")
    return vocabulary


def is_cased(vocabulary: dict[str, int]) -> bool:
    """Whether the vocabulary tells capitals from small letters: more than one token in a hundred has a capital."""
    words = [token for token in vocabulary if not (token.startswith("[") and token.endswith("]"))]
    return sum(token != token.lower() for token in words) > len(words) / 100
