"""Annotating millions of documents: resumable, exactly once, in flat memory, on one machine or a Ray cluster."""
