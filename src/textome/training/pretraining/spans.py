"""The job of a run that pretrains a T5: it writes the spans that texts of corpora lack (Raffel et al. 2020, section 3.1.4).

The run leaves the model in `model/`, in the Hugging Face layout: `transformers` loads it as T5ForConditionalGeneration,
and a recipe for text-to-text tasks names it as `model.base`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from torch import Tensor

from textome.encoders.encoder_decoder import EncoderDecoder
from textome.tasks.span_corruption import Corrupter, SpanCorruption
from textome.training.batches import cut
from textome.training.bundles import card_head, environment, write_folder
from textome.training.parallel.processes import Processes
from textome.training.preparation import prepare_encoder
from textome.training.pretraining.data import Assembles, Drawn, Mixture
from textome.training.pretraining.job import PretrainingJob, PretrainingTask
from textome.training.recipe import Recipe
from textome.training.recipe_files import provenance_of
from textome.training.run import Report
from textome.training.text_to_text.model import build_t5
from textome.training.translation.packing import IdPair, PackedPairs


@dataclass
class CorruptedBatch:
    """Sources and targets of sequences with spans left out.

    block, number   which batch of the mixture it is
    """

    pairs: list[IdPair]
    block: int = 0
    number: int = 0

    task: ClassVar[int] = 0

    @property
    def num_tokens(self) -> int:
        return sum(len(source) + len(target) for source, target in self.pairs)

    @property
    def num_targets(self) -> int:
        return sum(len(target) for _, target in self.pairs)

    def cut(self, budget: int) -> list[CorruptedBatch]:
        """The batch in parts of at most `budget` tokens, or of one longer pair."""
        lengths = [len(source) + len(target) for source, target in self.pairs]
        groups = cut(range(len(lengths)), lengths, budget)
        return [CorruptedBatch([self.pairs[index] for index in group]) for group in groups]


@dataclass(frozen=True)
class SpanAssembler:
    """Leaves spans of the sequences of a mixture out; `dynamic` draws others in each pass over a corpus."""

    mixture: Mixture
    corrupter: Corrupter
    dynamic: bool

    def batch(self, drawn: Drawn) -> CorruptedBatch:
        """The batch of sequences named as in `Mixture.block`."""
        return CorruptedBatch([self._pair(*item) for item in drawn])

    def _pair(self, source: int, turn: int, number: int) -> IdPair:
        generator = self.mixture.generator(source, turn if self.dynamic else 0, number)
        ids = self.mixture.sources[source].ids(number)
        corrupted, target = self.corrupter.corrupt(ids, generator)
        return corrupted.tolist(), target.tolist()


class SpanCorruptionTask(PretrainingTask):
    """Spans of corpora that are left out, and written."""

    def _assembler(self, mixture: Mixture, dynamic: bool) -> Assembles:
        assert isinstance(self.task, SpanCorruption)
        corrupter = Corrupter.of(self._tokenizer, self.task.probability, self.task.mean_span)
        return SpanAssembler(mixture, corrupter, dynamic)

    def packed(self, batch: CorruptedBatch) -> PackedPairs:  # type: ignore[override]
        return PackedPairs.of(batch.pairs, self._tokenizer.start_id, self._device)

    def logits(self, model: EncoderDecoder, packed: PackedPairs) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        return packed.logits(model)

    def further_loss(self, pooled: Tensor, packed: PackedPairs) -> None:  # type: ignore[override]
        """None: the loss is that of the targets alone."""


class SpanCorruptionJob(PretrainingJob):
    """Trains encoder and decoder of a T5."""

    @classmethod
    def of(cls, recipe: Recipe[Any], folder: Path, processes: Processes, report: Report) -> SpanCorruptionJob:
        """The job of a recipe, its corpora opened and its model built."""
        model, tokenizer, base = build_t5(recipe)
        finish = prepare_encoder(model, recipe.training)
        model.to(processes.device)
        task = SpanCorruptionTask(recipe, tokenizer, processes.device)
        job = cls(recipe, model, [task], processes.device, finish=finish)
        job._described = model.config.to_dict(), base
        return job

    def loss(self, batch: Any) -> tuple[Tensor, int]:
        return super(PretrainingJob, self).loss(batch)

    def size(self, batch: Any) -> tuple[int, int]:
        return batch.num_tokens, batch.num_targets

    def measured(self, seconds: float) -> dict[str, float]:
        """Nothing: the operations of both sides are not counted."""
        return {}

    def write(self, folder: Path, model: Any, progress: Mapping[str, Any], more: dict[str, Any]) -> Path:
        """The model in the Hugging Face layout, with `pretraining.json` beside it."""
        recipe, (config, base), data = self.recipe, self._described, self.report()
        last = progress["scores"][-1] if progress["scores"] else self.validate()
        scores: Any = {name: values for name, values in last.items() if name != "mean"}
        description = {
            "recipe": provenance_of(recipe),
            "data": data,
            "held_out": scores,
            "environment": environment(self.device),
        }
        lines = [f"Pretrained by span corruption on {', '.join(data)}: {recipe.training.tokens:,} tokens.", ""]
        text = [*card_head(recipe, lines, "text2text-generation"), "| held-out text | perplexity | accuracy, % |"]
        text += ["|---|---|---|"]
        text += [
            f"| {name} | {item['perplexity']:.2f} | {100 * item['accuracy']:.2f} |" for name, item in scores.items()
        ]
        return write_folder(folder, model, config, base, description, "\n".join(text) + "\n", "pretraining.json")
