"""Personal data that are recognised by how they are written: after a label or a title, or by their form.

The kinds follow the identifiers of the Safe Harbor method (45 CFR 164.514(b)(2)). The words are data: rules.toml, and
files of one's own with the same tables.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from textome.errors import InputError
from textome.settings import read_toml

KINDS = (
    "NAME", "DATE", "AGE", "PHONE", "EMAIL", "URL", "IP", "ID", "ADDRESS", "LOCATION", "ORGANISATION", "COUNTRY",
)  # fmt: skip
# A country alone identifies nobody, and is often what a diagnosis rests on.
DEFAULT_KINDS = KINDS[:-1]
_OWN = Path(__file__).with_name("rules.toml")
_TABLES = {
    "name": {"titles", "labels", "weak_labels", "before", "weak_before", "degrees", "particles", "eponyms", "never"},
    "date": {"months", "before"},
    "age": {"after", "before"},
    "phone": {"labels"},
    "id": {"labels"},
    "address": {"street_after", "street_endings", "street_before", "inside", "labels"},
    "location": {"labels", "before"},
    "organisation": {"after", "before", "inside", "never"},
    "model": set(KINDS),
}
_BEYOND_ASCII = [chr(code) for code in (*range(0xC0, 0x250), *range(0x370, 0x530), *range(0x1E00, 0x2000))]
UPPER = "A-Z" + "".join(letter for letter in _BEYOND_ASCII if letter.isupper())
LOWER = "a-z" + "".join(letter for letter in _BEYOND_ASCII if letter.islower())
_CAPITALISED = rf"(?:[OD]['’])?[{UPPER}][{LOWER}]+(?:['’-]?[{UPPER}][{LOWER}]+){{0,2}}(?:['’]s)?"
WORD = rf"(?-i:{_CAPITALISED}|[{UPPER}]{{2,20}}(?:-[{UPPER}]{{2,20}})?)"
_INITIAL = rf"(?-i:[{UPPER}]\.?(?!\w))"
_YEAR = r"(?:1[89]\d\d|20\d\d)"


class Finding(NamedTuple):
    """Personal data at code points `start` to `end` of a text."""

    start: int
    end: int
    kind: str


@dataclass(frozen=True)
class Rules:
    """The words of all files, by table and list, and the patterns (kind, pattern) that they make; the group `it` counts."""

    words: Mapping[str, Mapping[str, tuple[str, ...]]]
    patterns: tuple[tuple[str, re.Pattern[str]], ...]

    def kind_of(self, type: str) -> str | None:
        """The kind of what a model calls `type`, or None for what is not personal data."""
        name = type.upper()
        if name in KINDS:
            return name
        return next((kind for kind, names in self.words["model"].items() if name in names), None)

    def find(self, text: str) -> Iterator[Finding]:
        """What the patterns find; they may overlap."""
        for kind, pattern in self.patterns:
            for match in pattern.finditer(text):
                start, end = match.span("it")
                if start < end:
                    yield Finding(start, end, kind)


@lru_cache(maxsize=8)
def load_rules(path: str | None = None) -> Rules:
    """Textome's own rules, and those of a file. Raises InputError that names the table and the list that is wrong."""
    words: dict[str, dict[str, list[str]]] = {table: {name: [] for name in names} for table, names in _TABLES.items()}
    for file in [_OWN, *([Path(path)] if path else [])]:
        for table, members in read_toml(file, "the file of rules").items():
            if table not in _TABLES or not isinstance(members, dict):
                raise InputError(f"{file}: there is no table [{table}]; the tables are {', '.join(_TABLES)}")
            for name, phrases in members.items():
                if name not in _TABLES[table] or not isinstance(phrases, list):
                    known = ", ".join(sorted(_TABLES[table]))
                    raise InputError(f"{file}: [{table}] has no list {name!r}; its lists are {known}")
                for phrase in phrases:
                    if not isinstance(phrase, str) or not phrase.strip():
                        raise InputError(f"{file}: [{table}] {name}: {phrase!r} is not a phrase; write words in quotes")
                    words[table][name].append(phrase.upper() if table == "model" else phrase.lower())
    fixed = {table: {name: tuple(items) for name, items in names.items()} for table, names in words.items()}
    if len(fixed["date"]["months"]) % 12:
        raise InputError(f"{path}: [date] months: give all twelve of a language, in order; a|b is either word")
    return Rules(fixed, tuple((kind, re.compile(pattern, re.IGNORECASE)) for kind, pattern in _patterns(fixed)))


