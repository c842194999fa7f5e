"""Sentence splitting for biomedical text: rules over candidate stops, in one pass.

A candidate is a stop, question or exclamation mark, with the quotes, brackets and reference numbers after it, before
white space. It ends a sentence unless what stands before it is an abbreviation, an initial or the number of a list item,
what stands after it cannot begin a sentence, or both stand in the same brackets. A blank line always ends a sentence. A
single line break ends one where `textome.text.lines` sees a list, a heading or a form, and not in wrapped prose.

Measured with `python benchmarks/sentences.py` on the BC5CDR test abstracts: boundary F1 99.54 % at over 10 MB/s on one
core; pysbd 0.3.4 has 98.97 % at 0.2 MB/s. Differences in all three parts of that corpus were read while the rules were
written, so the first figure is not a blind one (on the training part 99.63 against 99.12 %).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from textome.documents import Document, Span
from textome.patterns import lazy_pattern
from textome.text.lines import hard_breaks
from textome.text.stop_words import STOP_WORDS

# The last branch is a blank line. Each branch can begin only where a run of its first character begins, and gives nothing
# back, so that no text is slow. A reference number set as superscript hangs on the stop: "was known.12 The".
_CANDIDATE = lazy_pattern(
    r"""(?<! [.!?…] ) [.!?…]++
            (?: ["'”’»)\]]*+ (?: \[ [\d,\s–-]{1,30} \] )?+  |  (?<= [a-z)\]] \. ) \d{1,3} (?: [,–-] \d{1,3} ){0,9}+ )
            (?= \s )
      | \n [^\S\n]*+ \n \s*+""",
    re.VERBOSE,
)
_WORD_BEFORE = lazy_pattern(r"[^\s(\[{\"'“‘,;:/–—-]*\Z")
# How far is looked: back for the abbreviation before a stop, forward for what follows, either way for brackets.
_LOOK_BACK = 24
_LOOK_AHEAD = 60
_BRACKETS_REACH = 150

# What comes after these belongs to the same sentence, also a capital: "cf. Table 2", "subsp. Enterica", "Dr. Smith".
_ALWAYS_JOINED = frozenset(
    """
    e.g i.e cf vs viz approx fig figs eq eqs sect chap eds subsp ssp var subgen cv str aff dept univ incl excl esp suppl
    Dr Drs Prof Mr Mrs Ms St Fig Figs FIG FIGS Eq Eqs Sect Chap Dept Univ Suppl Cf VS Approx E.g I.e
    """.split()  # noqa: SIM905 - a list of strings would be ten times as long
)
# Joined to a number, a bracket or a small letter ("No. 5", "spp. were", "i.v. (n = 3)"), but before a capital the end. The
# longer ones also where they begin with a capital.
_JOINED_UNLESS_CAPITAL = frozenset(
    """
    al no nos spp sp etc ca resp ref refs tab tabs vol pp p v nov gen inc ltd co corp jr sr max conc mol temp est
    jan feb mar apr jun jul aug sep sept oct dec
    a.m p.m i.v i.p i.c.v s.c i.m p.o i.d b.i.d q.d t.i.d o.d s.d s.e s.e.m sp.nov nl
    """.split()  # noqa: SIM905
)
# Old spelling writes units with a stop. Joined only to a small letter: "5 mm. in length", but "2 ml. 10 mice were".
_UNITS = frozenset("mm cm kg mg ml µg μg ng min sec hr hrs wk wks mo yr yrs wt in ft lb oz".split())  # noqa: SIM905
# After one of these, or after a noun, a single capital is a name's letter and no initial: "Group B.", "hepatitis C."
_LETTERED = lazy_pattern(
    r"(?:Class|Experiment|Factor|Figure|Grade|Group|Hepatitis|Part|Phase|Stage|Study|Table|Type|Vitamin)s?"
)
_CAPITALS = lazy_pattern(r"[A-Z](?:\.[A-Z])*")
_ITEM_ON_NEW_LINE = lazy_pattern(r"[^\S\n]*+\n\s*+\d{1,2}[.)]\s")
_ITEM = lazy_pattern(r"\((?:[a-z]|[ivx]{2,4}|\d{1,2})\)")
_OPENING = "([\"'“‘«"
_NEVER_FIRST = lazy_pattern(r"(?:Co|Inc|Ltd|Corp|Ind)\b[.,]|[,;:)\]]")
_FIRST_WORD = lazy_pattern(r"([A-Z][a-z]+|[AI](?![.,]))\b|[A-Z][A-Za-z ]{2,30}:")
_OFTEN_FIRST = frozenset(
    ["patients", "results", "conclusion", "conclusions", "methods", "however", "moreover", "furthermore", "finally"]
)


def split_sentences(text: str) -> list[Span]:
    """The places of the sentences of `text`, in order, without the white space around them.

    Every character that is not white space lies in exactly one sentence. Time is linear in the length of the text.
    """
    spans: list[Span] = []
    start = 0
    for end in [*hard_breaks(text), len(text)]:
        for match in _CANDIDATE.finditer(text, start, end):
            if match[0].isspace() or _ends_sentence(text, match.start(), match.end(), start):
                _add(spans, text, start, match.end())
                start = match.end()
        _add(spans, text, start, end)
        start = end
    return spans


def _add(spans: list[Span], text: str, start: int, end: int) -> None:
    """Add the sentence at `start` to `end` without its white space; a stop that stands alone joins the one before."""
    piece = text[start:end]
    if not (stripped := piece.strip()):
        return
    begin = start + len(piece) - len(piece.lstrip())
    if spans and len(stripped) <= 3 and not stripped.strip(".!?…") and "\n" not in text[spans[-1].end : begin]:
        begin = spans.pop().start
    spans.append(Span(begin, start + len(piece.rstrip())))


def _ends_sentence(text: str, stop: int, end: int, start: int) -> bool:
    """Does the candidate at `stop` to `end` end the sentence that began at `start`?"""
    following = text[end : end + _LOOK_AHEAD].lstrip()
    if not following or _ITEM_ON_NEW_LINE.match(text, end):
        return True
    if _NEVER_FIRST.match(following) or _in_brackets(text, start, stop, end):
        return False
    bracket = following[0] in "(["
    first = following.lstrip(_OPENING)[:1]
    if first.islower() and not (_ITEM.match(following) or _name_with_small_letter(following)):
        return False
    if text[stop] != ".":
        return True
    word = _word_before(text, start, stop)
    # In "(mean +/- s.d.) The" the stop is that of the abbreviation: brackets inside a sentence have no stop of their own.
    closed = text[stop + 1 : end].startswith(")")
    if word in _ALWAYS_JOINED:
        return False
    if (word.lower() if len(word) > 1 and word.istitle() else word) in _JOINED_UNLESS_CAPITAL:
        return not (bracket or closed or (first.isalnum() and not first.isupper()))
    if word in _UNITS:
        return not first.islower()
    if _CAPITALS.fullmatch(word):
        return _after_capitals(text, word, stop - len(word), start, following)
    return not _is_item(text, word, stop - len(word), start)


def _word_before(text: str, start: int, stop: int) -> str:
    match = _WORD_BEFORE.search(text, max(start, stop - _LOOK_BACK), stop)
    return match[0] if match else ""


def _is_item(text: str, word: str, position: int, start: int) -> bool:
    """Is this the number of a list item: `1. Introduction` or `a. First` in a sentence's or, for digits, a line's place?"""
    if not ((len(word) <= 2 and word.isdigit()) or (len(word) == 1 and word.isalpha())):
        return False
    before = text[max(start, position - _LOOK_BACK) : position]
    return not before.strip() or (word.isdigit() and before.rstrip(" \t")[-1:] == "\n")


def _in_brackets(text: str, start: int, stop: int, end: int) -> bool:
    """Does a stop stand inside brackets that go on after it, as in "[Nat. Neurosci. 9 (2006), 917]"?"""
    back = max(start, stop - _BRACKETS_REACH)
    for opening, closing in ("()", "[]"):
        if text.count(opening, back, stop) > text.count(closing, back, end):
            close = text.find(closing, end, end + _BRACKETS_REACH)
            if close >= 0 and text.find(opening, end, close) < 0 and text.find("\n\n", end, close) < 0:
                return True
    return False


def _name_with_small_letter(following: str) -> bool:
    """Does a word such as `mRNA`, `p53`, `α-synuclein` or `pH` begin here? Sentences may begin with those."""
    word = following.split(None, 1)[0].strip(_OPENING)
    return any(character.isupper() or character.isdigit() for character in word[1:]) or not word[0].isascii()


def _after_capitals(text: str, word: str, position: int, start: int, following: str) -> bool:
    """After capitals with stops: `J. Smith`, `A.B. Jones` and `U.S. Army` go on, `vitamin C. Rats` and `COX-I. It` end."""
    before = text[max(start, position - _LOOK_BACK) : position]
    if not before.strip():
        return False
    if len(word) == 1:
        if before[-1] in "/-–":
            return before[-2:-1] != "."  # a unit or a name, but not "J.-P. Martin"
        *earlier, previous = before.split()
        if previous in ("and", "or") and earlier and len(earlier[-1].strip(",")) == 1:
            return True
        if _LETTERED.fullmatch(previous) or (len(previous) > 2 and previous.islower() and previous not in STOP_WORDS):
            return previous.isalpha()
    if not (match := _FIRST_WORD.match(following.lstrip(_OPENING))):
        return False
    return match[1] is None or match[1].lower() in STOP_WORDS or match[1].lower() in _OFTEN_FIRST


def sentence_spans(document: Document, split: bool = True) -> Iterator[Span]:
    """Places of a document's sentences. Sentences that an entity crosses are joined, so that no entity is cut."""
    for passage in document.passages:
        sentences = split_sentences(passage.text) if split else [Span(0, len(passage.text))]
        joined: list[Span] = []
        crossings = sorted((entity.start, entity.end) for entity in document.entities)
        for sentence in sentences:
            span = Span(sentence.start + passage.offset, sentence.end + passage.offset)
            if joined and any(start < joined[-1].end and end > span.start for start, end in crossings):
                joined[-1] = Span(joined[-1].start, span.end)
            else:
                joined.append(span)
        yield from joined
