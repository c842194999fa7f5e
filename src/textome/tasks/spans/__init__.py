"""Mentions in sentences: how words are labelled, how labels are chained, and how spans are read off them."""