def phrases(items: Iterable[str]) -> str:
    """A pattern of any of the phrases, the longest first; each ends where a word ends."""
    ordered = sorted({item for part in items for item in part.split("|")}, key=lambda item: (-len(item), item))
    return "(?:" + "|".join(r"\s".join(map(re.escape, item.split())) + r"(?!\w)" for item in ordered) + ")"


def name_pattern(particles: Sequence[str]) -> str:
    """Up to five words with a capital, initials and particles between them."""
    return rf"(?:{WORD}|{_INITIAL})(?:\s(?:{phrases(particles)}\s)?(?:{WORD}|{_INITIAL})){{0,4}}"


def date_pattern(months: Sequence[str]) -> str:
    """A day, month and year in any of the usual orders, with a time of day; or a month and a year."""
    month = rf"{phrases(months)}\.?"
    day = r"(?:[0-2]?\d|3[01])(?:st|nd|rd|th|º)?"
    time = r"(?:[T,\s]\s?\d{1,2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?:\s?[ap]\.?m\b\.?)?(?:Z|[+-]\d\d:?\d\d)?)?"
    of = r"(?:\s(?:of|de|del)\s|[\s./-])"
    forms = (
        r"\d{4}[/.-]\d{1,2}[/.-]\d{1,2}",
        r"\d{1,2}([/.-])\d{1,2}\1(?:1[89]|20)?\d\d",
        rf"{day}{of}{month}{of}(?:{_YEAR}|['’]?\d\d)",
        rf"{month}\s{day},?\s{_YEAR}",
        rf"{day}\s(?:(?:of|de)\s)?{month}",
        rf"{month}{of}{_YEAR}",
        rf"{month}\s{day}",
    )
    findings = "|".join(
        form.replace("([/.-])", f"(?P<mark{n}>[/.-])").replace(r"\1", f"(?P=mark{n})") for n, form in enumerate(forms)
    )
    first = "".join(sorted({name[0] for item in months for name in item.split("|")}))
    return rf"(?<![\w/.-])(?=[\d{first}])(?:{findings}){time}(?![\w/]|[.-]\d)"


def _patterns(words: Mapping[str, Mapping[str, tuple[str, ...]]]) -> Iterator[tuple[str, str]]:
    yield "EMAIL", r"(?P<it>\b[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){0,5}\.[a-z]{2,24}\b)"
    yield "URL", r"(?P<it>\b(?:https?://|www\.)[^\s<>()\[\]]{0,1000}[^\s<>()\[\].,;:!?])"
    yield "IP", r"(?P<it>(?<![\d.])(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)(?![\d.]*\d))"
    yield "IP", r"(?P<it>(?<![\w:])(?:[\da-f]{1,4}:){7}[\da-f]{1,4}(?![\w:]))"
    yield from _numbers(words)
    yield from _dates(words["date"], words["age"])
    yield from _addresses(words)
    yield from _names(words["name"])


