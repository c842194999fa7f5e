"""Obvious identifiers of people become placeholders that say what stood there: `[NAME]`, `[PHONE]`, `[DATE OF BIRTH]`.

Rules over the patterns in which clinical notes write them. This lowers what a model can learn of a person by heart; it is
no anonymisation in the sense of HIPAA (45 CFR 164.514(b)) or the GDPR. Names without a title or a label before them, rare
diseases and the story itself stay. Whoever publishes what was made of patients' texts has them reviewed.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable

_MONTH = r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\.?"
_DATE = rf"(?:\d{{1,4}}[/.-]\d{{1,2}}[/.-]\d{{1,4}}|\d{{1,2}}\s{_MONTH}\s\d{{2,4}}|{_MONTH}\s\d{{1,2}},?\s\d{{4}})"
# A name: up to four words that begin with a capital, initials between them. Case counts here, as it does nowhere else.
_NAME_WORD = r"(?:[OD]['’])?[A-Z][a-zà-öø-ÿ]+(?:-?[A-Z][a-zà-öø-ÿ]+)?"
_NAME = rf"(?-i:{_NAME_WORD}|[A-Z]\.)(?:\s(?:(?-i:{_NAME_WORD})|(?-i:[A-Z])\.)){{0,3}}"
_LABELLED_NAME = rf"(?:(?-i:{_NAME_WORD}),\s{_NAME}|{_NAME})"
_STREET = (
    r"street|st|avenue|ave|road|rd|boulevard|blvd|lane|ln|drive|dr|court|ct|place|pl|square|way|terrace|highway|hwy"
)

# In this order: what is most particular first, since a placeholder is not looked into again. The group `it` is replaced.
_PATTERNS: list[tuple[str, str]] = [
    ("EMAIL", r"(?P<it>\b[\w.+-]{1,64}@[\w-]+(?:\.[\w-]+)*\.[a-z]{2,24}\b)"),
    ("URL", r"(?P<it>\b(?:https?://|www\.)[^\s<>()\[\]]+[^\s<>()\[\].,;:!?])"),
    ("SSN", r"(?P<it>(?<![\d-])\d{3}-\d{2}-\d{4}(?![\d-]))"),
    (
        "ID",
        r"""\b(?:mrn|m\.r\.n\.|medical\ record|chart|account|acct|patient\ id|case|hospital|nhs|insurance|policy|member|ssn
              |social\ security|licen[cs]e|unit)
            (?:\s(?:number|no|num|id)\b\.?|\s?[\#№]){0,2}\s?[:\#=]?\s?(?P<it>[a-z]{0,3}[-\s]?\d(?:[\d-]|\s(?=\d)){4,15})""",
    ),
    ("DATE OF BIRTH", rf"\b(?:d\.?o\.?b\.?|date\ of\ birth|birth\s?date|born(?:\ on)?)\s?[:=]?\s?(?P<it>{_DATE})"),
    (
        "PHONE",
        r"""(?P<it>(?<![\w.-])(?:\+\d{1,3}[\s.-]?)?(?:\(\d{2,4}\)[\s.-]?|\d{3}[\s.-])\d{3}[\s.-]\d{4}(?![\w-]))""",
    ),
    (
        "PHONE",
        r"\b(?:phone|telephone|tel|fax|mobile|cell|pager|beeper)\.?(?:\s(?:number|no)\b\.?)?\s?[:#]?\s?"
        r"(?P<it>\+?[\d(][\d\s().-]{5,18}\d)",
    ),
    (
        "ADDRESS",
        rf"""(?P<it>\b\d{{1,5}}\s(?:(?-i:[NSEW])\.?\s)?(?:(?-i:[A-Z])[\w'’-]+\s){{1,3}}(?:{_STREET})\b\.?
             (?:,?\s(?:apt|apartment|suite|unit|\#)\.?\s?\w{{1,5}})?
             (?:,\s(?:(?-i:[A-Z])[a-z]+\s?){{1,3}},?\s(?-i:[A-Z]{{2}})(?:\s\d{{5}}(?:-\d{{4}})?)?)?)""",
    ),
    ("NAME", rf"\b(?:(?-i:Dr|Drs|Mr|Mrs|Ms|Miss|Prof|Professor|Sr|Sra))\b\.?\s(?P<it>{_NAME})"),
    # In lower-cased notes, with a stop after the title; "20 ms. the" is a time.
    (
        "NAME",
        r"(?<!\d)(?<!\d\s)\b(?-i:dr|mr|mrs|ms)\.\s(?!(?:and|for|had|has|is|the|to|was|were|who|with)\b)"
        r"(?P<it>(?-i:[a-z][a-z'’-]{2,}))",
    ),
    (
        "NAME",
        rf"""\b(?:patient(?:'s)?\ name|(?:full|first|last|family|maiden|given)?\ ?name|dictated\ by|signed(?:\ by)?)
            \s?[:=]\s?(?P<it>{_LABELLED_NAME})""",
    ),
    # In a dialogue these labels are followed by what is said ("Patient: No"), so a name has two words.
    (
        "NAME",
        rf"""\b(?:patient|physician|attending|surgeon|referring\ (?:physician|doctor)|provider|nurse|next\ of\ kin
              |guardian|contact)\s?[:=]\s?(?P<it>(?-i:{_NAME_WORD}(?:\s[A-Z]\.?)?(?:\s{_NAME_WORD}){{1,2}}))""",
    ),
    (
        "NAME",
        r"(?P<it>(?-i:[A-Z][a-z]+(?:\s[A-Z]\.)?\s[A-Z][a-z]+)),\s(?-i:M\.?D\.?|R\.?N\.?|D\.?O\.?|N\.?P\.?|P\.?A\.?)(?!\w)",
    ),
]
_RULES = [(kind, re.compile(pattern, re.IGNORECASE | re.VERBOSE)) for kind, pattern in _PATTERNS]
KINDS = tuple(dict.fromkeys(kind for kind, _ in _PATTERNS))


def deidentify(text: str) -> tuple[str, Counter[str]]:
    """`text` with placeholders for the identifiers that are found, and how many of each kind there were."""
    counts: Counter[str] = Counter()
    for kind, rule in _RULES:
        text = rule.sub(_replacer(kind, counts), text)
    return text, counts


def _replacer(kind: str, counts: Counter[str]) -> Callable[[re.Match[str]], str]:
    def replace(match: re.Match[str]) -> str:
        counts[kind] += 1
        start, end = (place - match.start() for place in match.span("it"))
        return f"{match[0][:start]}[{kind}]{match[0][end:]}"

    return replace
