"""Why a model finds what it finds: the words that speak for it, and those that speak against it."""

from __future__ import annotations

from textome.explain.explainer import Explainer
from textome.explain.occlusion import Explanation, Word, explain_record
from textome.explain.records import RecordExplanation, explain_content

__all__ = ["Explainer", "Explanation", "RecordExplanation", "Word", "explain_content", "explain_record"]
