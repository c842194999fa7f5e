"""BERT (Devlin et al. 2019), which BioBERT, PubMedBERT, SciBERT and MiniLM share."""

from textome.encoders import Encoder, HeadLayer

ENCODER = Encoder(
    folder="bert",
    transformers="Bert",
    prefix="bert.",
    hidden_states="bert.encoder.layer.{last}.output.hidden",
    head_layer=lambda config: HeadLayer("bert.pooler.dense"),
    unused=r"(bert\.)?(cls\.|embeddings\.position_ids$|pooler\.)|(classifier|qa_outputs)\.",
    prunable=frozenset({"layers", "attention_heads", "intermediate_size"}),
    int8_aware=True,
    early_exit=True,
    next_sentence=True,
    layers_called_once=True,
)
