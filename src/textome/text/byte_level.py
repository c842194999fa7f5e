"""Byte-pair encoding over bytes (Sennrich et al. 2016; Radford et al. 2019, section 2.2): no character is unknown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

# GPT-2's only special token, between texts.
END_OF_TEXT = "<|endoftext|>"


def byte_level_tokenizer(add_prefix_space: bool = False) -> Tokenizer:
    """A tokenizer without merges yet; with `add_prefix_space` a text's first word is cut as those behind a space are."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=add_prefix_space)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def learn_merges(tokenizer: Tokenizer, texts: Iterable[str], size: int, special: Sequence[str]) -> None:
    """Learn a vocabulary of at most `size` tokens, the special ones and all 256 bytes among them."""
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=list(special),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
