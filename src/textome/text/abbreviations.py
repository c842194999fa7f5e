"""Short forms that a text defines: "tumour necrosis factor (TNF)" and "TNF (tumour necrosis factor)".

As in Schwartz and Hearst (A simple algorithm for identifying abbreviation definitions in biomedical text, PSB 2003) a
candidate is a bracket with a short form, after its long form or the other way round. They take the shortest long form that
holds the letters of the short form in order. Here every alignment of the letters to the words has a cost, and the cheapest
wins: a letter at the beginning of a word costs nothing; one inside a word, and a word without any letter, do. So no long
form loses its first word to a letter that also stands further inside.

Measured with `python benchmarks/abbreviations.py` on MED1250; docs/context.md has the figures.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from textome.documents import Span
from textome.patterns import lazy_pattern
from textome.text.stop_words import STOP_WORDS

_MAX_SHORT_FORM = 24
_MAX_WORDS = 14
# How far is looked: for the end of a bracket, and back for a long form or a short form before it.
_MAX_BRACKET = 250
_LOOK_BACK = 250

# Costs, chosen on one half of MED1250.
_NEXT_LETTER = 0.1  # a letter right after the one before it, as the l of "pl" in "plasma"
_IN_PART = 0.2  # the first letter at the beginning of a part of a word, as after a hyphen
_INSIDE = 0.7  # any other letter of a word that has one at its beginning
_ONLY_INSIDE = 1.6  # a letter inside a word that has none at its beginning
_SKIPPED_STOP_WORD = 0.3
_SKIPPED_WORD = 1.2
_SKIPPED_LAST_WORD = 1.0
_MISSING_DIGIT = 1.0  # a digit of the short form that no word of the long form has, as in "N2O"
_MAX_COST = 0.75  # of a long form, for each letter of the short form
_MAX_COST_OF_ROTATED = 0.3
_MAX_COST_OF_BETTER = 0.02  # where the long form in the same order is not asked for
_MAX_LISTED = 8  # code points of a short form in a list that holds no letters of its long form
_MAX_WORDS_LISTED = 6
_MAX_COST_OF_WORD = 0.2  # where the short form is written in small letters, as an ordinary word is
_MAX_COST_IN_WORD = 0.35  # the same where the long form is one word: "kb" for "kilobase"
_IMPOSSIBLE = 1e9
_MAX_KEPT = 5_000  # code points of a text whose definitions are kept for a while

_BRACKET = lazy_pattern(r"[()\[\]]")
_WORD = lazy_pattern(r"[^\s]+")
# A part of a word begins after a mark, where a digit and a letter meet, and at a capital after a small letter.
_PART = lazy_pattern(r"(?<=[^\W\d_])(?=\d)|(?<=\d)(?=[^\W\d_])|(?<=[a-z])(?=[A-Z])|(?<=[^\w\s])(?=\w)")
# What a long form does not cross: the end of a sentence, but not the stop of "E. coli".
_STOP = lazy_pattern(r"(?<![\s(.][A-Z])[.!?](?=\s+[^\s([])|[;:](?=\s)")
_LEAD = lazy_pattern(
    r"(?:i\.e\.,?|e\.g\.,?|or|also|abbreviated(?:\ as|\ to)?|hereafter|termed|designated|called|the)\s+", re.I | re.X
)
_NAMED_GENE = lazy_pattern(r"(?<=\S)\s+(?:gene|protein|receptor)$")
_SEPARATOR = lazy_pattern(r"\s*[;,=:]\s+|\s+(?:or|and|=)\s+")
_CAN_BE_SKIPPED = frozenset(
    ["type", "subtype", "class", "number", "gene", "protein", "domain", "family", "member", *STOP_WORDS]
)
# The first letter of each name: "IFN-γ" is "interferon gamma".
_GREEK = str.maketrans("αβγδεζηθικλμνξοπρσςτυφχψωµ", "abgdezetiklmnxoprsstupcpom")
_DIGITS = {
    "one": "1", "first": "1", "mono": "1", "two": "2", "second": "2", "di": "2", "bi": "2", "three": "3", "third": "3",
    "tri": "3", "four": "4", "fourth": "4", "five": "5", "fifth": "5", "six": "6", "sixth": "6", "seven": "7",
    "seventh": "7", "eight": "8", "eighth": "8", "nine": "9", "ninth": "9",
}  # fmt: skip
_NUMBER = lazy_pattern("|".join(sorted(_DIGITS, key=len, reverse=True)), re.IGNORECASE)
_QUOTES = " \"'“”‘’"
_ORDINARY_WORD = lazy_pattern(r"[a-z]{4}|\w-\w+-\w")
# In "alpha (A) and beta (B)" the long form of B does not begin before the bracket.
_LISTED = lazy_pattern(r"[)\]]\s*(?:,|;|and\b|or\b|but\b|than\b)")
_NAMES_OF_SYMBOLS = {
    symbol: lazy_pattern(rf"(?<![\w-])(?P<name>{name})\s+$", re.IGNORECASE)
    for symbol, name in {
        "K": "potassium", "K+": "potassium", "Na": "sodium", "Na+": "sodium", "Fe": "iron", "Cu": "copper", "Pb": "lead",
        "Hg": "mercury", "Ag": "silver", "Au": "gold", "Sn": "tin", "Sb": "antimony", "NH3": "ammonia", "H2O": "water",
        "O2": "(?:molecular )?oxygen", "O2-": "superoxide", "NaCl": "sodium chloride", "KCl": "potassium chloride",
        "CCl4": "carbon tetrachloride", "VO2": "oxygen (?:uptake|consumption)", "E2": "(?:17 ?-?(?:beta|β)-)?o?estradiol",
        "T3": "tri-?iodothyronine", "T4": "thyroxine", "5-HT": "serotonin", "GSH": "(?:reduced )?glutathione",
        "GSSG": "oxidi[sz]ed glutathione", "CsA": "[ck]yclosporine?|ciclosporin", "AZT": "zidovudine",
        "CDDP": "cisplatin", "Akt": "protein kinase B", "AKT": "protein kinase B", "6-OHDA": "6-hydroxydopamine",
    }.items()
}  # fmt: skip
# A long form does not begin with what joins it to the words before.
_BETWEEN = frozenset(["and", "or", "plus", "versus", "with"])
_SIGN = lazy_pattern(r"(?:[-+*]|\([-+]\))+$")
_NUMBERS = lazy_pattern(r"\d+")
# The name of an element comes before its mass in words, and behind it in symbols: "technetium-99m (99mTc)".
_ISOTOPE = lazy_pattern(r"\[?(\d+m?)\]?-?([A-Z][a-z]?)\]?(?![a-z])")
_JOINING = frozenset(["a", "an", "and", "by", "for", "from", "in", "of", "or", "the", "to", "under", "with"])
_NEXT_IN_LIST = lazy_pattern(r"\s*(?:[,;]\s*(?:(?:and|or)\s+)?|(?:and|or)\s+)(?:the\s+|an?\s+)?(?=\w[^().;:,\[\]]*$)")
_INITIAL = lazy_pattern(r"(?<![^\W_])[^\W_]")
_BRACKETED = lazy_pattern(r"\([^()]*\)[^\w\s]*|\[[^\[\]]*\][^\w\s]*")
_NO_SHORT_FORM = lazy_pattern(
    r"""[\d.,]+ \s? (?:%|[mkµμn]?[gglLMm]|h|min|s|days?|(?-i:d)|years?|yrs?|weeks?|wks?|months?|Hz|cm)
      | .*[<>=≤≥].*
      | (?-i:[ix]+|vi+)
      | (?:Fig|Table|Group|Part|Type|Stage|Grade|Phase|Class|Ref|See)s? \.? \s .*""",
    re.VERBOSE | re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Abbreviation:
    """A definition: where its short form and its long form stand, in code points of the text."""

    short: Span
    long: Span


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A short form, and words with which its long form ends, and, if `whole`, also begins."""

    short: Span
    words: tuple[Span, ...]
    whole: bool
    max_cost: float = _MAX_COST


