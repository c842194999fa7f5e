"""The encoders there are: a table from the `model_type` of a `config.json` to a configuration and the model it makes.

Heads and tasks take whichever encoder a configuration describes; all have one call, packed tokens to hidden states.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from textome.encoders.bert.model import Bert, BertConfig
from textome.encoders.deberta.model import Deberta, DebertaConfig

EncoderConfig = BertConfig | DebertaConfig
CONFIGS: dict[str, type[BertConfig] | type[DebertaConfig]] = {"bert": BertConfig, "deberta-v2": DebertaConfig}


def read_encoder_config(values: Mapping[str, Any]) -> EncoderConfig:
    """The configuration that a parsed `config.json` describes; BERT where it names no `model_type`.

    Raises ValueError for another architecture, or one of these with a part that is not supported.
    """
    kind = values.get("model_type", "bert")
    if kind not in CONFIGS:
        raise ValueError(f"the architecture is {kind!r}; only {', '.join(CONFIGS)} can be loaded")
    return CONFIGS[kind].from_dict(values)


def build_encoder(config: EncoderConfig, pooler: bool = False) -> Bert | Deberta:
    """A fresh encoder. Raises ValueError where a pooler is asked of DeBERTa, which has none."""
    if isinstance(config, BertConfig):
        return Bert(config, pooler)
    if pooler:
        raise ValueError("DeBERTa has no pooler and no next-sentence task; use BERT for these")
    return Deberta(config)
