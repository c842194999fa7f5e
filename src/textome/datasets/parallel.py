"""Parallel texts for translation: two files of lines that belong together, or a translation memory (TMX 1.4b).

    name.{}.gz   a file for each language, `{}` standing for its code: `train.{}.gz` is train.en.gz and train.de.gz
    name.tmx     <tu> with one <tuv xml:lang="..."> for each language; a region may follow, "pt" finds "pt-BR" too

`PLACE#0-80%` takes a part as for labelled texts, by the pair's id: its `tuid`, or the line's number.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

from lxml import etree

from textome.datasets.labelled import chosen_part
from textome.errors import InputError
from textome.formats.reading.rows import check_decoded
from textome.formats.reading.sources import Quarantine, Source
from textome.formats.reading.xml_reading import inner_text, records

_LANGUAGE = "{http://www.w3.org/XML/1998/namespace}lang"


@dataclass(frozen=True, slots=True)
class Pair:
    """A text and its translation."""

    id: str
    source: str
    target: str


def read_pairs(path: str, source: str, target: str, quarantine: Quarantine) -> Iterator[Pair]:
    """The pairs of a file in these languages (codes as "en").

    A pair without one of its sides is quarantined. Raises InputError where a file is missing, where two files differ in
    their number of lines, and where a translation memory has none of a language.
    """
    file, _, rule = path.partition("#")
    chosen: Callable[[str], bool] = chosen_part(rule, Path(file).parent, path)
    if "{}" in file:
        pairs = _lines(file, source, target, quarantine)
    elif ".tmx" in Path(file).name:
        pairs = _memory(file, source, target, quarantine)
    else:
        raise InputError(
            f"{path}: expected a .tmx file, or two files of lines as name.{{}}.txt with {{}} for the language"
        )
    for pair in pairs:
        if not chosen(pair.id):
            continue
        if pair.source and pair.target:
            yield pair
        else:
            quarantine.add(file, f"pair {pair.id}", f"there is no text in {target if pair.source else source}")


def _lines(path: str, source: str, target: str, quarantine: Quarantine) -> Iterator[Pair]:
    paths = [path.replace("{}", language) for language in (source, target)]
    with Source.of(paths[0]).open_text() as first, Source.of(paths[1]).open_text() as second:
        # Bytes are split at line feeds only: other separators of lines stand inside a text.
        both = (
            io.TextIOWrapper(raw, encoding="utf-8-sig", errors="surrogateescape", newline="\n")
            for raw in (first, second)
        )
        for number, pair in enumerate(zip_longest(*both), 1):
            if None in pair:
                raise InputError(
                    f"{paths[0]} and {paths[1]} differ in their number of lines; one ends after {number - 1}"
                )
            try:
                check_decoded(pair)
            except InputError as error:
                quarantine.add(path, f"line {number}", error)
                continue
            yield Pair(str(number), *(text.strip() for text in pair))


def _memory(path: str, source: str, target: str, quarantine: Quarantine) -> Iterator[Pair]:
    languages: set[str] = set()
    for number, unit in records(Source.of(path), ("tu",), ("tmx",), quarantine):
        try:
            texts = _texts(unit)
        except InputError as error:
            quarantine.add(path, f"pair {unit.get('tuid', number)}", error)
            continue
        sides = [next((text for code, text in texts if _is(code, name)), "") for name in (source, target)]
        languages.update(name for name, text in zip((source, target), sides, strict=True) if text)
        yield Pair(unit.get("tuid", str(number)), *sides)
    for name in (source, target):
        if name not in languages:
            raise InputError(f"{path}: there is no text in {name!r}; name the languages that the file has")


def _texts(unit: etree._Element) -> list[tuple[str, str]]:
    return [
        (variant.get(_LANGUAGE, variant.get("lang", "")), " ".join(inner_text(segment).split()))
        for variant in unit.iter("tuv")
        for segment in variant.iter("seg")
    ]


def _is(code: str, language: str) -> bool:
    return code.casefold() == language.casefold() or code.casefold().startswith(language.casefold() + "-")
