"""Entities: spans of sentences, by one head of three labels (O, B, I) for each type, see iob and crf.

A text is cut into sentences, and each is read by itself; one that is longer than the model in windows, whose scores are
joined before spans are decoded.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from textome.documents import Document, Entity, Span
from textome.errors import InputError
from textome.formats import read_documents
from textome.formats.reading.sources import Quarantine
from textome.tasks.confidences import DEFAULT_MIN_CONFIDENCE, Candidates, fitted
from textome.tasks.examples import Example, Floats
from textome.tasks.spans.fitting import LabelledSentence, candidates, fitted_names
from textome.tasks.spans.iob import (
    IGNORED,
    LABELS,
    OUTSIDE,
    Labels,
    ScoredSpan,
    Spans,
    label_names,
    targets,
    with_one_type,
    without_overlaps,
)
from textome.tasks.spans.labelling import CHAINED, INDEPENDENT, Labelling, by_sentence, groups, of_one_softmax
from textome.tasks.spans.mentions import MentionTask, Sentence, with_entities
from textome.tasks.spans.names import NamedSpan, NameEvidence, resolved, standing_of, with_names
from textome.tasks.task import Choice, Finding, HeadShape, Task
from textome.tasks.windows import windows, with_special_tokens
from textome.text.sentences import split_sentences
from textome.text.tokenization import Tokenizer, Tokens, end_of_character

Probability = Annotated[float, Field(ge=0, le=1)]


class Recognised(NamedTuple):
    """The entities of a sentence, whose first and last words count in `tokens`; without any word, `tokens` is None."""

    tokens: Tokens | None
    entities: list[ScoredSpan]


class Entities(MentionTask[Recognised]):
    """Entities of the types.

    head                what stands on the encoder: "linear", a layer over each word; "bilstm", an LSTM that reads hidden
                        states both ways before it (Huang et al. 2015); "crf", labels that heed the one before (see crf);
                        or "bilstm-crf", both; a recipe that leaves it out goes on with that of its base, if that has one
    lstm_size           units of that LSTM in each direction
    default_types       those that are emitted where a user names none; empty: all
    one_type            of entities of default types with the same words only the most confident is kept
    yielding_types      with `one_type`, an entity of theirs is left out for one of another type, whatever its confidence
    mutually_exclusive  groups of types that are never said of the same word: a mention of one type then teaches the others
                        of its groups what they are not, in corpora that do not annotate them too
    labels              of a model of another library, with one softmax over all types: O and the B-X and I-X, in the order
                        of its outputs; empty: a softmax over O, B, I for each type
    temperature         by type, what scores are divided by before probabilities are taken; 1 where a type is missing
    thresholds          by type, entities below it are left out where a user names no other; 0.1 where a type is missing
    known_names         by type, what it adds to the log odds of an entity that the bundled vocabulary has its text as a
                        name, see names; fitted with temperatures and thresholds for the types that are listed
    """

    has_calibration: ClassVar[bool] = True
    has_uncertainty: ClassVar[bool] = True
    evaluated_by: ClassVar[str] = "entities"
    losses: ClassVar[tuple[str, ...]] = ("iob", "crf")
    old_keys: ClassVar[Mapping[str, str]] = {"exclusive": "mutually_exclusive"}
    output_kind: ClassVar[str] = "entities"

    kind: Literal["entities"] = "entities"
    metric: Literal["entity_f1"] = "entity_f1"
    head: Literal["linear", "bilstm", "crf", "bilstm-crf"] = "linear"
    lstm_size: int = Field(128, ge=1)
    default_types: tuple[str, ...] = ()
    one_type: bool = False
    yielding_types: tuple[str, ...] = ()
    mutually_exclusive: tuple[tuple[str, ...], ...] = ()
    labels: tuple[str, ...] = ()
    temperature: dict[str, Annotated[float, Field(gt=0, allow_inf_nan=False)]] = Field(default_factory=dict)
    thresholds: dict[str, Probability] = Field(default_factory=dict)
    known_names: dict[str, NameEvidence] = Field(default_factory=dict)

    @classmethod
    def features(cls, kind: str) -> frozenset[str]:
        return super().features(kind) | {"soft_targets"}

    @classmethod
    def from_version_1(cls, entry: Mapping[str, Any]) -> dict[str, Any]:
        """Without the labels, which are always O, B, I."""
        return {key: value for key, value in entry.items() if key != "labels"}

    @model_validator(mode="after")
    def _names_agree(self) -> Self:
        if len(set(self.types)) < len(self.types):
            raise ValueError("a type is named twice")
        groups = [name for group in self.mutually_exclusive for name in group]
        for key, names in (
            ("default_types", self.default_types),
            ("yielding_types", self.yielding_types),
            ("mutually_exclusive", groups),
            ("temperature", self.temperature),
            ("thresholds", self.thresholds),
            ("known_names", self.known_names),
        ):
            if unknown := [name for name in names if name not in self.types]:
                raise ValueError(f"{key} names {unknown[0]!r}, which is not in types")
        known = {LABELS[OUTSIDE], *(f"{mark}-{name}" for name in self.types for mark in "BI")}
        if self.labels and (unknown := [label for label in self.labels if label not in known]):
            raise ValueError(f"labels names {unknown[0]!r}, which is neither O nor B-X or I-X of one of the types")
        if self.labels and (LABELS[OUTSIDE] not in self.labels or len({*self.labels}) < len(self.labels)):
            raise ValueError("labels must name O, and each label once")
        if self.labels and self.head != "linear":
            raise ValueError('labels are those of another library, whose head is "linear"')
        return self

    @property
    def head_shape(self) -> HeadShape:
        scores = len(self.labels) or len(self.labelling.outputs) * len(self.types)
        return HeadShape(scores, 0, recurrent=self.lstm_size if self.head.startswith("bilstm") else 0)

    @property
    def labelling(self) -> Labelling:
        """How the scores of the head are read, but for `labels`."""
        return CHAINED if self.head.endswith("crf") else INDEPENDENT

    @property
    def loss(self) -> str:
        if self.labels:
            raise InputError("entities.labels are those of models of other libraries; leave them out to train a model")
        return "crf" if self.labelling is CHAINED else "iob"

    @property
    def label_names(self) -> tuple[str, ...]:
        return self.types

    @property
    def output_names(self) -> tuple[str, ...]:
        return self.labels or tuple(f"{name}:{output}" for name in self.types for output in self.labelling.outputs)

    def continuing(self, own: Task[Any, Any]) -> Self:
        assert isinstance(own, Entities)
        is_open = "head" not in self.model_fields_set
        return self.model_copy(update={"head": own.head, "lstm_size": own.lstm_size}) if is_open else self

    def first_output(self, name: str, known: Container[str]) -> str | None:
        """Where the older head scores labels alone, a label after another one begins as that label."""
        if name in known:
            return name
        kind, _, pair = name.rpartition(":")
        return next((other for other in [f"{kind}:{pair.rpartition('>')[2]}"] if other in known), None)

    @property
    def checkpoint_labels(self) -> tuple[str, ...]:
        return self.labels or (label_names(self.types) if self.labelling is INDEPENDENT else self.output_names)

    @property
    def checkpoint_caveat(self) -> str:
        if self.head != "linear":
            return f"The head of entities is {self.head!r}, which other libraries do not have: load the model with Textome."
        if self.labels or len(self.types) == 1:
            return ""
        return (
            "The labels O, B and I of each type have a softmax of their own, since types may overlap: a pipeline of other "
            "libraries that takes the most probable of all labels gives nonsense. `textome export --transformers` writes a "
            "model for those where the types exclude each other."
        )

    def negative_types(self) -> dict[int, list[int]]:
        """By the number of a type, the numbers of those that exclude it."""
        groups = [[self.types.index(name) for name in group] for group in self.mutually_exclusive]
        return {
            head: sorted({other for group in groups if head in group for other in group} - {head})
            for head in sorted({head for group in groups for head in group})
        }

    def read(self, path: str, layout: str | None, quarantine: Quarantine) -> Iterator[Sentence]:
        for number, document in enumerate(read_documents(path, layout, quarantine)):
            yield from self.sentences(document, {name: name for name in self.types}, layout != "conll", number)

    def records(self, document: Document, question: str | None = None) -> list[Sentence]:
        """The sentences of a document, whatever entities it has already."""
        split = self._choice.sentences
        return [
            Sentence(passage.text[start:end], (), (), 0, passage.offset + start)
            for passage in document.passages
            for start, end in (split_sentences(passage.text) if split else [Span(0, len(passage.text))])
        ]

    def examples(self, records: Sequence[Sentence], tokenizer: Tokenizer, window: int, overlap: int) -> list[Example]:
        """The inputs of sentences, scored at the first piece of each word; none for a sentence without any word."""
        examples = []
        for number, tokens in enumerate(tokenizer.encode([record.text for record in records])):
            for piece in windows(tokens, window - 2, overlap) if len(tokens.ids) else ():
                words = np.flatnonzero((tokens.first >= piece.keep_start) & (tokens.first < piece.keep_end))
                ids = with_special_tokens(tokens, piece, tokenizer)
                positions = (tokens.first[words] - piece.start + 1).astype(np.int32)
                first = int(words[0]) if len(words) else 0
                examples.append(Example(number, ids, None, positions, start=first, tokens=tokens))
        return examples

    def targets(self, example: Example, record: Sentence) -> Labels:
        """(m, num_types) of O, B, I; IGNORED under heads whose type the text is not annotated for."""
        assert example.tokens is not None
        exclusive = self.negative_types()
        labels = targets(example.tokens, record.mentions, len(self.types), record.annotated, exclusive)
        return labels[example.start : example.start + len(example.positions)]

    @property
    def soft_names(self) -> tuple[str, ...]:
        return tuple(f"{name}:{label}" for name in self.types for label in LABELS)

    def soft_targets(
        self, records: Sequence[Sentence], examples: Sequence[Example], scores: Sequence[Floats]
    ) -> list[NDArray[np.floating]]:
        """The probabilities of the labels of each word."""
        every = self.with_choice(Choice(self.types))
        soft = [np.empty((0, len(self.soft_names)), np.float32)] * len(records)
        pieces, _ = by_sentence(examples, scores)
        for number, rows in zip(pieces, every.log_probabilities(pieces.values()), strict=True):
            soft[number] = np.exp(self.labelling.marginals(rows, [len(rows)])).reshape(len(rows), -1)
        return soft

    def soft_rows(self, example: Example, soft: Sequence[NDArray[np.floating]]) -> NDArray[np.floating]:
        """Those of the example's words; NaN in a text that the teacher cuts into other words."""
        assert example.tokens is not None
        rows = soft[example.record]
        if len(rows) != len(example.tokens.first):
            return np.full((len(example.positions), len(self.soft_names)), np.nan, np.float32)
        return rows[example.start : example.start + len(example.positions)]

    def as_shares(self, target: NDArray[Any]) -> NDArray[np.floating]:
        shares = np.eye(len(LABELS), dtype=np.float32)[np.maximum(target, 0)]
        return np.where((target == IGNORED)[..., None], np.nan, shares).reshape(len(target), -1)

    @property
    def chosen_types(self) -> tuple[str, ...]:
        """The types that a user asks for; all of them where no choice was made."""
        return self.types if self._choice.types is None else self._choice.types

    def with_choice(self, choice: Choice) -> Self:
        """Of the choice's types those that the task knows, or its default types."""
        types = self.default_types or self.types
        if choice.types is not None:
            types = tuple(name for name in dict.fromkeys(choice.types) if name in self.types)
        return super().with_choice(replace(choice, types=types))

    def decode(
        self, records: Sequence[Sentence], examples: Sequence[Example], scores: Sequence[Floats]
    ) -> list[Recognised]:
        """The entities of each sentence, in order of their start; those of different types may overlap."""
        pieces, tokens = by_sentence(examples, scores)
        evidence = self._evidence()
        spans_of: dict[int, list[ScoredSpan]] = {}
        for group in groups({number: sum(map(len, rows)) for number, rows in pieces.items()}):
            rows, lengths = np.concatenate([rows for number in group for rows in pieces[number]]), list(group.values())
            decoded = self.labelling.decode(*self._by_type(rows), lengths)
            if evidence:
                words = [(records[number].text, tokens[number]) for number in group]
                decoded = [resolved(spans, evidence) for spans in self._named(rows, lengths, words, decoded)]
            spans_of |= zip(group, decoded, strict=True)
        return [Recognised(tokens.get(number), spans_of.get(number, [])) for number in range(len(records))]

    def _evidence(self) -> dict[int, NameEvidence]:
        """What known names add, by the number of each chosen type that has something."""
        return {head: self.known_names[name] for head, name in enumerate(self.chosen_types) if name in self.known_names}

    def _named(
        self,
        scores: Floats,
        lengths: Sequence[int],
        words: Sequence[tuple[str, Tokens | None]],
        decoded: Sequence[Sequence[ScoredSpan]],
    ) -> Iterator[list[NamedSpan]]:
        """Of each sentence the decoded spans and the possible ones with known names, see `with_names`; of the scores
        (m, num_labels) of all their words, and the number, the text and the tokens of those of each."""
        heads = [*self._evidence()]
        by_type, temperature = self._by_type(scores)
        logs = by_type[:, heads]
        if temperature is not None:
            logs = self.labelling.normalise(logs, temperature[heads], lengths)
        marginals, end = self.labelling.marginals(logs, lengths), 0
        types = {head: self.chosen_types[head] for head in heads}
        for spans, length, (text, tokens) in zip(decoded, lengths, words, strict=True):
            start, end = end, end + length
            probability = partial(self.labelling.probability, logs[start:end])
            yield with_names(spans, marginals[start:end], probability, text, tokens, types)

    def _by_type(self, scores: Floats) -> tuple[Floats, Floats | None]:
        """The scores (m, num_labels) by type, (m, num_chosen_types, outputs), and the temperature of each type; where
        `labels` are those of one softmax, log probabilities and None."""
        if self.labels:
            return of_one_softmax(scores, self.labels, self.chosen_types), None
        heads = [self.types.index(name) for name in self.chosen_types]
        temperature = np.array([self.temperature.get(name, 1.0) for name in self.chosen_types], np.float32)
        return scores.reshape(len(scores), -1, len(self.labelling.outputs))[:, heads], temperature

    def log_probabilities(self, sentences: Iterable[Sequence[Floats]]) -> Iterator[Floats]:
        """(m, num_chosen_types, 3) of the m words of each sentence, from the scores (n, num_labels) of its windows; with a
        "crf", (m, num_chosen_types, 3, 3), see `crf.chain`. One after another: those of a pool would fill the memory."""
        for pieces in sentences:
            rows = pieces[0] if len(pieces) == 1 else np.concatenate(pieces)
            by_type, temperature = self._by_type(rows)
            yield by_type if temperature is None else self.labelling.normalise(by_type, temperature, [len(rows)])

    def kept(self, sentences: Iterable[Sequence[ScoredSpan]]) -> Iterator[list[ScoredSpan]]:
        """The entities of each sentence that a user wants: over the thresholds, and where `flat` without overlaps or else,
        with `one_type`, of one type for the same words."""
        limit, flat = self._choice.min_confidence, self._choice.flat
        thresholds = [
            self.thresholds.get(name, DEFAULT_MIN_CONFIDENCE) if limit is None else limit for name in self.chosen_types
        ]
        usual = (self.default_types or self.types) if self.one_type else ()
        ranks = {
            head: int(name not in self.yielding_types) for head, name in enumerate(self.chosen_types) if name in usual
        }
        for spans in sentences:
            certain = [item for item in spans if item.confidence >= thresholds[item.head]]
            yield without_overlaps(certain) if flat else with_one_type(certain, ranks)

    def annotate(
        self, name: str, document: Document, records: Sequence[Sentence], predictions: Sequence[Recognised]
    ) -> Document:
        """The document with new entities of the chosen types over their thresholds."""
        types, sentences = self.chosen_types, self.kept(entities for _, entities in predictions)
        entities = [
            _entity(document, record, tokens, item, types[item.head])
            for record, (tokens, _), kept in zip(records, predictions, sentences, strict=True)
            for item in kept
            if tokens is not None
        ]
        return with_entities(document, entities)

    def findings(
        self, record: Sentence, examples: Sequence[Example], scores: Sequence[Floats], label: str | None = None
    ) -> list[Finding]:
        """The entities of a sentence that a user wants."""
        ((tokens, spans),) = self.decode([record], examples, scores)
        findings: list[Finding] = []
        if tokens is None:
            return findings
        for item in next(self.kept([spans])):
            start = int(tokens.word_starts[item.first])
            end = end_of_character(record.text, int(tokens.word_ends[item.last]))
            name = self.chosen_types[item.head]
            standing = standing_of(record.text[start:end], name) if name in self.known_names else None
            key = NamedSpan(item, standing)
            findings.append(Finding(name, item.confidence, Span(start, end), record.offset, key=key))
        return findings

    def confidences(
        self, record: Sentence, examples: Sequence[Example], scores: Sequence[Floats], findings: Sequence[Finding]
    ) -> list[float]:
        (rows,) = self.log_probabilities([scores])
        evidence, spans = self._evidence(), [item.key for item in findings if isinstance(item.key, NamedSpan)]
        return [
            evidence.get(span.head, NameEvidence()).shifted(self.labelling.probability(rows, *span[:3], None), standing)
            for span, standing in spans
        ]

    def uncertainty(
        self, records: Sequence[Sentence], examples: Sequence[Example], scores: Sequence[Floats]
    ) -> list[float]:
        """The mean over words of 1 - the probability of the best label, under the head that is least sure of the word."""
        values = [0.0] * len(records)
        pieces, _ = by_sentence(examples, scores)
        for number, rows in zip(pieces, self.log_probabilities(pieces.values()), strict=True):
            if rows.size:
                best = self.labelling.marginals(rows, [len(rows)]).max(axis=-1)
                values[number] = float((1 - np.exp(best)).max(axis=-1).mean())
        return values

    def calibrated(self, records: Sequence[Sentence], examples: Sequence[Example], scores: Sequence[Floats]) -> Self:
        """With the temperature and threshold of each type that fit labelled records best, see `confidences.fitted`.

        Types with fewer than `confidences.MIN_MENTIONS` mentions keep what they have. What known names add is fitted at
        that temperature, and the threshold then with it.
        """
        candidates = self._candidates(records, examples, scores)
        fits = {name: fitted(item) for name, item in candidates.items() if item.suffice}
        temperature = self.temperature | {name: fit.temperature for name, fit in fits.items()}
        thresholds = self.thresholds | {name: fit.threshold for name, fit in fits.items()}
        own = self.model_copy(update={"temperature": temperature, "thresholds": thresholds})
        listed = [name for name in self.known_names if name in fits]
        return own._with_fitted_names(listed, records, examples, scores) if listed else own

    def _with_fitted_names(
        self, listed: Sequence[str], records: Sequence[Sentence], examples: Sequence[Example], scores: Sequence[Floats]
    ) -> Self:
        """With what known names of these types add, and the thresholds that fit it."""
        own, heads = self.with_choice(Choice(self.types)), {self.types.index(name): name for name in listed}
        pieces, tokens_of = by_sentence(examples, scores)
        sentences = []
        for number, parts in pieces.items():
            record, tokens, rows = records[number], tokens_of[number], np.concatenate(parts)
            if tokens is not None and not heads.keys().isdisjoint(record.annotated):
                decoded = self.labelling.decode(*own._by_type(rows), [len(rows)])
                (named,) = own._named(rows, [len(rows)], [(record.text, tokens)], decoded)
                sentences.append((record.annotated, self._gold(record, tokens), named))
        evidence, thresholds = fitted_names(heads, sentences)
        update = {"known_names": self.known_names | evidence, "thresholds": self.thresholds | thresholds}
        return self.model_copy(update=update)

    def _candidates(
        self, records: Sequence[Sentence], examples: Sequence[Example], scores: Sequence[Floats]
    ) -> dict[str, Candidates]:
        """By type, what the head decodes without any threshold in records that are annotated for it."""
        plain = self.model_copy(update={"temperature": {}, "known_names": {}}).with_choice(Choice(self.types))
        pieces, _ = by_sentence(examples, scores)
        decoded = plain.decode(records, examples, scores)
        sentences = [
            LabelledSentence(record.annotated, self._gold(record, tokens), entities, np.concatenate(pieces[number]))
            for number, (record, (tokens, entities)) in enumerate(zip(records, decoded, strict=True))
            if tokens is not None
        ]
        return candidates(self.labelling, self.types, sentences)

    def score(self, records: Sequence[Sentence], predictions: Sequence[Recognised]) -> dict[str, float]:
        """Micro F1 of entities of the types that each sentence is annotated for; first word, last word and type must be
        right."""
        from textome.metrics.entities import score_entities  # which annotation does without

        gold, predicted = [], []
        for record, (tokens, spans) in zip(records, predictions, strict=True):
            predicted.append({(it.first, it.last, it.head) for it in spans if it.head in record.annotated})
            gold.append(set() if tokens is None else self._gold(record, tokens))
        return {"entity_f1": score_entities(gold, predicted).micro.f1}

    def _gold(self, record: Sentence, tokens: Tokens) -> set[tuple[int, int, int]]:
        """The mentions of a sentence as (first word, last word, head), as targets can tell them."""
        labels = targets(tokens, record.mentions, len(self.types), record.annotated)
        return {*zip(*(column.tolist() for column in Spans.of(labels)), strict=True)}


def _entity(document: Document, record: Sentence, tokens: Tokens, span: ScoredSpan, type: str) -> Entity:
    """A span that was recognised in a sentence of `document`, as its entity."""
    start = record.offset + int(tokens.word_starts[span.first])
    end = end_of_character(document.text, record.offset + int(tokens.word_ends[span.last]))
    return document.entity([(start, end)], type, confidence=round(span.confidence, 6))
