"""All personal data of a text, and the text without them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator

from textome.text.deidentification.people import People
from textome.text.deidentification.rules import DEFAULT_KINDS, WORD, Finding, Rules, load_rules

_NONE: frozenset[str] = frozenset()
_TOWN = rf"{WORD}(?:[\s-](?:(?:de|del|la|el|am|an|der|upon|on)\s)?{WORD}){{0,2}}"
# What goes on behind a street and a number: "..., 28041, Madrid", "33006 Oviedo (Asturias)".
_AFTER_STREET = re.compile(
    rf"[\s,.–-]{{1,4}}(?P<code>(?:[A-Z]-)?\d{{5}}(?:-\d{{4}})?)(?!\w)(?:[\s,.]{{1,3}}(?P<town>{_TOWN}))?"
    rf"(?:,?\s?\(?(?P<region>{_TOWN})\))?"
)


def find(
    text: str,
    rules: Rules | None = None,
    *,
    kinds: Collection[str] = DEFAULT_KINDS,
    known: frozenset[str] = _NONE,
    others: Iterable[Finding] = (),
) -> list[Finding]:
    """Where personal data stand in `text`, in order and without overlaps. Time is linear in the length of the text.

    kinds    those that are looked for
    known    words of names that are always names, in small letters, as of a list of patients
    others   what a model finds; names among it are found again elsewhere too
    """
    rules = rules or load_rules()
    findings = [*others, *_checked(rules, text)]
    people = People(text, rules)
    findings += people.find()
    findings += people.again(findings, known)
    findings += [tail for item in findings if item.kind == "ADDRESS" for tail in _after_street(text, item)]
    return merged([_trimmed(text, item) for item in findings if item.kind in kinds])


def mask(text: str) -> tuple[str, Counter[str]]:
    """`text` with placeholders such as `[NAME]` for what is found by rules, and how many of each kind there were."""
    pieces: list[str] = []
    position = 0
    findings = find(text)
    for item in findings:
        pieces += (text[position : item.start], f"[{item.kind}]")
        position = item.end
    return "".join([*pieces, text[position:]]), Counter(item.kind for item in findings)


def merged(findings: Iterable[Finding]) -> list[Finding]:
    """The same without overlaps: what overlaps becomes one, of the kind of the longest."""
    result: list[Finding] = []
    max_length = 0
    for item in sorted(findings, key=lambda item: (item.start, -item.end)):
        if item.start >= item.end:
            continue
        if result and item.start < result[-1].end:
            before = result[-1]
            kind = item.kind if item.end - item.start > max_length else before.kind
            max_length = max(max_length, item.end - item.start)
            result[-1] = Finding(before.start, max(before.end, item.end), kind)
        else:
            result.append(item)
            max_length = item.end - item.start
    return result


def _checked(rules: Rules, text: str) -> Iterable[Finding]:
    """What the patterns find, but for names of organisations that only say what kind they are."""
    never = frozenset(rules.words["organisation"]["never"])
    ends = tuple(rules.words["organisation"]["after"])
    for item in rules.find(text):
        if item.kind == "ORGANISATION":
            words = text[item.start : item.end].lower()
            name = next((words.removesuffix(end) for end in ends if words.endswith(end)), words)
            if all(word in never for word in name.split()):
                continue
            first = words.split()[0]
            if first in ("the", "our", "el", "la", "at", "in", "from", "to"):
                item = item._replace(start=item.start + len(first) + 1)
        yield item


def _after_street(text: str, item: Finding) -> Iterator[Finding]:
    if match := _AFTER_STREET.match(text, item.end):
        for group, kind in (("code", "ADDRESS"), ("town", "LOCATION"), ("region", "LOCATION")):
            if match[group]:
                yield Finding(*match.span(group), kind)


def _trimmed(text: str, item: Finding) -> Finding:
    """Without white space and marks at its ends; a date may end a sentence."""
    start, end = item.start, item.end
    while start < end and text[start].isspace():
        start += 1
    while start < end and (text[end - 1].isspace() or text[end - 1] in (",;:." if item.kind == "DATE" else ",;:")):
        end -= 1
    return Finding(start, end, item.kind)