def find_abbreviations(text: str) -> list[Abbreviation]:
    """The definitions in `text`, in the order of their brackets. Time is linear in the length of the text."""
    return list(_recent_abbreviations(text)) if len(text) < _MAX_KEPT else _find(text)


@lru_cache(maxsize=512)
def _recent_abbreviations(text: str) -> tuple[Abbreviation, ...]:
    """Several steps of a pipeline ask for the definitions of one passage, one after the other."""
    return tuple(_find(text))


def _find(text: str) -> list[Abbreviation]:
    abbreviations: list[Abbreviation] = []
    end = -1  # of the last bracket with a definition
    for bracket in _brackets(text):
        for candidate in _candidates(text, bracket):
            if (long := _long_form(text, candidate)) is not None:
                abbreviations.append(Abbreviation(candidate.short, long))
                abbreviations += _others(text, bracket, abbreviations[-1])
                end = bracket.end + 1
                break
        else:
            if (item := _known(text, bracket) or _listed(text, bracket, end)) is not None:
                abbreviations.append(item)
                end = bracket.end + 1
    return abbreviations


def _known(text: str, bracket: Span) -> Abbreviation | None:
    """The definition of a symbol that shares no letters with its name: "potassium (K)"."""
    separator = _SEPARATOR.search(text, bracket.start, bracket.end)
    short = _stripped(text, Span(bracket.start, separator.start() if separator else bracket.end))
    name = _NAMES_OF_SYMBOLS.get(text[slice(*short)])
    match = name.search(text, max(0, bracket.start - _LOOK_BACK), bracket.start - 1) if name else None
    return Abbreviation(short, Span(*match.span("name"))) if match else None


