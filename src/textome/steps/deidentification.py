"""Personal data are replaced or marked: names, dates, numbers, addresses.

Rules (textome.text.deidentification) and, where one is named, a model. What neither finds stays: this lowers a risk and
proves nothing. It is not anonymisation in the sense of HIPAA (45 CFR 164.514(b)) or the GDPR; whoever passes texts on has
them reviewed.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator, model_validator

from textome.documents import Document, Entity, Label, Span
from textome.errors import InputError
from textome.runtime.step import pools
from textome.steps.detector import Detector, load_detector
from textome.steps.step import StepSettings
from textome.text.cleaning import Alignment, Piece, replace_pieces, without_lost
from textome.text.deidentification.finding import find
from textome.text.deidentification.people import words_of
from textome.text.deidentification.rules import DEFAULT_KINDS, KINDS, Finding, Rules, load_rules
from textome.text.deidentification.surrogates import Surrogates

MIN_SECRET = 16
# Shorter texts say nothing of what was replaced: an attribute "A" is not an initial.
_MIN_REPEATED = 3
# Of what the rules mark on the test half of presidio's synthetic sentences so much is annotated as personal data
# (benchmarks/deidentification.py).
_CONFIDENCE = 0.9


@dataclass(frozen=True, slots=True)
class Deidentified:
    """A document without personal data, the way back to the original text, and what was found there."""

    document: Document
    alignment: Alignment
    findings: Sequence[Finding]

    def offsets(self) -> list[dict[str, str | int]]:
        """Kind, `start` and `end` of each in the original text, and `new_start` and `new_end` in the new one."""
        rows: list[dict[str, str | int]] = []
        for item in self.findings:
            new = self.alignment.to_cleaned(item.start, item.end) or Span(item.start, item.end)
            rows.append(
                {"kind": item.kind, "start": item.start, "end": item.end, "new_start": new.start, "new_end": new.end}
            )
        return rows


class Deidentification(StepSettings):
    """Personal data become placeholders, surrogates or entities.

    mode          "mask": `[NAME]`; "surrogate": an invented name, a date moved by a secret number of days, other digits;
                  "tag": the text stays, and what is found is an entity of the type NAME, DATE, ...
    kinds         the kinds that are looked for; all but COUNTRY by default
    model         "rampart" or the folder of a bundle, to find what rules cannot; None: rules alone
    min_confidence   what the model gives less probability stays
    rules         a file of rules of one's own, beside Textome's
    names         a file of names, one a line, that are replaced wherever they stand, as of all patients
    secret        a file of at least 16 bytes that nobody else may read: the same secret gives the same surrogates for a
                  patient in every run. None: each document by itself, and never again the same
    patient       the key of a document's metadata that says whose it is; without it each document is a patient
    day_first     03/04/2020 is the third of April
    keep_metadata   metadata of documents and passages stay; they may name people
    new_ids       documents get ids that say nothing, since file names may name people
    """

    mode: Literal["mask", "surrogate", "tag"] = "mask"
    kinds: tuple[str, ...] = DEFAULT_KINDS
    model: str | None = None
    min_confidence: float = Field(default=0.5, ge=0, le=1)
    rules: str | None = None
    names: str | None = None
    secret: str | None = None
    patient: str | None = None
    day_first: bool = False
    keep_metadata: bool = False
    new_ids: bool = False
    threads: int | None = Field(default=None, ge=1)

    @field_validator("kinds")
    @classmethod
    def _check_kinds(cls, kinds: tuple[str, ...]) -> tuple[str, ...]:
        if unknown := [kind for kind in kinds if kind not in KINDS]:
            raise ValueError(f"{unknown[0]!r} is not a kind of personal data; the kinds are {', '.join(KINDS)}")
        return kinds

    @model_validator(mode="after")
    def _check_files(self) -> Deidentification:
        load_rules(self.rules)
        _known(self.names)
        if self.patient is not None and self.secret is None:
            raise ValueError("patient needs a secret, or its surrogates would differ from one process to the next")
        if self.secret is not None:
            _secret(self.secret)
        return self

    def __call__(self, documents: Iterable[Document]) -> Iterator[Document]:
        for result in self.results(documents):
            yield result.document

    def results(self, documents: Iterable[Document]) -> Iterator[Deidentified]:
        """Each document with the way back to its text."""
        rules = load_rules(self.rules)
        secret = secrets.token_bytes(32) if self.secret is None else _secret(self.secret)
        detector = load_detector(self.model, self.min_confidence, self.threads) if self.model else None
        for number, pool in enumerate(pools(documents)):
            for number_in_pool, (document, findings) in enumerate(
                zip(pool, self._findings(pool, rules, detector), strict=True)
            ):
                patient = document.metadata.get(self.patient, "") if self.patient else ""
                name = f"{self.patient}={patient}" if patient else f"document {number} {number_in_pool} {document.id}"
                if self.secret is not None and not patient:
                    name = f"document {document.id}"
                yield self._apply(document, findings, Surrogates(secret, name, rules, self.day_first))

    def _findings(self, pool: Sequence[Document], rules: Rules, detector: Detector | None) -> Iterator[list[Finding]]:
        """What is found in each document, cut where passages end."""
        texts = [document.text for document in pool]
        others = detector.find(texts, rules) if detector else [[] for _ in texts]
        for document, text, own in zip(pool, texts, others, strict=True):
            findings = find(text, rules, kinds=self.kinds, known=_known(self.names), others=own)
            yield list(_within_passages(document, findings))

    def _apply(self, document: Document, findings: Sequence[Finding], surrogates: Surrogates) -> Deidentified:
        if self.mode == "tag":
            tagged = document.with_new_entities(_entities(document, findings))
            return Deidentified(tagged, replace_pieces(document, [])[1], findings)
        pieces: list[Piece] = []
        for item in findings:
            text = document.text[item.start : item.end]
            new = f"[{item.kind}]" if self.mode == "mask" else surrogates.of(item.kind, text)
            pieces.append((item.start, item.end, new))
        changed, alignment = replace_pieces(_without_replaced(document, findings), pieces)
        identifying = {document.text[item.start : item.end].casefold() for item in findings}
        changed = _silent(changed, {text for text in identifying if len(text) >= _MIN_REPEATED}, self.keep_metadata)
        if self.new_ids:
            digest = hmac.new(surrogates.secret, f"id\0{document.id}".encode(), hashlib.sha256).hexdigest()
            changed = replace(changed, id=digest[:16])
        return Deidentified(changed, alignment, findings)


def _within_passages(document: Document, findings: Iterable[Finding]) -> Iterator[Finding]:
    ends = [passage.end for passage in document.passages]
    for item in findings:
        for passage in document.passages[bisect_left(ends, item.start + 1) :]:
            start, end = max(item.start, passage.offset), min(item.end, passage.end)
            if start >= item.end or passage.offset >= item.end:
                break
            if start < end:
                yield Finding(start, end, item.kind)


def _entities(document: Document, findings: Iterable[Finding]) -> Iterator[Entity]:
    have = {(entity.type, entity.spans) for entity in document.entities}
    for item in findings:
        span = Span(item.start, item.end)
        if (item.kind, (span,)) not in have:
            yield document.entity([span], item.kind, confidence=_CONFIDENCE)


def _without_replaced(document: Document, findings: Sequence[Finding]) -> Document:
    """The document without what models say of replaced text; human annotations of it keep their type and id alone."""
    starts, ends = [item.start for item in findings], [item.end for item in findings]

    def overlaps(spans: Iterable[Span]) -> bool:
        return any(bisect_left(starts, end) > bisect_left(ends, start + 1) for start, end in spans)

    kept: list[Entity] = []
    for entity in document.entities:
        if not overlaps(entity.spans):
            kept.append(entity)
        elif entity.confidence is None:
            kept.append(replace(entity, identifiers=(), metadata={}, attributes={}))
    lost = {entity.id for entity in document.entities} - {entity.id for entity in kept} - {""}
    labels = [label for label in document.labels if label.span is None or not overlaps([label.span])]
    return document.with_labels(labels).with_annotations(kept, without_lost(document.relations, lost))


def _silent(document: Document, identifying: set[str], keep_metadata: bool) -> Document:
    """Annotations, sections and labels that repeat what was replaced are emptied or dropped; metadata go."""

    def silent(values: dict[str, str]) -> dict[str, str]:
        return {key: value for key, value in values.items() if not _repeats(value, identifying)}

    passages = [
        replace(
            passage,
            section="" if _repeats(passage.section, identifying) else passage.section,
            metadata=silent(passage.metadata) if keep_metadata else {},
        )
        for passage in document.passages
    ]
    entities = [
        replace(entity, metadata=silent(entity.metadata), attributes=silent(entity.attributes))
        for entity in document.entities
    ]
    relations = [replace(relation, metadata=silent(relation.metadata)) for relation in document.relations]
    labels: list[Label] = [
        replace(label, metadata=silent(label.metadata))
        for label in document.labels
        if not _repeats(label.name, identifying)
    ]
    metadata = silent(document.metadata) if keep_metadata else {}
    return replace(
        document,
        passages=tuple(passages),
        metadata=metadata,
        entities=tuple(entities),
        relations=tuple(relations),
        labels=tuple(labels),
    )


def _repeats(text: str, identifying: set[str]) -> bool:
    folded = text.casefold()
    return any(item in folded for item in identifying)


@lru_cache(maxsize=4)
def _known(path: str | None) -> frozenset[str]:
    """The words of a file of names, in small letters. Raises InputError where it cannot be read."""
    if path is None:
        return frozenset()
    try:
        return frozenset(words_of(Path(path).read_text(encoding="utf-8")))
    except OSError as error:
        raise InputError(f"{path}: the file of names cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: the file of names is not UTF-8; save it as such") from error


def _secret(path: str) -> bytes:
    """Raises InputError for a file that cannot be read, or is too short to be a secret."""
    try:
        secret = Path(path).read_bytes()
    except OSError as error:
        raise InputError(
            f"{path}: the secret cannot be read ({error.strerror}); head -c 32 /dev/urandom makes one"
        ) from error
    if len(secret) < MIN_SECRET:
        raise InputError(f"{path}: a secret has at least {MIN_SECRET} bytes; head -c 32 /dev/urandom makes one")
    return secret
