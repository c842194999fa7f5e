"""How a text speaks of what it names: negated, uncertain, hypothetical, in the past, of somebody else.

ConText (Harkema et al., Journal of Biomedical Informatics 2009), which goes on from NegEx (Chapman et al. 2001): a cue
reaches over a part of its sentence, up to a word that stops it. Sections say it of all they hold: under "Family history"
everything is somebody else's. Cues are data, see context_cues.toml.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from pydantic import field_validator

from textome.documents import Document, Entity, Passage, Span
from textome.patterns import lazy_pattern
from textome.steps.cues import CONTEXTS, PREPOSITION, STOP, Cues, Hit, load_cues, words_of
from textome.steps.step import StepSettings
from textome.text.sections import find_sections
from textome.text.sentences import split_sentences

EXPERIENCER = "experiencer"
ATTRIBUTES = ("negated", "uncertain", "hypothetical", "historical", EXPERIENCER)
# How many words cues reach over, with each of their ways of reaching.
_MAX_REACH = 80
_WORDS = {"near": 5, "near_before": 5, "next": 1, "next_before": 1}
_WORDS |= {"forward": _MAX_REACH, "noun": _MAX_REACH, "backward": _MAX_REACH}
# Models take the word before an entity for a part of it: "Denies fever".
_CUE_BEFORE = lazy_pattern(
    r"(?:.{0,40}\b(?:deny|denies|denied|denying|reports|reported|endorses|endorsed)|no|without)\b:?\s*(?:any\s+)?",
    re.I | re.S,
)
_CUE_AFTER = lazy_pattern(r"[\s.,;:]*\b(?:deny|denies|denied|denying|reports|reported|endorses|endorsed)\Z", re.I)
# What is before this only says of which kind the next thing is: "no steroid-induced glaucoma" denies no steroid.
_ONLY_A_KIND = lazy_pattern(r"[-‐–\s](?:induced|mediated|related|associated|dependent|resistan(?:t|ce))\b")
_OF_A_THING = ("negated", "uncertain")
_NOT_ASSERTED = ("negated", "uncertain", "hypothetical", EXPERIENCER)


class Context(StepSettings):
    """Attributes of entities: `negated`, `uncertain`, `hypothetical` and `historical` are "true" or missing; `experiencer`
    is "family" or "other", or missing where it is the patient.

    cues        a file of cues of one's own, beside Textome's
    skip_types  entities of these types get no attributes: "no patient died" negates no patient
    asserted    leave out what the text does not assert of the patient: the negated, uncertain and hypothetical, and what
                somebody else has
    """

    cues: str | None = None
    skip_types: tuple[str, ...] = ("Species", "CellLine", "CellType", "Gene", "Protein", "DNA", "RNA", "Variant")
    asserted: bool = False

    @field_validator("cues")
    @classmethod
    def _check_cues(cls, path: str | None) -> str | None:
        load_cues(path)
        return path

    def __call__(self, documents: Iterable[Document]) -> Iterator[Document]:
        cues = load_cues(self.cues)
        for document in documents:
            document = _without_cues(document)
            contexts = _contexts(document, cues, self.skip_types)
            if contexts:
                entities = [
                    replace(entity, attributes=_attributes(contexts[id(entity)]) | entity.attributes)
                    if id(entity) in contexts
                    else entity
                    for entity in document.entities
                ]
                document = document.with_annotations(entities, document.relations)
            yield _asserted(document) if self.asserted else document


def _without_cues(document: Document) -> Document:
    """The document whose entities of a model begin after a cue that they begin with; those of nothing else are left out."""
    entities = list(document.entities)
    referred = {target for relation in document.relations for _, target in relation.arguments}
    for number, entity in enumerate(entities):
        if entity.confidence is None or len(entity.spans) > 1:
            continue
        start, end = entity.spans[0]
        if match := _CUE_AFTER.search(entity.text):
            end = start + match.start()
        if (match := _CUE_BEFORE.match(document.text, start, end)) and not document.text.startswith("-", match.end()):
            start = match.end()
        if start < end != entity.end or entity.start != start < end:
            entities[number] = replace(entity, spans=(Span(start, end),), text=document.text[start:end])
        elif start >= end and entity.id not in referred:
            entities[number] = replace(entity, spans=())
    kept = [entity for entity in entities if entity.spans]
    return document if kept == list(document.entities) else document.with_annotations(kept, document.relations)


def _contexts(document: Document, cues: Cues, skip_types: Sequence[str]) -> dict[int, set[str]]:
    """The contexts of each entity, by its identity."""
    contexts_of: dict[int, set[str]] = {}
    entities = sorted(
        (entity for entity in document.entities if entity.type not in skip_types), key=lambda entity: entity.start
    )
    starts = [entity.start for entity in entities]
    for passage in document.passages if entities else ():
        inside = entities[bisect_left(starts, passage.offset) : bisect_left(starts, passage.end)]
        if not inside:
            continue
        for sentence in split_sentences(passage.text):
            span = Span(sentence.start + passage.offset, sentence.end + passage.offset)
            here = entities[bisect_left(starts, span.start) : bisect_left(starts, span.end)]
            if here and cues.may_hit(document.text[span.start : span.end]):
                for context, entity in _Sentence(document.text, span, cues, here).contexts():
                    contexts_of.setdefault(id(entity), set()).add(context)
        _add_sections(contexts_of, passage, inside, cues)
    return contexts_of


def _add_sections(contexts_of: dict[int, set[str]], passage: Passage, entities: Sequence[Entity], cues: Cues) -> None:
    starts = [entity.start - passage.offset for entity in entities]
    for section in find_sections(passage.text):
        contexts = [context for context, kinds in cues.sections.items() if section.kind in kinds]
        if contexts:
            first, last = bisect_left(starts, section.heading.end), bisect_left(starts, section.span.end)
            for entity in entities[first:last]:
                contexts_of.setdefault(id(entity), set()).update(contexts)


class _Sentence:
    """The words of a sentence, the phrases of cues among them, and its entities, sorted by their beginning."""

    def __init__(self, text: str, span: Span, cues: Cues, entities: Sequence[Entity]) -> None:
        self._text = text
        self._words = words_of(text, *span)
        self._entities = entities
        self._starts = [entity.start for entity in entities]
        self._by_end = sorted(entities, key=lambda entity: entity.end)
        self._ends = [entity.end for entity in self._by_end]
        self._hits = cues.hits(self._words, self._inside_entities())
        self._prepositions = {hit.first for hit in self._hits if any(says == PREPOSITION for says, _ in hit.says)}

    def _inside_entities(self) -> frozenset[int]:
        """Words that are not a cue, since they are a part of a name, as in "sinusitis without polyps"."""
        barred = set()
        end = number = 0
        for index, word in enumerate(self._words):
            while number < len(self._entities) and self._starts[number] < word.end:
                end = max(end, self._entities[number].end)
                number += 1
            if end > word.start:
                barred.add(index)
        return frozenset(barred)

    def contexts(self) -> Iterator[tuple[str, Entity]]:
        """Each context with an entity that is spoken of so."""
        for context, entity in self._reached():
            if context not in _OF_A_THING or not _ONLY_A_KIND.match(self._text, entity.end):
                yield context, entity

    def _reached(self) -> Iterator[tuple[str, Entity]]:
        for number, hit in enumerate(self._hits):
            for context, reach in sorted(hit.says):
                if context not in CONTEXTS:
                    continue
                if reach in ("backward", "near_before", "next_before"):
                    for start, end in self._before(number, _WORDS[reach]):
                        reached = self._by_end[bisect_right(self._ends, start) : bisect_right(self._ends, end)]
                        yield from ((context, entity) for entity in reached)
                elif (last := self._last_word(number, context, reach)) > hit.last:
                    start, end = self._words[hit.last].end, self._words[last].end
                    reached = list(self._entities[bisect_left(self._starts, start) : bisect_left(self._starts, end)])
                    yield from ((context, entity) for entity in reached)

    def _last_word(self, number: int, context: str, reach: str) -> int:
        """The last word that a cue reaches: before a stop, or before another context once an entity was reached."""
        hit = self._hits[number]
        last = min(hit.last + _WORDS[reach], len(self._words) - 1)
        for index in range(number + 1, len(self._hits)):
            other = self._hits[index]
            if other.first > last:
                break
            between = self._any_between(hit.last + 1, other.first)
            for says, how in other.says:
                stops = says == STOP and not (other.first == hit.last + 1 and self._is_colon(other))
                weak = says == PREPOSITION and reach == "noun" and not between
                changes = says in CONTEXTS and says != context and between and how in ("forward", "noun", "near")
                if stops or weak or changes:
                    return other.first - 1
        return last

    def _before(self, number: int, reach: int) -> Iterator[Span]:
        """What a cue speaks of that looks back. Between commas that is all that stands before a preposition, and what comes
        after it if an entity stands before it: not lupus in "an association with lupus was not found".
        """
        last = self._hits[number].first
        begin = max(self._after_stop(number), last - reach, 0)
        for index in range(begin, last + 1):
            if index < begin:
                continue
            is_end = index == last or self._words[index].text == ","
            weak = index in self._prepositions and not self._any_between(begin, index)
            if (is_end or weak) and begin < index:
                yield Span(self._words[begin].start, self._words[index - 1].end)
            if weak:
                begin = next((after for after in range(index, last) if self._words[after].text == ","), last) + 1
            elif is_end:
                begin = index + 1

    def _after_stop(self, number: int) -> int:
        """The word after the last stop before a cue."""
        hit = self._hits[number]
        for index in range(number - 1, -1, -1):
            other = self._hits[index]
            if other.last < hit.first - _MAX_REACH:
                break
            is_stop = any(says == STOP for says, _ in other.says)
            if is_stop and not (other.last == hit.first - 1 and self._is_colon(other)):
                return other.last + 1
        return 0

    def _is_colon(self, hit: Hit) -> bool:
        """ "Denies: fever" and "Fever: not seen" go over the colon."""
        return self._words[hit.first].text == ":"

    def _any_between(self, first: int, last: int) -> bool:
        """Does an entity begin from word `first` to before word `last`?"""
        if first >= last:
            return False
        start, end = self._words[first].start, self._words[last - 1].end
        return bisect_left(self._starts, start) < bisect_left(self._starts, end)


def _attributes(contexts: set[str]) -> dict[str, str]:
    flags = {name: "true" for name in ATTRIBUTES if name in contexts}
    someone = next((name for name in ("family", "other") if name in contexts), "")
    return flags | ({EXPERIENCER: someone} if someone else {})


def _asserted(document: Document) -> Document:
    """The document with what it asserts of the patient, and the relations between those entities."""
    entities = [item for item in document.entities if not any(name in item.attributes for name in _NOT_ASSERTED)]
    kept = {entity.id for entity in entities}
    relations = list(document.relations)
    while True:
        known = kept | {relation.id for relation in relations}
        whole = [relation for relation in relations if all(target in known for _, target in relation.arguments)]
        if len(whole) == len(relations):
            return document.with_annotations(entities, relations)
        relations = whole