def _others(text: str, bracket: Span, first: Abbreviation) -> Iterator[Abbreviation]:
    """The other short forms of the same long form in a bracket: "basic fibroblast growth factor (bFGF; FGF-B)"."""
    if first.short.start < bracket.start or first.long.end > bracket.start:
        return
    words = _words_before(text, bracket.start - 1)
    for separator in _SEPARATOR.finditer(text, first.short.end, bracket.end):
        following = _SEPARATOR.search(text, separator.end(), bracket.end)
        short = _stripped(text, Span(separator.end(), following.start() if following else bracket.end))
        if _is_short_form(text, short) and _long_form(text, _Candidate(short, words, whole=False)) == first.long:
            yield Abbreviation(short, first.long)


def _listed(text: str, bracket: Span, end: int) -> Abbreviation | None:
    """The definition in a bracket that goes on a list: "carbamazepine (CBZ), phenytoin (DPH)". No letter need agree.

    end   of the bracket with the definition before
    """
    opening = bracket.start - 1
    if not 0 <= end < opening or not (after := _NEXT_IN_LIST.match(text, end, opening)):
        return None
    short, long = _stripped(text, bracket), _stripped(text, Span(after.end(), opening))
    words = text[slice(*long)].lower().split()
    if not _JOINING.issuperset(STOP_WORDS.intersection(words)):
        return None
    is_short = text[opening - 1].isspace() and _is_short_form(text, short) and short.end - short.start <= _MAX_LISTED
    return Abbreviation(short, long) if is_short and 0 < len(words) <= _MAX_WORDS_LISTED else None


def _brackets(text: str) -> list[Span]:
    """The inside of each bracket, also of one in another, in the order of their beginnings."""
    opened: dict[str, list[int]] = {")": [], "]": []}
    brackets = []
    for match in _BRACKET.finditer(text):
        if match[0] in "([":
            opened[")" if match[0] == "(" else "]"].append(match.end())
        elif (starts := opened[match[0]]) and match.start() - (start := starts.pop()) <= _MAX_BRACKET:
            brackets.append(Span(start, match.start()))
    return sorted(brackets)


