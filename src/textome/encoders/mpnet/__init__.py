"""MPNet (Song et al. 2020, arXiv:2004.09297), the encoder of many a sentence-transformers model."""

from __future__ import annotations

from textome.encoders import Encoder, HeadLayer

ENCODER = Encoder(
    folder="mpnet",
    transformers="MPNet",
    prefix="mpnet.",
    hidden_states="mpnet.encoder.layer.{last}.output.hidden",
    head_layer=lambda config: HeadLayer("classifier.dense", text_classifier="classifier.out_proj"),
    unused=r"(mpnet\.)?(pooler\.|embeddings\.position_ids$)|(lm_head|classifier|qa_outputs)\.",
    unused_positions=2,  # the first token stands behind the position of padding, which is 1
    prunable=frozenset({"layers", "intermediate_size"}),
    int8_aware=True,
)
# Of the biases for distances; `transformers` has this number whatever `config.json` says.
BUCKETS = 32
