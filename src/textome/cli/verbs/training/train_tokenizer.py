"""`textome train-tokenizer`: a vocabulary of a field's own words."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Annotated

import typer

from textome.cli.streams import echo, say

# The vocabularies are compared on the first sentences of the text: enough for two sure digits, and quick.
COMPARED = 50_000


def train_tokenizer(
    inputs: Annotated[list[str], typer.Argument(help="Corpora made by `textome preprocess`, or documents.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The folder for the vocabulary.")],
    size: Annotated[int, typer.Option(min=100, help="The number of tokens.")] = 30522,
    cased: Annotated[bool, typer.Option("--cased", help="Keep capitals and accents apart.")] = False,
    sentinels: Annotated[
        bool, typer.Option("--sentinels", help="A unigram vocabulary with sentinels, for text-to-text models.")
    ] = False,
    byte_level: Annotated[
        bool, typer.Option("--byte-level", help="Byte-pair encoding over bytes, for language models.")
    ] = False,
    compare: Annotated[
        str | None, typer.Option(metavar="MODEL", help="The vocabulary to compare with; default: the bundled model's.")
    ] = None,
    terms: Annotated[
        str | None, typer.Option(metavar="FILE", help="Annotated documents whose entities are the field's terms.")
    ] = None,
    json_: Annotated[bool, typer.Option("--json", help="Print the comparison as JSON.")] = False,
) -> None:
    """Learn a vocabulary from text, WordPiece, with --sentinels as T5 has or with --byte-level as GPT-2 has, and compare it
    with another one.

    Example: textome train-tokenizer runs/corpora/trials --output runs/vocabulary --terms NCBI-disease/train.tsv
    """
    from dataclasses import asdict

    from textome.corpus.vocabulary import (
        WELL_CUT,
        fit,
        train_byte_vocabulary,
        train_vocabulary,
        train_with_sentinels,
        write_vocabulary,
    )
    from textome.errors import InputError
    from textome.formats import read_documents
    from textome.runtime.bundle import resolve_model
    from textome.text.tokenization import Tokenizer

    if output.exists():
        raise InputError(f"{output} exists already; name another folder for the vocabulary")
    if byte_level and (cased or sentinels):
        raise InputError(
            "a byte-level vocabulary keeps capitals and has no sentinels; leave out --cased and --sentinels"
        )
    general = Tokenizer.load(resolve_model(compare))
    names = [entity.text for item in read_documents(terms) for entity in item.entities] if terms else []
    say("reading the text and learning the vocabulary")
    sentences = _sentences(inputs)
    if byte_level:
        vocabulary = train_byte_vocabulary(sentences, size)
    else:
        train = train_with_sentinels if sentinels else train_vocabulary
        vocabulary = train(sentences, size, lowercase=not cased)
    sample = list(islice(_sentences(inputs), COMPARED))
    fits = {"the new one": fit(vocabulary, sample, names), "compared with": fit(general, sample, names)}
    write_vocabulary(vocabulary, output, None if byte_level else not cased, sentinels)
    if json_:
        echo(json.dumps({name: asdict(item) for name, item in fits.items()}, indent=1))
        return
    echo(f"{'vocabulary':15}{'tokens':>9}{'tokens a word':>16}{'unknown words':>16}{'terms badly cut':>18}")
    for name, item in fits.items():
        cut = "-" if item.badly_cut is None else f"{100 * item.badly_cut:.1f} %"
        echo(f"{name:15}{item.vocabulary_size:9,}{item.tokens_per_word:16.3f}{100 * item.unknown:14.2f} %{cut:>18}")
    say(f"a term is badly cut if it takes more than {WELL_CUT} pieces a word; written: {output}")


def _sentences(inputs: list[str]) -> Iterator[str]:
    from textome.corpus.store import Corpus, is_corpus
    from textome.formats import expand_inputs, read_documents
    from textome.text.sentences import split_sentences

    for path in inputs:
        if is_corpus(path):
            for document in Corpus.open(path).texts():
                yield from document
            continue
        for item in expand_inputs([path]):
            for read in read_documents(item):
                for passage in read.passages:
                    yield from (passage.text[span.start : span.end] for span in split_sentences(passage.text))
