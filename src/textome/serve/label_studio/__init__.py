"""A machine learning backend of Label Studio: its messages, corrections and trained models, and its routes."""