def _numbers(words: Mapping[str, Mapping[str, tuple[str, ...]]]) -> Iterator[tuple[str, str]]:
    value = r"(?:[a-z]{0,3}[-\s]?\d(?:[\d/-]|[\s.](?=\d)){2,24}[a-z]?|(?-i:[A-Z]{1,3}\d[\dA-Z-]{3,24}))(?!\w)"
    yield (
        "ID",
        rf"(?<!\w){phrases(words['id']['labels'])}(?:\s(?:number|no|num|id)\b\.?|\s?[#№]){{0,2}}(?:\s(?:is|was))?\s?[:=#.]?\s{{0,3}}"
        rf"(?P<it>{value})",
    )
    yield "ID", r"(?P<it>(?<![\d-])\d{3}-\d{2}-\d{4}(?![\d-]))"
    # The numbers of accounts, cards and patients; counts are written in groups of three or with fewer digits.
    yield "ID", r"(?P<it>(?<![\w.,])\d{9,24}(?![\w]|[.,]\d))"
    yield "ID", r"(?P<it>(?<!\d)\d{4}[\s-]\d{4}[\s-]\d{4}[\s-]\d{1,7}(?!\d))"
    yield "ID", r"(?P<it>\b[a-z]{2}\d{2}(?:\s?[a-z\d]{4}){3,7}(?:\s?[a-z\d]{1,3})?\b(?<=\d))"  # IBAN
    yield (
        "PHONE",
        rf"(?<!\w){phrases(words['phone']['labels'])}\.?(?:\s(?:number|no)\b\.?)?\s?[:#]?\s{{0,3}}"
        r"(?P<it>(?:\+\s?)?[\d(][\d\s().\-\/]{5,20}\d(?!\d))",
    )
    yield (
        "PHONE",
        r"(?P<it>(?<![\w.-])(?:\+\d{1,3}[\s.-]?)?(?:\(\d{2,4}\)[\s.-]?|\d{3}[\s.-])\d{3}[\s.-]\d{4}(?![\w-]))",
    )
    yield (
        "PHONE",
        r"(?P<it>(?<![\w.])(?:\+|00)[1-9]\d{0,3}[\s.-]?(?:\(\d{1,4}\)[\s.-]?)?\d{1,4}(?:[\s.-]?\d{2,4}){1,5}(?![\w]))",
    )
    yield "PHONE", r"(?P<it>(?<![\w.-])\(\d{2,4}\)\s?\d{3,4}[\s-]\d{3,4}(?!\w|-\d))"
    yield "PHONE", r"(?P<it>(?<![\w.,-])(?:0\d{1,4}(?:[\s-]\d{2,4}){2,4}|[6-9]\d\d\s\d{3}\s\d{3})(?![\w]|[.,]\d))"


def _dates(dates: Mapping[str, tuple[str, ...]], ages: Mapping[str, tuple[str, ...]]) -> Iterator[tuple[str, str]]:
    yield "DATE", rf"(?P<it>{date_pattern(dates['months'])})"
    yield (
        "DATE",
        rf"(?<!\w){phrases(dates['before'])}\s?[:=]?\s?(?P<it>(?:0?[1-9]|1[0-2])/(?:[0-2]?\d|3[01]))(?![\d/%])",
    )
    old = r"(?P<it>9\d|1[01]\d)"
    yield "AGE", rf"(?<![\d.,/-]){old}(?:\s|-)?{phrases(ages['after'])}"
    yield "AGE", rf"(?<!\w){phrases(ages['before'])}\s?[:=]?\s?(?:of\s)?{old}(?![\d.,]\d|\d|%)"


