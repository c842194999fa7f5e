"""From corpora on disk to training examples, with the sentences of test sets kept out."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from textome.documents import Document
from textome.errors import InputError
from textome.formats import Quarantine, Source, read_documents
from textome.tasks.entities import Sentence
from textome.tasks.iob import Example, examples, targets
from textome.text.sentences import sentence_spans
from textome.text.tokenization import Tokenizer
from textome.training.augmentation import names_of, read_lexicon, replace_mentions
from textome.training.backtranslation import back_translated, there_and_back
from textome.training.devices import choose_device
from textome.training.edits import drop_words, join, read_synonyms, replace_synonyms
from textome.training.recipe import Corpus, Recipe

# Shorter sentences ("Methods", "P = 0.03.") stand in many texts by chance, so they prove no leak.
SHORTEST_LEAK = 40


@dataclass
class CorpusData:
    """What was read for one corpus. `leaks` counts training sentences left out since a test set holds them."""

    name: str
    train: list[Sentence] = field(default_factory=list)
    validation: list[Sentence] = field(default_factory=list)
    leaks: int = 0
    quarantined: int = 0
    hashes: dict[str, str] = field(default_factory=dict)


def load_corpora(recipe: Recipe) -> list[CorpusData]:
    """Read every corpus of a recipe. Raises InputError for a missing file, an empty split or an unknown label."""
    heads = {name: number for number, name in enumerate(recipe.entities.types)}
    forbidden = _test_sentences(recipe) if recipe.data.drop_leaks else frozenset()
    return [_load(recipe, corpus, heads, forbidden) for corpus in recipe.corpora]


def encode(sentences: Sequence[Sentence], tokenizer: Tokenizer, recipe: Recipe, training: bool) -> list[Example]:
    """Examples of sentences, see `encode_each`; those without any token are left out."""
    return [example for some in encode_each(sentences, tokenizer, recipe, training) for example in some]


def encode_each(
    sentences: Sequence[Sentence], tokenizer: Tokenizer, recipe: Recipe, training: bool
) -> Iterator[list[Example]]:
    """The examples of each sentence: one, several where it is longer than the window, none where it has no token.

    For training, the mentions of a type also tell the heads of types that exclude it what they are not.
    """
    size, num_heads = recipe.model.window - 2, len(recipe.entities.types)
    ruled_out = recipe.entities.negative_types() if training else None
    for sentence, tokens in zip(sentences, tokenizer.encode([item.text for item in sentences]), strict=True):
        labels = targets(tokens, sentence.mentions, num_heads, sentence.annotated, ruled_out)
        yield examples(tokens, labels, tokenizer, size, recipe.model.overlap) if len(tokens.ids) else []


def file_hash(path: str | Path) -> str:
    """sha256 of a file's bytes."""
    with Path(path).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _load(recipe: Recipe, corpus: Corpus, heads: dict[str, int], forbidden: frozenset[str]) -> CorpusData:
    data = CorpusData(corpus.name)
    quarantine = Quarantine()
    for split, places in (("train", corpus.train), ("validation", corpus.validation)):
        sentences, number = getattr(data, split), 0
        for place in places:
            source = Source.of(recipe.path(place))
            for document in read_documents(source, corpus.format, quarantine, **_options(corpus)):
                sentences += recipe.entities.sentences(document, corpus.types, corpus.format != "conll", number)
                number += 1
            data.hashes[place] = file_hash(recipe.path(place).partition("!")[0])
    for place in [*corpus.lexicon.values(), *([corpus.synonyms] if corpus.synonyms else [])]:
        data.hashes[Path(place).name] = file_hash(place)
    kept = [sentence for sentence in data.train if _fingerprint(sentence.text) not in forbidden]
    data.leaks = len(data.train) - len(kept)
    data.train = kept + _further_readings(recipe, corpus, kept, heads)
    for name, place in zip(("there", "back"), corpus.back_translation, strict=False):
        data.hashes[name] = file_hash(Path(place) / "model.safetensors")
    data.quarantined = quarantine.count
    if not data.train:
        raise InputError(
            f"corpus {corpus.name!r}: no training sentence was read from {', '.join(corpus.train)}"
            + (f"; the first problem: {quarantine.records[0]}" if quarantine.records else "")
        )
    if corpus.validation and not data.validation:
        raise InputError(
            f"corpus {corpus.name!r}: no validation sentence was read from {', '.join(corpus.validation)}; "
            f"leave validation out to train without"
        )
    return data


def _further_readings(
    recipe: Recipe, corpus: Corpus, sentences: list[Sentence], heads: dict[str, int]
) -> list[Sentence]:
    """The sentences again, `repeat - 1` times, changed as the recipe asks; with other names, only those with a mention."""
    again = (sentences if not corpus.replace_mentions else [item for item in sentences if item.mentions]) * (
        corpus.repeat - 1
    )
    names = names_of((sentence.text, sentence.mentions) for sentence in sentences) if corpus.replace_mentions else {}
    for kind, place in corpus.lexicon.items():
        names[heads[kind]] = names.get(heads[kind], []) + read_lexicon(place)
    synonyms = None if corpus.synonyms is None else read_synonyms(corpus.synonyms)
    generator = np.random.default_rng([recipe.training.seed, recipe.corpora.index(corpus)])
    texts = [(sentence.text, sentence.mentions) for sentence in again]
    if corpus.back_translate:
        there, back = corpus.back_translation
        paraphrase = there_and_back(there, back, choose_device(recipe.training.device))
        texts = back_translated(texts, paraphrase, corpus.back_translate, generator)
    found = []
    for sentence, (text, mentions) in zip(again, texts, strict=True):
        if corpus.replace_mentions:
            text, mentions = replace_mentions(text, mentions, names, corpus.replace_mentions, generator)
        if synonyms is not None:
            text, mentions = replace_synonyms(text, mentions, synonyms, corpus.replace_synonyms, generator)
        if corpus.drop_words:
            text, mentions = drop_words(text, mentions, corpus.drop_words, generator)
        found.append(Sentence(text, mentions, sentence.annotated))
    return found if corpus.join == 1 else _joined(found, corpus.join, generator)


def _joined(sentences: Sequence[Sentence], count: int, generator: np.random.Generator) -> list[Sentence]:
    """Sentences of one corpus, `count` at a time and drawn at random, as one text each."""
    order = generator.permutation(len(sentences)).tolist()
    groups = [[sentences[index] for index in order[start : start + count]] for start in range(0, len(order), count)]
    return [Sentence(*join([(item.text, item.mentions) for item in group]), group[0].annotated) for group in groups]


def _options(corpus: Corpus) -> dict[str, str | None]:
    return {"entity_type": corpus.entity_type} if corpus.format == "conll" else {}


def _test_sentences(recipe: Recipe) -> frozenset[str]:
    found: set[str] = set()
    for corpus in recipe.corpora:
        for place in corpus.test:
            source = Source.of(recipe.path(place))
            for document in read_documents(source, corpus.format, Quarantine(), **_options(corpus)):
                found.update(_fingerprints(document, corpus.format != "conll"))
    return frozenset(found)


def _fingerprints(document: Document, split: bool) -> Iterable[str]:
    return {
        print_
        for start, end in sentence_spans(document, split)
        if len(print_ := _fingerprint(document.text[start:end])) >= SHORTEST_LEAK
    }


def _fingerprint(text: str) -> str:
    """A sentence without case and white space, so that differently tokenised copies are the same."""
    return "".join(text.split()).casefold()
