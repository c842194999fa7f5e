"""Text as one part of a record beside others; texts alone have recipes of their own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Literal, Self

import numpy as np
from pydantic import Field
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

from textome.errors import InputError
from textome.inputs.records import Modality, Record, Segment, Segments, Shape

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


class Words(Modality):
    """Words and their pieces. The content is the text.

    window        the most tokens of a text
    vocabulary    how many words and pieces are learnt from the training texts, where the model starts from no text encoder
    tokenizer     the words, as the text of a `tokenizer.json`: learnt, or those of the encoder that the model starts from
    from_encoder  whether they are an encoder's, so that their embeddings are taken from it too
    """

    kind: Literal["text"] = "text"
    window: int = Field(128, ge=1)
    vocabulary: int = Field(2000, ge=32)
    tokenizer: str = ""
    from_encoder: bool = False

    def fitted(self, records: Sequence[Record]) -> Self:
        if self.tokenizer:
            return self
        texts = [record.content for record in records]
        if not texts:
            raise InputError("no training record has a text to learn words from")
        return self.model_copy(update={"tokenizer": _learnt(texts, self.vocabulary)})

    def with_tokenizer(self, tokenizer: str) -> Self:
        return self.model_copy(update={"tokenizer": tokenizer, "from_encoder": True})

    def continuing(self, base: Modality) -> Self:
        if not isinstance(base, Words):
            return self
        return self.model_copy(update={"tokenizer": base.tokenizer, "from_encoder": base.from_encoder})

    def shapes(self) -> dict[str, Shape]:
        words = _loaded(self.tokenizer)
        known = words.get_vocab()
        special = tuple(known[name] for name in SPECIAL if name in known)
        shape = Shape(
            "tokens",
            words.get_vocab_size(),
            (self.window,),
            mask_id=known.get("[MASK]"),
            special=special,
            text=self.from_encoder,
        )
        return {"text": shape}

    def features(self, content: str) -> Segments:
        """One segment, or none where the text holds no word. Raises InputError where it is longer than the window."""
        ids = _loaded(self.tokenizer).encode(content, add_special_tokens=False).ids
        if len(ids) > self.window:
            raise InputError(f"the text has {len(ids)} tokens, more than the {self.window} of the model's window")
        return {"text": Segment(np.array(ids, np.int64), np.arange(len(ids))[:, None])} if ids else {}

    def without(self, content: str) -> Iterator[tuple[str, str]]:
        """The text without each of its words, where another one is left."""
        words = content.split()
        for number, word in enumerate(words if len(words) > 1 else ()):
            yield word, " ".join(words[:number] + words[number + 1 :])

    def token_names(self, content: str) -> dict[str, list[str]]:
        names = _loaded(self.tokenizer).encode(content, add_special_tokens=False).tokens
        return {"text": list(names)} if names else {}


@lru_cache(maxsize=4)
def _loaded(tokenizer: str) -> Tokenizer:
    if not tokenizer:
        raise InputError("the words of the text are not known yet; train the model first")
    words = Tokenizer.from_str(tokenizer)
    words.no_truncation()
    words.no_padding()
    return words


def _learnt(texts: Sequence[str], vocabulary: int) -> str:
    """WordPiece without case (Devlin et al. 2019, section 3; Wu et al. 2016, section 4.1)."""
    words = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    words.normalizer = normalizers.BertNormalizer(lowercase=True)
    words.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(vocab_size=vocabulary, special_tokens=list(SPECIAL), show_progress=False)
    words.train_from_iterator(texts, trainer)
    return words.to_str()