def _addresses(words: Mapping[str, Mapping[str, tuple[str, ...]]]) -> Iterator[tuple[str, str]]:
    address, location, organisation = words["address"], words["location"], words["organisation"]
    inside = rf"(?:,?\s{{1,3}}(?:{phrases(address['inside'])}|\#)\.?\s?\w{{1,6}})?"
    state = rf"(?:,?\s(?:{WORD}\s?){{1,3}},?\s(?-i:[A-Z]{{2}})(?:\s\d{{5}}(?:-\d{{4}})?)?)?"
    number = r"\d{1,5}(?:[-/]\d{1,4}|[a-z](?!\w))?"
    yield (
        "ADDRESS",
        rf"(?P<it>(?<![\w.]){number}\s(?:(?-i:[NSEW])\.?\s)?(?:(?-i:[{UPPER}])[\w'’.-]{{1,30}}\s){{1,3}}"
        rf"{phrases(address['street_after'])}\.?{inside}{state})",
    )
    endings = "|".join(map(re.escape, address["street_endings"]))
    yield "ADDRESS", rf"(?P<it>(?<!\w)(?-i:[{UPPER}])\w{{1,30}}(?:{endings})\s{number}(?!\w){inside})"
    yield "ADDRESS", rf"(?P<it>(?<![\w.]){number}\s(?-i:[{UPPER}])\w{{1,30}}(?:{endings})(?!\w){inside})"
    word = rf"(?:{WORD}|(?-i:[{LOWER}]{{1,4}}))\.?"
    yield (
        "ADDRESS",
        rf"(?P<it>(?<!\w){_openers(address['street_before'])}\s?(?:{word}[\s,]\s?(?:[-–]\s)?){{0,7}}?"
        rf"(?:(?:n[º°o.]{{0,2}}\s?|km\.?\s)?{number}(?!\w)|s/?n(?!\w))"
        rf"(?:[\s,.–-]{{1,3}}(?:\d{{1,2}}\s?[ºª°]|(?-i:[A-Z]?\d{{0,2}}[A-Z]?)|{phrases(address['inside'])})(?!\w)){{0,4}})",
    )
    yield "ADDRESS", rf"(?P<it>(?<!\w)(?:(?-i:[{UPPER}]){{3}}\s\d{{1,5}},?\s)?(?:p\.?\s?o\.?\s?)?box\s\d{{1,6}}(?!\w))"
    yield (
        "ADDRESS",
        rf"(?<!\w){phrases(address['labels'])}(?:\sis|\scode)?\s?[:=]?\s{{0,3}}(?P<it>\d{{3,6}}(?:-\d{{3,4}})?|[a-z]\d[a-z]\s\d[a-z]\d)(?!\w)",
    )
    yield "ADDRESS", rf"(?<!\w){phrases(address['labels'])}\s?[:=]\s{{0,3}}(?P<it>[^\n]{{3,80}}?)(?=\.?\s*(?:\n|\Z))"
    yield "ADDRESS", r"(?P<it>(?<!\w)(?-i:[A-Z]{1,2}\d[A-Z\d]?\s\d[A-Z]{2})(?!\w))"  # United Kingdom
    yield "ADDRESS", r"(?<=[\w,]\s)(?-i:[A-Z]{2})\s(?P<it>\d{5}(?:-\d{4})?)(?!\w)"
    yield "ADDRESS", rf"(?P<it>(?<![\w.])(?:{phrases(address['inside'])}|\#)\.?\s\d{{1,5}}[a-z]?(?!\w))"
    yield (
        "LOCATION",
        rf"(?<!\w){phrases(location['labels'])}\s?[:=]\s{{0,3}}(?P<it>{WORD}(?:[\s-](?:{word}))" + r"{0,4})",
    )
    name = rf"{WORD}(?:[\s-](?:{phrases(organisation['inside'])}\s)?(?:{WORD}|(?-i:[{UPPER}])\.)){{0,4}}"
    yield "ORGANISATION", rf"(?P<it>(?<!\w){name}\s(?-i:(?=[{UPPER}])){phrases(organisation['after'])})"
    yield (
        "ORGANISATION",
        rf"(?P<it>(?<!\w)(?-i:(?=[{UPPER}])){phrases(organisation['before'])}"
        rf"(?:\s(?:{phrases(organisation['inside'])}\s){{0,2}}{WORD}){{1,5}})",
    )


def _openers(items: Iterable[str]) -> str:
    ordered = sorted(items, key=lambda item: (-len(item), item))
    return "(?:" + "|".join(re.escape(item) + ("(?!\\w)" if item[-1].isalnum() else "") for item in ordered) + ")"


def _names(names: Mapping[str, tuple[str, ...]]) -> Iterator[tuple[str, str]]:
    name = name_pattern(names["particles"])
    short = [title for title in names["titles"] if len(title) <= 4]  # those that are written with a stop
    title = rf"(?:{phrases(short)}\.?|{phrases(names['titles'])})"
    yield "NAME", rf"(?<!\w){title}\s(?-i:(?=[{UPPER}]))(?P<it>{name})"
    # In lower-cased notes, with a stop after the title; "20 ms. the" is a time.
    yield (
        "NAME",
        r"(?<!\d)(?<!\d\s)\b(?-i:dr|mr|mrs|ms)\.\s(?!(?:and|for|had|has|is|the|to|was|were|who|with)\b)"
        r"(?P<it>(?-i:[a-z][a-z'’-]{2,}))",
    )
    labelled = rf"{WORD},\s{name}|{name}"
    yield "NAME", rf"(?<!\w){phrases(names['labels'])}\s?[:=]\s{{0,3}}(?P<it>{labelled})"
    yield (
        "NAME",
        rf"(?<!\w){phrases(names['weak_labels'])}\s?[:=]\s{{0,3}}(?P<it>{WORD}(?:\s{_INITIAL})?(?:\s{WORD}){{1,3}})",
    )
    yield "NAME", rf"(?P<it>(?<!\w){WORD}(?:\s{_INITIAL})?\s{WORD}),\s?{_degrees(names['degrees'])}"


def _degrees(items: Iterable[str]) -> str:
    """Degrees as they are written: in capitals, with or without stops."""
    ordered = sorted(
        (item.upper() if item.replace(".", "") != "phd" else "P[hH].?D.?" for item in items), key=len, reverse=True
    )
    escaped = (item if item.startswith("P[") else re.escape(item) for item in ordered)
    return r"(?-i:" + "|".join(escaped) + r")(?!\w)"
