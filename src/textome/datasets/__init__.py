"""Layouts of labelled and parallel data, one file each."""
