"""Sentence splitting for biomedical text: rules over candidate stops, in one pass.

A candidate is a stop, question or exclamation mark (with closing quotes, brackets and citations after it) before white
space. It ends a sentence unless what stands before it is an abbreviation, an initial or an enumeration, or what stands
after it cannot begin a sentence. A blank line always ends one; a single line break does not, since many formats break
lines anywhere. `benchmarks/sentences.py` measures this against annotated corpora.
"""

from __future__ import annotations

import re

from textome.documents import Span

# A stop, then quotes, brackets and reference numbers that still belong to the sentence, then white space. Each branch
# can begin only where a run of its first character begins, and gives nothing back, so that no text is slow.
_CANDIDATE = re.compile(
    r"""(?<![.!?]) [.!?]++ ["'”’»)\]]*+ (?: \[ [\d,\s–-]{1,30} \] )?+ (?= \s )  |  \n [ \t\r]*+ \n \s*+""", re.VERBOSE
)
_WORD_BEFORE = re.compile(r"[^\s(\[{\"'“‘,;:/–—-]*$")
# The longest stretch that is looked at before a stop; no abbreviation is longer.
_LOOK_BACK = 24

# Never the end of a sentence: something always follows them.
_ALWAYS_JOINED = frozenset(
    """
    e.g i.e cf vs viz ca approx resp dr drs prof mr mrs ms st figs fig tab tabs eq eqs ref refs sect chap nos vol pp
    eds subsp ssp var subgen cv str nov gen sp.nov aff dept univ incl excl esp suppl
    """.split()  # noqa: SIM905 - a list of strings would be ten times as long
)
# Joined only where a number, a bracket or a small letter follows ("No. 5", "spp. were"), otherwise they end a sentence.
_JOINED_BEFORE_NON_CAPITAL = frozenset(
    """
    al no spp sp etc inc ltd co corp jr sr u.s u.k a.m p.m i.v i.p s.c i.m p.o i.d b.i.d q.d t.i.d o.d min max sec
    hr hrs wk wks mo yr yrs wt temp conc mol mm cm kg mg ml in ft lb oz est no.
    """.split()  # noqa: SIM905
)
# Verb-like and other small words that show that a single capital before the stop is not the initial of a species.
_STARTS_SENTENCE = re.compile(
    r"(?:The|These|This|Those|That|In|We|Our|It|Its|They|Their|There|However|Here|Moreover|Furthermore|Although|After|"
    r"Also|An?|As|At|Both|But|By|Finally|For|From|Thus|Therefore|To|When|While|With|Patients|Results|Conclusions?)\b"
)


def split_sentences(text: str) -> list[Span]:
    """The places of the sentences of `text`, in order, without the white space around them.

    Every character that is not white space lies in exactly one sentence. Linear in the length of the text.
    """
    spans: list[Span] = []
    start = 0
    for match in _CANDIDATE.finditer(text):
        if match[0].isspace() or _ends_sentence(text, match.start(), match.end(), start):
            _add(spans, text, start, match.end())
            start = match.end()
    _add(spans, text, start, len(text))
    return spans


def _add(spans: list[Span], text: str, start: int, end: int) -> None:
    piece = text[start:end]
    if stripped := piece.strip():
        begin = start + len(piece) - len(piece.lstrip())
        spans.append(Span(begin, begin + len(stripped)))


def _ends_sentence(text: str, stop: int, end: int, start: int) -> bool:
    following = text[end : end + 40].lstrip()
    if not following:
        return True
    first = following[0]
    if first in "([“\"'‘" and len(following) > 1:
        first = following[1]
    if first.islower() and not _name_with_small_letter(following):
        return False
    if text[stop] != ".":
        return True
    if first in ",;:)]":
        return False
    before = _WORD_BEFORE.search(text, max(start, stop - _LOOK_BACK), stop)
    word = before[0] if before else ""
    plain = word.lower()
    if plain in _ALWAYS_JOINED:
        return False
    if plain in _JOINED_BEFORE_NON_CAPITAL:
        return first.isupper() or not first.isalnum()
    if len(word) == 1 and word.isupper():
        return _after_initial(text, stop, start, following)
    # "1. Introduction", "a. first": an enumeration at the beginning of a sentence.
    return not (len(word) <= 2 and word.isdigit() and not text[start : stop - len(word)].strip())


def _name_with_small_letter(following: str) -> bool:
    """Does a word such as `mRNA`, `p53`, `α-synuclein` or `pH` begin here? Sentences may begin with those."""
    word = following.split(None, 1)[0].strip("([\"'“‘")
    return any(character.isupper() or character.isdigit() for character in word[1:]) or not word[0].isascii()


def _after_initial(text: str, stop: int, start: int, following: str) -> bool:
    """After a single capital and a stop: `E. Coli` and `J. Smith` go on, `vitamin C. The` and `group A. We` end."""
    if not text[start : stop - 1].strip():
        return False
    return _STARTS_SENTENCE.match(following) is not None