def _candidates(text: str, bracket: Span) -> Iterator[_Candidate]:
    """What a bracket may define, the likeliest first."""
    start, end = bracket
    opening = start - 1
    attached = opening > 0 and not text[opening - 1].isspace()
    if opening < 1 or (attached and not text[opening - 1].isalnum()):
        return
    if lead := _LEAD.match(text, start, end):
        start = lead.end()
    if lead and (gene := _NAMED_GENE.search(text, start, end)):
        end = gene.start()
    separators = [Span(*match.span()) for match in _SEPARATOR.finditer(text, start, end)]
    starts = [start, *(separator.end for separator in separators)]
    ends = [*(separator.start for separator in separators), end]
    pieces = [Span(*piece) for piece in zip(starts, ends, strict=True)]
    first = _stripped(text, pieces[0])
    before = _words_before(text, opening)
    if _is_short_form(text, first) and (not attached or sum(c.isupper() for c in text[first.start : first.end]) > 1):
        yield _Candidate(first, before, whole=False)
    if attached:
        return
    whole = _stripped(text, Span(start, end))
    # "TNF (tumour necrosis factor)", and with a word between: "EMLA cream (eutectic mixture of local anaesthetics)".
    for number, max_cost in ((1, _MAX_COST), (2, _MAX_COST_OF_WORD)):
        if len(before) < number:
            continue
        short = _stripped(text, before[-number])
        if not _is_short_form(text, short) or text[short.start : short.end].islower():
            continue
        for long in (whole, first) if separators else (whole,):
            yield _Candidate(short, _words(text, long), whole=True, max_cost=max_cost)
    # Both inside: "(tumour necrosis factor, TNF)" and "(TNF, tumour necrosis factor)".
    if separators:
        last = _stripped(text, pieces[-1])
        if _is_short_form(text, last):
            yield _Candidate(last, _words(text, Span(start, separators[-1].start)), whole=True)
        if _is_short_form(text, first):
            yield _Candidate(first, _words(text, _stripped(text, Span(separators[0].end, end))), whole=True)


def _words_before(text: str, end: int) -> tuple[Span, ...]:
    """The words before a bracket, back to the beginning of the sentence."""
    start = max(0, end - _LOOK_BACK)
    for stop in _STOP.finditer(text, start, end):
        start = stop.end()
    words = _words(text, Span(start, end))
    if start and words and words[0].start == start and not text[start - 1].isspace():
        return words[1:]  # the rest of a word that was cut
    return words


def _words(text: str, span: Span) -> tuple[Span, ...]:
    return tuple(Span(*match.span()) for match in _WORD.finditer(text, *span))


def _stripped(text: str, span: Span) -> Span:
    start, end = span
    while start < end and text[start] in _QUOTES:
        start += 1
    while start < end and (text[end - 1] in _QUOTES or text[end - 1] in ",;:"):
        end -= 1
    return Span(start, end)


def _is_short_form(text: str, span: Span) -> bool:
    """Could this be a short form: at most two words, letters among them, and no item, number with a unit or heading?"""
    short = text[span.start : span.end]
    words = short.split()
    if not words or len(words) > 2 or len(short) > _MAX_SHORT_FORM or not short[0].isalnum() or not _is_closed(short):
        return False
    if not any(character.isalpha() for character in short) or _NO_SHORT_FORM.fullmatch(short):
        return False
    if len(short) == 1:  # "(A)" and "(a)" are items of a list more often
        return short.isupper() and short not in "ABCD"
    if len(words) == 2 or len(short) > 6:
        return any(character.isupper() or character.isdigit() for character in short)
    return short not in STOP_WORDS


def _is_closed(text: str) -> bool:
    return text.count("(") == text.count(")") and text.count("[") == text.count("]")


