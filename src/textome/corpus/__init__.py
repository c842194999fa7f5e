"""From documents to a corpus that a model is pretrained on: chosen, cleaned, without doubles, and cut into tokens."""
