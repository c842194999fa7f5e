"""Techniques that wrap training, each in a module of its own; `matrix` tells which works for which task."""
