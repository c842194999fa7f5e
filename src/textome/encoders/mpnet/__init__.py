"""MPNet (Song et al. 2020, arXiv:2004.09297), the encoder of many a sentence-transformers model."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

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
# Of the biases for distances; `transformers` has these numbers whatever `config.json` says.
BUCKETS, MAX_DISTANCE = 32, 128


def bucket_of_distance(distance: NDArray[np.int64]) -> NDArray[np.int64]:
    """The bucket of the distance j - i of a key j from a query i, in the shape given (Raffel et al. 2020, section 2.1).

    Half of the buckets are for keys behind the query. In each half, distances below 8 have one each; longer ones share
    theirs, on a logarithmic scale up to 128.
    """
    half, exact = BUCKETS // 2, BUCKETS // 4
    size = np.abs(distance)
    share = np.log(np.maximum(size, exact).astype(np.float32) / exact) / np.float32(np.log(MAX_DISTANCE / exact))
    shared = np.minimum(exact + (share * (half - exact)).astype(np.int64), half - 1)
    return np.where(distance > 0, half, 0) + np.where(size < exact, size, shared)
