"""Texts that a model writes for requests, a token at a time."""
