"""Whether a sentence asserts a relation between two of its mentions, denies it, or only supposes it.

Cues are looked for in the clause around both mentions: before them, between them and behind them, as in NegEx (Chapman
et al. 2001), but of what is said of two things together: "did not cause", "no association between", "whether X helps Y".
"""

from __future__ import annotations

import re
from typing import Literal

from textome.documents import Span

Assertion = Literal["asserted", "negated", "speculated"]

_VERB = (
    r"(?:affect|alter|ameliorat|associat|attenuat|bind|block|caus|chang|contribut|correlat|decreas|effective|enhanc|impair|improv|"
    r"increas|induc|influenc|inhibit|interact|lead|link|lower|modif|potentiat|prevent|produc|protect|reduc|regulat|relat|"
    r"respond|result|revers|stimulat|suppress|treat|trigger|worsen)\w*"
)
_NOUN = (
    r"(?:associations?|benefits?|changes?|correlations?|effects?|efficacy|evidence|impact|improvements?|increases?|influence|"
    r"interactions?|links?|relations?|relationships?|role|signs?)"
)
_NOT = r"(?:\bnot\b(?!\s+only)|n't\b|\bcannot\b|\bnever\b)"
_BETWEEN = re.compile(
    rf"{_NOT}|\bnor\b|\bno\s+(?:\w+\s+){{0,2}}{_NOUN}|\bfail(?:s|ed|ing|ure)?\s+(?:to|of)\b|\bwithout\b|\bineffective\b|"
    rf"\black(?:s|ed|ing)?\s+(?:of\s+)?(?:\w+\s+){{0,2}}{_NOUN}|\bunrelated\s+to\b|\brather\s+than\b|\bunaffected\b|"
    rf"\bunchanged\b|\bindependent(?:ly)?\s+of\b",
    re.IGNORECASE,
)
_BEFORE = re.compile(
    rf"\bno\s+(?:\w+\s+){{0,3}}{_NOUN}|\b(?:lack|absence)\s+of\s+(?:\w+\s+){{0,2}}{_NOUN}|\bneither\b|"
    rf"{_NOT}\s+(?:\w+\s+){{0,3}}(?:{_VERB}|{_NOUN})",
    re.IGNORECASE,
)
_BEHIND = re.compile(
    rf"\b(?:was|were|is|are|has|have|had|did|does|do|could|can)\s*{_NOT}\s+(?:\w+\s+){{0,3}}"
    rf"(?:{_VERB}|confirmed|demonstrated|detected|differ\w*|evident|found|noted|observed|reported|seen|shown|significant|"
    r"supported)|\bunaffected\b|\bunchanged\b|\bruled\s+out\b",
    re.IGNORECASE,
)
_SPECULATION = re.compile(
    r"\b(?:whether|may|might|could|possibl[ey]|hypothes[ie]\w*|speculat\w*|presum\w*|putative(?:ly)?|perhaps|unclear|unknown|"
    r"controversial|conceivabl[ey]|remains?\s+to\s+be|(?:aim|aims|aimed|sought|designed|conducted|undertaken|performed)\s+to|"
    r"to\s+(?:assess|determine|evaluate|examine|explore|investigate|study|test))\b",
    re.IGNORECASE,
)
_CLAUSE = re.compile(r";|,?\s\b(?:but|however|whereas|although|though|while|except)\b|\((?=\d+\))", re.IGNORECASE)


def assertion_of(sentence: str, first: Span, second: Span) -> Assertion:
    """What a sentence says of a relation between its mentions at two spans of it.

    Denial goes before supposition: "may not cause" is negated.
    """
    (_, start), (end, _) = sorted(((first.start, first.end), (second.start, second.end)))
    low, high = min(first.start, second.start), max(first.end, second.end)
    begin = max((match.end() for match in _CLAUSE.finditer(sentence, 0, low)), default=0)
    stop = _CLAUSE.search(sentence, high)
    between, before = sentence[min(start, end) : max(start, end)], sentence[begin:low]
    behind = sentence[high : stop.start() if stop else len(sentence)]
    if _BETWEEN.search(between) or _BEFORE.search(before) or _BEHIND.search(behind):
        return "negated"
    return "speculated" if any(map(_SPECULATION.search, (before, between, behind))) else "asserted"
