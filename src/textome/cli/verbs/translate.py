"""`textome translate`: texts in another language."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from textome.cli.streams import echo, say
from textome.cli.training import need_training
from textome.errors import InputError


def translate(
    inputs: Annotated[list[str], typer.Argument(metavar="INPUT...", help="Text files; - is standard input.")],
    model: Annotated[str, typer.Option("--model", "-m", help="The bundle of a recipe for translation.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Where to write; default: standard output.")
    ] = None,
    source: Annotated[
        str | None, typer.Option("--from", help="The language of the input; must be the model's.")
    ] = None,
    target: Annotated[str | None, typer.Option("--to", help="The language of the output; must be the model's.")] = None,
    width: Annotated[int, typer.Option("--beam", min=1, help="Translations that are followed at once.")] = 4,
    lines: Annotated[
        bool, typer.Option("--lines", help="Each line is one text, and is not cut into sentences.")
    ] = False,
) -> None:
    """Translate text files sentence by sentence, with line breaks and the space between sentences kept.

    Example: textome translate notes.txt --model runs/multi30k/bundle --output notes.de.txt
    """
    need_training("textome translate")
    from textome.formats.reading.sources import Source, atomic_file
    from textome.training.translation.translator import Translator, languages

    translator = Translator.load(model)
    languages(translator, source, target)
    texts = []
    for path in inputs:
        with Source.of(path).open() as stream:
            try:
                texts.append(stream.read().decode("utf-8-sig"))
            except UnicodeDecodeError as error:
                raise InputError(f"{path}: this is not UTF-8 text (byte {error.start}); convert it first") from error
    if lines:
        translations = []
        for text in texts:
            rows = text.split("\n")
            translations.append("\n".join(translator.translate(rows, width)))
    else:
        translations = [translator.translate_layout(text, width) for text in texts]
    if output is None:
        echo("".join(translations), end="")
        return
    with atomic_file(output) as stream:
        stream.write("".join(translations).encode())
    say(f"{output}: {translator.source} to {translator.target}, {sum(map(len, texts)):,} characters")
