"""The Transformer with encoder and decoder (Vaswani et al. 2017), for translation."""
