"""Textome: biomedical text mining on BioBERT-style Transformers."""
