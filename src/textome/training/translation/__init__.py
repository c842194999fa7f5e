"""An encoder-decoder that learns to translate."""
