"""A finished translation model: texts in one language to texts in the other. Needs PyTorch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from tokenizers import Tokenizer

from textome.encoders.checkpoint import load_tensors
from textome.encoders.encoder_decoder import EncoderDecoder
from textome.encoders.layers.packing import Layout
from textome.encoders.seq2seq.model import Transformer, TransformerConfig
from textome.errors import InputError
from textome.runtime.bundle import Bundle
from textome.runtime.generation.decoding import Floats, Ids, Limits, beam, greedy
from textome.runtime.model_files import read_json
from textome.text.sentences import split_sentences

PAD, START, END = "<pad>", "<s>", "</s>"


class SourceDecoder:
    """A model in PyTorch over the ids of sources, as `runtime.generation.decoding.Decoder`."""

    def __init__(self, model: EncoderDecoder, sources: Sequence[Sequence[int] | NDArray[np.integer]]) -> None:
        self.model, self.device = model, model.shared.weight.device
        layout = Layout.of([len(ids) for ids in sources], self.device)
        flat = torch.from_numpy(np.concatenate(sources).astype(np.int64)).to(self.device)
        self.cache = model.cache(model.encode(flat, layout), layout)

    def step(self, tokens: Ids) -> Floats:
        logits = self.model.step(torch.from_numpy(tokens).to(self.device), self.cache)
        return logits.float().cpu().numpy()

    def choose(self, rows: Ids) -> None:
        self.cache.choose(torch.from_numpy(rows).to(self.device))


class Translator:
    """A model, its tokenizer, and the languages it knows.

    max_length   sub-words of a source, or of a target, at most
    """

    def __init__(self, model: Transformer, tokenizer: Tokenizer, source: str, target: str, max_length: int) -> None:
        self.model, self.tokenizer = model, tokenizer
        self.source, self.target, self.max_length = source, target, max_length

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """Load a bundle that a recipe for translation left. Raises ModelError where it is none, or damaged."""
        folder = Path(folder)
        bundle = Bundle.load(folder)
        task: Any = bundle.tasks[bundle.task_of("translation")]
        config = TransformerConfig.from_dict(read_json(folder / "config.json"))
        model = Transformer(config)
        load_tensors(model, load_file(folder / "model.safetensors"), str(folder))
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        model.eval()
        return cls(model, tokenizer, task.source, task.target, task.max_length)

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Sub-words of each text, the end token behind them."""
        end = self.model.config.eos_token_id
        return [[*item.ids, end] for item in self.tokenizer.encode_batch(list(texts), add_special_tokens=False)]

    def translate(
        self, texts: Sequence[str], width: int = 4, length_penalty: float = 1.0, token_budget: int = 4096
    ) -> list[str]:
        """Each text in the other language, in order.

        width   targets that beam search follows; 1 takes the most probable sub-word at every step

        A text without words gives an empty one. One longer than the model's `max_length` sub-words is cut at words, and its
        pieces are translated one after another.
        """
        pieces: list[tuple[int, list[int]]] = []
        for number, ids in enumerate(self.encode([text.strip() for text in texts])):
            if len(ids) > 1:
                pieces += [(number, piece) for piece in self._cut(ids)]
        translations: list[list[str]] = [[] for _ in texts]
        order = sorted(range(len(pieces)), key=lambda at: (-len(pieces[at][1]), at))
        done: dict[int, str] = {}
        while order:
            size = max(1, token_budget // (len(pieces[order[0]][1]) * max(1, width)))
            batch, order = order[:size][::-1], order[size:]
            done |= zip(batch, self._run([pieces[at][1] for at in batch], width, length_penalty), strict=True)
        for at, (number, _) in enumerate(pieces):
            translations[number].append(done[at])
        return [" ".join(parts) for parts in translations]

    def translate_layout(self, text: str, width: int = 4) -> str:
        """A longer text sentence by sentence; line breaks and the white space between sentences stay as they are."""
        return self.translate_layouts([text], width)[0]

    def translate_layouts(self, texts: Sequence[str], width: int = 4) -> list[str]:
        """The same of several texts, whose sentences are translated together."""
        spans = [_sentences(text) for text in texts]
        sentences = [text[start:end] for text, own in zip(texts, spans, strict=True) for start, end in own]
        translated = iter(self.translate(sentences, width))
        whole = []
        for text, own in zip(texts, spans, strict=True):
            pieces, position = [], 0
            for start, end in own:
                pieces += [text[position:start], next(translated)]
                position = end
            whole.append("".join([*pieces, text[position:]]))
        return whole

    def _run(self, sources: list[list[int]], width: int, penalty: float) -> list[str]:
        config = self.model.config
        # A translation longer than twice its source and a little is one that repeats itself.
        limits = Limits(
            first=[config.decoder_start_token_id] * len(sources),
            max_tokens=[min(self.max_length, 2 * len(ids) + 10) for ids in sources],
            ends=(config.eos_token_id,),
            never=(config.pad_token_id, config.decoder_start_token_id),
        )
        with torch.no_grad():
            decoder = SourceDecoder(self.model, sources)
            if width == 1:
                sequences = [item.tokens for item in greedy(decoder, limits)]
            else:
                sequences = [items[0].tokens for items in beam(decoder, limits, width, penalty)]
        texts: list[str] = self.tokenizer.decode_batch([list(tokens) for tokens in sequences])
        return [text.strip() for text in texts]

    def _cut(self, ids: list[int]) -> list[list[int]]:
        """Pieces of at most `max_length` sub-words with their end token, cut where a word begins if that is possible."""
        body, end, room = ids[:-1], ids[-1], self.max_length - 1
        pieces = []
        while body:
            size = min(room, len(body))
            if size < len(body):
                words = [at for at in range(size, size // 2, -1) if self._begins_word(body[at])]
                size = words[0] if words else size
            pieces.append([*body[:size], end])
            body = body[size:]
        return pieces

    def _begins_word(self, token: int) -> bool:
        return str(self.tokenizer.id_to_token(token)).startswith("Ġ")  # byte-level encoding writes a space so


def _sentences(text: str) -> list[tuple[int, int]]:
    """The spans of a text's sentences that have words."""
    return [
        (offset + start, offset + end)
        for offset, line in _lines(text)
        for start, end in split_sentences(line)
        if line[start:end].strip()
    ]


def _lines(text: str) -> list[tuple[int, str]]:
    """The lines of a text with the offset of each."""
    lines, position = [], 0
    for line in text.splitlines(keepends=True):
        lines.append((position, line))
        position += len(line)
    return lines


def languages(translator: Translator, source: str | None, target: str | None) -> None:
    """Raises InputError where a language is asked for that the model does not have."""
    for language, own, what in ((source, translator.source, "from"), (target, translator.target, "to")):
        if language not in (None, own):
            raise InputError(f"the model translates {what} {own!r}, not {language!r}")