def _long_form(text: str, candidate: _Candidate) -> Span | None:
    """The cheapest long form of a candidate, or None if none is cheap enough."""
    short = text[candidate.short.start : candidate.short.end]
    words = candidate.words
    if not words or (candidate.whole and len(words) > _MAX_WORDS):
        return None
    letters = "".join(character for character in _plain(short) if character.isalnum())
    start = None if candidate.whole else _cheapest_rotated(text, words, short, _MAX_COST_OF_BETTER)
    if start is None:
        start = _cheapest_start(text, words, short, letters, candidate.max_cost)
    if start is None and not candidate.whole:
        start = _cheapest_rotated(text, words, short, _MAX_COST_OF_ROTATED)
    if start is None or (candidate.whole and start > words[0].start):
        return None
    long = _stripped(text, Span(start, words[-1].end))
    if text.startswith("non-", start) and "n" not in letters:
        long = Span(start + 4, long.end)
    of_words = text[long.start : long.end]
    if of_words[0] in "([" and not _is_closed(of_words):  # "(cefsulodin (CFS), ...)"
        long, of_words = Span(long.start + 1, long.end), of_words[1:]
    if (
        len(of_words) <= len(short)
        or _repeats(short, of_words.split())
        or not _is_closed(of_words)
        or of_words[0] in "(["
    ):
        return None
    is_name = (
        of_words.isupper() and of_words.isalpha() and of_words.startswith(short) and len(of_words) > 2 * len(short)
    )
    if " " not in of_words and (of_words.startswith(f"{short}-") or not (is_name or _ORDINARY_WORD.search(of_words))):
        return None
    if _LISTED.search(of_words):
        return None
    # One letter says too little for a long form of many words.
    if len(short) == 1 and len(of_words.split()) > 2:
        return None
    return long


def _repeats(short: str, words: Sequence[str]) -> bool:
    """Whether one of the words is the short form, but for a sign at its end or another number: "SD sequence (SD(+))"."""
    bare = {_SIGN.sub("", short), _NUMBERS.sub("#", short)}
    return any(bare & {word, _NUMBERS.sub("#", word)} for word in (word.rstrip(",;:") for word in words))


def _cheapest_rotated(text: str, words: tuple[Span, ...], short: str, max_cost: float) -> int | None:
    """The same where what begins the short form ends the long form: "20-item Toronto Alexithymia Scale (TAS-20)"."""
    if isotope := _ISOTOPE.match(short):
        turned = "".join(filter(str.isalnum, _plain(f"{isotope[2]}{isotope[1]}{short[isotope.end() :]}")))
        if (start := _cheapest_start(text, words, short, turned, max_cost)) is not None:
            return start
    splits = [match.start() for match in _PART.finditer(short)]
    if not splits and short.isupper() and max_cost == _MAX_COST_OF_ROTATED and 2 <= len(short) <= 5:
        splits = list(range(1, len(short)))
    if not splits:
        return None
    initials = set(_INITIAL.findall(_plain(text[words[0].start : words[-1].end])))
    for split in splits:
        head, tail = ("".join(filter(str.isalnum, part)) for part in (short[:split], short[split:]))
        if head and tail and (tail[0].isdigit() or _plain(tail[0]) in initials):
            start = _cheapest_start(text, words, short, _plain(tail + head), max_cost if len(short) > 2 else 0.0)
            if start is None or (len(short) == 2 and "-" in text[start : words[-1].end]):
                continue
            if text[start:].split(maxsplit=1)[0].lower() not in STOP_WORDS:
                return start
    return None


