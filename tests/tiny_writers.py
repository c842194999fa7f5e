"""Random models that write, as `transformers` saves them: what they write means nothing, and is always the same."""

from __future__ import annotations

from pathlib import Path

import torch
import transformers

from textome.corpus.vocabulary import train_byte_vocabulary, write_vocabulary
from textome.runtime.bundle import Bundle
from textome.runtime.export import export_bundle
from tiny import make_texts

POSITIONS = 48


def make_gpt(folder: Path) -> Path:
    """A GPT-2 of 48 positions with a byte-level vocabulary."""
    sentences = [sentence for document in make_texts() for sentence in document]
    tokenizer = train_byte_vocabulary(sentences, 300)
    write_vocabulary(tokenizer, folder, lowercase=None)
    torch.manual_seed(0)
    config = transformers.GPT2Config(
        vocab_size=tokenizer.vocabulary_size, n_embd=32, n_layer=2, n_head=4, n_positions=POSITIONS,
        initializer_range=0.3, bos_token_id=tokenizer.start_id, eos_token_id=tokenizer.end_id,
    )  # fmt: skip
    transformers.GPT2LMHeadModel(config).save_pretrained(folder)
    return folder


def exported(checkpoint: Path, *precisions: str) -> Path:
    """The bundle of a checkpoint, beside it."""
    folder = checkpoint.with_name(f"{checkpoint.name}-bundle")
    for precision in precisions:
        export_bundle(Bundle.load(checkpoint), folder, precision)
    return folder
