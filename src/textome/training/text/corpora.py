"""Corpora of mentions on disk as training sentences, with those of test sets kept out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from textome.documents import Document
from textome.errors import InputError
from textome.formats import Quarantine, Source, read_documents
from textome.formats.reading.folders import hash_of
from textome.tasks.spans.mentions import MentionTask, Sentence
from textome.text.sentences import sentence_spans
from textome.training.devices import choose_device
from textome.training.recipe import Recipe
from textome.training.task_table import Corpus, TaskTable
from textome.training.techniques.augmentation import names_of, read_lexicon, replace_mentions
from textome.training.techniques.backtranslation import back_translated, there_and_back
from textome.training.techniques.edits import drop_words, join, read_synonyms, replace_synonyms

# Shorter sentences ("Methods", "P = 0.03.") stand in many texts by chance, so they prove no leak.
SHORTEST_LEAK = 40


@dataclass
class CorpusData:
    """What was read for one corpus. `leaks` counts training sentences left out since a test set holds them."""

    name: str
    train: list[Sentence] = field(default_factory=list)
    validation: list[Sentence] = field(default_factory=list)
    leaks: int = 0
    quarantine: Quarantine = field(default_factory=Quarantine)
    hashes: dict[str, str] = field(default_factory=dict)


def load_corpora(recipe: Recipe, table: TaskTable) -> list[CorpusData]:
    """Read every corpus of a task. Raises InputError for a missing file, an empty split or an unknown label."""
    quarantines = [Quarantine() for _ in table.corpora]
    forbidden = _test_sentences(recipe, table, quarantines) if recipe.data.drop_leaks else frozenset()
    return [_load(recipe, table, *item, forbidden) for item in zip(table.corpora, quarantines, strict=True)]


def _load(
    recipe: Recipe, table: TaskTable, corpus: Corpus, quarantine: Quarantine, forbidden: frozenset[str]
) -> CorpusData:
    task = table.task
    assert isinstance(task, MentionTask)
    data = CorpusData(corpus.name, quarantine=quarantine)
    for split, paths in (("train", corpus.train), ("validation", corpus.validation)):
        sentences, number = getattr(data, split), 0
        for path in paths:
            source = Source.of(recipe.path(path))
            for document in read_documents(source, corpus.format, quarantine, **_options(corpus)):
                sentences += task.sentences(document, corpus.types, corpus.format != "conll", number)
                number += 1
            data.hashes[path] = hash_of(Path(recipe.path(path).partition("!")[0]))
    for path in [*corpus.lexicon.values(), *([corpus.synonyms] if corpus.synonyms else [])]:
        data.hashes[Path(path).name] = hash_of(Path(path))
    kept = [sentence for sentence in data.train if fingerprint(sentence.text) not in forbidden]
    data.leaks = len(data.train) - len(kept)
    generator = np.random.default_rng([recipe.training.seed, table.corpora.index(corpus)])
    data.train = kept + _further_readings(recipe, corpus, kept, task.types, generator)
    for name, path in zip(("there", "back"), corpus.back_translation, strict=False):
        data.hashes[name] = hash_of(Path(path) / "model.safetensors")
    if not data.train:
        raise InputError(
            f"corpus {corpus.name!r}: no training sentence was read from {', '.join(corpus.train)}{quarantine.first}"
        )
    if corpus.validation and not data.validation:
        raise InputError(
            f"corpus {corpus.name!r}: no validation sentence was read from {', '.join(corpus.validation)}; "
            f"leave validation out to train without{quarantine.first}"
        )
    return data


def _further_readings(
    recipe: Recipe, corpus: Corpus, sentences: list[Sentence], types: Sequence[str], generator: np.random.Generator
) -> list[Sentence]:
    """The sentences again, `repeat - 1` times, changed as the recipe asks; with other names, only those with a mention."""
    again = (sentences if not corpus.replace_mentions else [item for item in sentences if item.mentions]) * (
        corpus.repeat - 1
    )
    names = names_of((sentence.text, sentence.mentions) for sentence in sentences) if corpus.replace_mentions else {}
    for kind, path in corpus.lexicon.items():
        head = types.index(kind)
        names[head] = names.get(head, []) + read_lexicon(path)
    synonyms = None if corpus.synonyms is None else read_synonyms(corpus.synonyms)
    texts = [(sentence.text, sentence.mentions) for sentence in again]
    if corpus.back_translate:
        there, back = corpus.back_translation
        paraphrase = there_and_back(there, back, choose_device(recipe.training.device))
        texts = back_translated(texts, paraphrase, corpus.back_translate, generator)
    readings = []
    for sentence, (text, mentions) in zip(again, texts, strict=True):
        if corpus.replace_mentions:
            text, mentions = replace_mentions(text, mentions, names, corpus.replace_mentions, generator)
        if synonyms is not None:
            text, mentions = replace_synonyms(text, mentions, synonyms, corpus.replace_synonyms, generator)
        if corpus.drop_words:
            text, mentions = drop_words(text, mentions, corpus.drop_words, generator)
        readings.append(Sentence(text, mentions, sentence.annotated))
    return readings if corpus.join == 1 else _joined(readings, corpus.join, generator)


def _joined(sentences: Sequence[Sentence], count: int, generator: np.random.Generator) -> list[Sentence]:
    """Sentences of one corpus, `count` at a time and drawn at random, as one text each."""
    order = generator.permutation(len(sentences)).tolist()
    groups = [[sentences[index] for index in order[start : start + count]] for start in range(0, len(order), count)]
    return [Sentence(*join([(item.text, item.mentions) for item in group]), group[0].annotated) for group in groups]


def _options(corpus: Corpus) -> dict[str, str | None]:
    return {"entity_type": corpus.entity_type} if corpus.format == "conll" else {}


def _test_sentences(recipe: Recipe, table: TaskTable, quarantines: Sequence[Quarantine]) -> frozenset[str]:
    fingerprints: set[str] = set()
    for corpus, quarantine in zip(table.corpora, quarantines, strict=True):
        for path in corpus.test:
            source = Source.of(recipe.path(path))
            for document in read_documents(source, corpus.format, quarantine, **_options(corpus)):
                fingerprints.update(_fingerprints(document, corpus.format != "conll"))
    return frozenset(fingerprints)


def _fingerprints(document: Document, split: bool) -> Iterable[str]:
    return {
        print_
        for start, end in sentence_spans(document, split)
        if len(print_ := fingerprint(document.text[start:end])) >= SHORTEST_LEAK
    }


def fingerprint(text: str) -> str:
    """A text without case and white space, so that differently tokenised copies are the same."""
    return "".join(text.split()).casefold()
