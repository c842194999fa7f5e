"""DeBERTa v2 and v3 (He et al. 2021; He et al. 2023)."""

from textome.encoders import Encoder, HeadLayer

ENCODER = Encoder(
    folder="deberta",
    transformers="DebertaV2",
    prefix="deberta.",
    hidden_states="deberta.hidden",
    head_layer=lambda config: HeadLayer("pooler.dense"),
    # Version 3 has the positions of its mask decoder among the embeddings.
    unused=r"(deberta\.)?(cls\.|lm_predictions\.|mask_predictions\.|embeddings\.position_(ids|embeddings\.weight)$|pooler\.)"
    r"|(classifier|qa_outputs)\.",
    config={"pooler_hidden_act": "tanh"},  # theirs would be GELU
    starts_from=frozenset({"bert"}),
    prunable=frozenset({"layers", "intermediate_size"}),
)
