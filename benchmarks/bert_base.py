"""A checkpoint of BERT-base's sizes (110 M parameters) with random weights, for measuring speed where no checkpoint is.

    python benchmarks/bert_base.py FOLDER [--minilm]

With --minilm the sizes are those of MiniLM-L6 (22.7 M parameters).

Vocabulary and tokenizer are those of the bundled model, by which `textome preprocess` cuts corpora; there are as many
tokens as in BERT's.
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path

import torch
from safetensors.torch import save_file

from textome.encoders.bert.model import Bert, BertConfig
from textome.encoders.checkpoint import to_hugging_face
from textome.training.bundles import base_directory

TOKENIZER = "default"

MINILM = BertConfig(hidden_size=384, num_hidden_layers=6, intermediate_size=1536)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--minilm", action="store_true")
    options = parser.parse_args()
    write(options.folder, MINILM if options.minilm else BertConfig())


def write(folder: Path, config: BertConfig = BertConfig()) -> Path:  # noqa: B008
    """Write the checkpoint in the Hugging Face layout."""
    folder.mkdir(parents=True, exist_ok=True)
    source = base_directory(TOKENIZER)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(source / name, folder / name)
    torch.manual_seed(0)
    values = {"architectures": ["BertModel"], "model_type": "bert", "pad_token_id": 0, **vars(config)}
    (folder / "config.json").write_text(json.dumps(values, indent=2))
    save_file(to_hugging_face(Bert(config)), folder / "model.safetensors", metadata={"format": "pt"})
    return folder


if __name__ == "__main__":
    main()
