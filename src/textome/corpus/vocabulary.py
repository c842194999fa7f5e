"""A vocabulary learnt from text, WordPiece, byte-level or one with sentinels as T5 has, and how it compares with another.

A vocabulary that knows a field's words cuts them in fewer pieces: sequences are shorter, so everything is faster, and a
word has an embedding of its own (Gu et al. 2021, section 2.3).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tokenizers import Tokenizer as _FastTokenizer
from tokenizers import decoders, models, normalizers, pre_tokenizers, trainers

from textome.errors import InputError
from textome.formats.reading.sources import whole_folder
from textome.text.byte_level import END_OF_TEXT, byte_level_tokenizer, learn_merges
from textome.text.tokenization import SENTINELS, Tokenizer
from textome.text.wordpiece import SPECIAL, add_marks, bert_tokenizer

# Terms are counted as badly cut from the third piece on.
WELL_CUT = 2
# Rarer characters than the commonest thousand become unknown: a corpus of papers holds most of Unicode somewhere.
_ALPHABET = 1000
_BATCH = 1000
# Of T5.
PADDING, END, UNKNOWN = "<pad>", "</s>", "<unk>"


@dataclass(frozen=True, slots=True)
class Fit:
    """How a vocabulary cuts a text.

    tokens_per_word   over words as white space separates them
    unknown           share of words of which a part is not in the vocabulary
    badly_cut         share of the terms that it cuts in more than `WELL_CUT` pieces for each of their words, or None
    """

    vocabulary_size: int
    tokens_per_word: float
    unknown: float
    badly_cut: float | None


def train_vocabulary(sentences: Iterable[str], size: int, lowercase: bool = True, min_frequency: int = 2) -> Tokenizer:
    """A WordPiece tokenizer of at most `size` tokens with BERT's normalisation and special tokens, through `tokenizers`.

    Raises InputError where the text has no word, or `size` leaves no room for its letters.
    """
    tokenizer = bert_tokenizer(models.WordPiece(unk_token="[UNK]", max_input_chars_per_word=100), lowercase)
    trainer = trainers.WordPieceTrainer(
        vocab_size=size,
        min_frequency=min_frequency,
        limit_alphabet=_ALPHABET,
        special_tokens=list(SPECIAL),
        show_progress=False,
    )
    tokenizer.train_from_iterator(sentences, trainer)
    if tokenizer.get_vocab_size() <= len(SPECIAL):
        raise InputError("the text has no word, so no vocabulary can be learnt from it")
    if tokenizer.get_vocab_size() > size:
        raise InputError(
            f"a vocabulary of {size} tokens has no room for the {tokenizer.get_vocab_size()} characters of the text; "
            f"ask for a larger one"
        )
    add_marks(tokenizer)
    return Tokenizer(tokenizer, "the new vocabulary")


def train_with_sentinels(sentences: Iterable[str], size: int, lowercase: bool = False) -> Tokenizer:
    """A unigram tokenizer (Kudo 2018) of at most `size` tokens in the layout of T5: padding, end and unknown first, the
    sentinels <extra_id_99> to <extra_id_0> last.

    Raises InputError where the text has no word, or `size` leaves no room for its letters.
    """
    tokenizer = _FastTokenizer(models.Unigram())
    steps = [normalizers.NFKC(), *([normalizers.Lowercase()] if lowercase else [])]
    tokenizer.normalizer = normalizers.Sequence(steps)
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=size - len(SENTINELS),
        special_tokens=[PADDING, END, UNKNOWN],
        unk_token=UNKNOWN,
        show_progress=False,
    )
    try:
        tokenizer.train_from_iterator(sentences, trainer)
    except Exception as error:  # the library raises plain Exception
        raise InputError(f"no vocabulary of {size} tokens can be learnt from the text ({error})") from error
    if tokenizer.get_vocab_size() <= 3:
        raise InputError("the text has no word, so no vocabulary can be learnt from it")
    tokenizer.add_special_tokens(list(SENTINELS[::-1]))
    # As it is read again, since its numbers are rounded where they are written.
    return Tokenizer(_FastTokenizer.from_str(tokenizer.to_str()), "the new vocabulary")


def train_byte_vocabulary(sentences: Iterable[str], size: int) -> Tokenizer:
    """A byte-level vocabulary as GPT-2 has it, of at most `size` tokens. Raises InputError where `size` is too small."""
    if size < (min_size := 257):
        raise InputError(f"a vocabulary of {size} tokens has no room for all bytes; ask for {min_size} or more")
    tokenizer = byte_level_tokenizer()
    learn_merges(tokenizer, sentences, size, (END_OF_TEXT,))
    return Tokenizer(tokenizer, "the new vocabulary")


def write_vocabulary(tokenizer: Tokenizer, folder: Path, lowercase: bool | None, sentinels: bool = False) -> None:
    """Write the files that a model's directory has for its tokenizer; `folder` appears whole or not at all.

    lowercase   whether capitals are taken away; None of a byte-level vocabulary
    sentinels   it is one of `train_with_sentinels`

    Raises InputError where `folder` exists.
    """
    if folder.exists():
        raise InputError(f"{folder} exists already; name another folder for the vocabulary")
    config: dict[str, object] = {
        "tokenizer_class": "BertTokenizer",
        "do_lower_case": lowercase,
        "model_max_length": 512,
        **{f"{name[1:-1].lower()}_token": name for name in SPECIAL},
    }
    if sentinels:
        config = {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "extra_special_tokens": list(SENTINELS),
            "model_max_length": 512,
            "pad_token": PADDING,
            "eos_token": END,
            "unk_token": UNKNOWN,
        }
    elif lowercase is None:
        config = {
            "tokenizer_class": "GPT2Tokenizer",
            **dict.fromkeys(("bos_token", "eos_token", "unk_token"), END_OF_TEXT),
        }
    with whole_folder(folder) as draft:
        tokenizer.save(draft / "tokenizer.json")
        if not sentinels and lowercase is not None:
            (draft / "vocab.txt").write_text(
                "".join(f"{token}\n" for token in tokenizer.vocabulary()), encoding="utf-8"
            )
        (draft / "tokenizer_config.json").write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")


def fit(tokenizer: Tokenizer, sentences: Sequence[str], terms: Sequence[str] = ()) -> Fit:
    """How well a tokenizer cuts sentences and terms. Raises InputError where there is no word."""
    words = Counter(word for sentence in sentences for word in sentence.split())
    if not words:
        raise InputError("there is no word to compare vocabularies with")
    pieces = _pieces(tokenizer, tokenizer.in_running_text(["", *words])[1:])
    unknown = tokenizer.unknown_id
    total = words.total()
    return Fit(
        tokenizer.vocabulary_size,
        sum(len(ids) * count for ids, count in zip(pieces, words.values(), strict=True)) / total,
        sum(count for ids, count in zip(pieces, words.values(), strict=True) if unknown in ids) / total,
        _badly_cut(tokenizer, terms) if terms else None,
    )


def _badly_cut(tokenizer: Tokenizer, terms: Sequence[str]) -> float:
    distinct = sorted({" ".join(term.split()) for term in terms} - {""})
    bad = sum(
        len(ids) > WELL_CUT * len(term.split())
        for term, ids in zip(distinct, _pieces(tokenizer, distinct), strict=True)
    )
    return bad / len(distinct) if distinct else 0.0


def _pieces(tokenizer: Tokenizer, texts: Sequence[str]) -> list[list[int]]:
    pieces: list[list[int]] = []
    for start in range(0, len(texts), _BATCH):
        pieces += [tokens.ids.tolist() for tokens in tokenizer.encode(texts[start : start + _BATCH])]
    return pieces
