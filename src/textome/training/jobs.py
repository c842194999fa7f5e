"""The job of each kind of run, see `Task.trained_by`: each reads the data of a recipe and builds its model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from textome.training.job import Job
from textome.training.maps.job import MapJob
from textome.training.modality.job import SequenceJob
from textome.training.pairs.job import PairJob
from textome.training.parallel.processes import Processes
from textome.training.pretraining.job import PretrainingJob
from textome.training.pretraining.spans import SpanCorruptionJob
from textome.training.recipe import Recipe
from textome.training.run import Report
from textome.training.text.job import TextJob
from textome.training.text_to_text.job import TextToTextJob
from textome.training.translation.job import TranslationJob

JOBS: dict[str, Callable[[Recipe[Any], Path, Processes, Report], Job]] = {
    "text": TextJob.of,
    "modality": SequenceJob.of,
    "pairs": PairJob.of,
    "maps": MapJob.of,
    "translation": TranslationJob.of,
    "masked_lm": PretrainingJob.of,
    "span_corruption": SpanCorruptionJob.of,
    "text_to_text": TextToTextJob.of,
}
