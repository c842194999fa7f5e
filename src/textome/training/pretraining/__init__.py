"""Encoders that learn to guess hidden tokens of a corpus."""