def _cheapest_start(text: str, words: tuple[Span, ...], short: str, letters: str, max_cost: float) -> int | None:
    """Where the cheapest long form begins that ends with the last of `words`.

    The words are read from the last to the first. `costs[j]` is the least cost of an alignment in which the first j letters
    are still to come.
    """
    size = len(letters)
    num_digits = sum(letter.isdigit() for letter in letters)
    costs = [_IMPOSSIBLE] * (size + 1)
    costs[size] = 0.0
    if size > 2 and short[-1] == "s" and not short[-2].islower():
        costs[size - 1] = 0.0  # the s of a plural
    min_cost = size * (min(max_cost, _MAX_COST_IN_WORD) if short.islower() else max_cost) + 1e-6
    start = None
    for number, span in enumerate(reversed(words[-min(2 * size + 2, size + 7, _MAX_WORDS) :])):
        word = text[span.start : span.end]
        skipped = _SKIPPED_WORD if number else _SKIPPED_LAST_WORD
        if word.lower() in _CAN_BE_SKIPPED or ((head := _BRACKETED.match(word)) and head.end() == len(word)):
            skipped = _SKIPPED_STOP_WORD
        for j in range(size, 1, -1):
            if letters[j - 1].isdigit() and size - num_digits > 1:
                costs[j - 1] = min(costs[j - 1], costs[j] + _MISSING_DIGIT)
        after = [cost + skipped for cost in costs]
        for j in range(1, size + 1):
            if costs[j] >= min_cost:
                continue
            for k in range(1, j + 1):
                cost, position = _cost_in_word(word, letters[j - k : j], k == j)
                if cost >= _IMPOSSIBLE:
                    break  # a word that does not hold these letters does not hold them with one more before them
                if k < j:
                    after[j - k] = min(after[j - k], costs[j] + cost)
                elif costs[j] + cost < min_cost and word.lower() not in _BETWEEN:
                    min_cost, start = costs[j] + cost, span.start + position
        costs = after
        if short.islower():
            min_cost = min(min_cost, size * _MAX_COST_OF_WORD + 1e-6)
        if min(costs[1:]) >= min_cost:
            break
    return start


@lru_cache(maxsize=4096)
def _cost_in_word(word: str, letters: str, first: bool) -> tuple[float, int]:
    """The least cost of `letters`, in order, in one word, and where in the word a long form begins that begins with it.

    first   the letters begin the short form: the first of them stands at the beginning of the word or of a part of it
    """
    lowered = _plain(word)
    if letters[0].isdigit() and (number := _NUMBER.match(word)) and letters[0] in _DIGITS[number[0].lower()]:
        lowered = letters[0] + lowered[1:]  # "three-dimensional (3D)"
    elif letters[0] == "e" and lowered.startswith(("oe", "ae")):
        lowered = f"e{lowered[1:]}"  # "oestrogen receptor (ER)"
    if letters[0] not in lowered:
        return _IMPOSSIBLE, 0
    parts = {match.start() for match in _PART.finditer(word)}
    # A bracket before a word is not its own: "(GH)-releasing factor", "[3H]dopamine"; nor is what a stroke stands after.
    head = _BRACKETED.match(word) if first else None
    opening = head.end() if head else next((index for index, character in enumerate(word) if character.isalnum()), 0)
    costs: dict[int, tuple[float, int]] = {}
    for position in _positions(lowered, letters[0], opening):
        start = position if word[position - 1 : position] == "/" or (head or word[0] in "\"'“‘") else 0
        if position == opening:
            costs[position] = (0.0, start)
        elif position in parts:
            costs[position] = (0.0 if start else _IN_PART, start)
        elif not first:
            costs[position] = (_ONLY_INSIDE, 0)
    for letter in letters[1:]:
        following: dict[int, tuple[float, int]] = {}
        for before, (cost, start) in costs.items():
            for position in _positions(lowered, letter, before + 1):
                step = _NEXT_LETTER if position == before + 1 else 0.0 if position in parts else _INSIDE
                following[position] = min(following.get(position, (_IMPOSSIBLE, 0)), (cost + step, start))
        costs = following
    return min(costs.values(), default=(_IMPOSSIBLE, 0))


def _plain(text: str) -> str:
    """`text` in small letters, with the first letter of its name for a Greek one, each character in its place."""
    lowered = text.lower()
    return (lowered if len(lowered) == len(text) else text).translate(_GREEK)


def _positions(text: str, letter: str, start: int) -> Iterator[int]:
    while (start := text.find(letter, start)) >= 0:
        yield start
        start += 1
