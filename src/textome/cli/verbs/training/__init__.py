"""Verbs that prepare, train and export models."""
