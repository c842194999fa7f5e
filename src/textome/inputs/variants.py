"""Variants: a VCF file and its reference give, for each alternative, the sequence around it with and without the change."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass

from textome.errors import InputError
from textome.formats.reading.sources import Quarantine, Source
from textome.inputs.dna_files import normalised, read_fasta


@dataclass(frozen=True, slots=True)
class Variant:
    """One alternative of a line of a VCF file; `position` counts from 1, as in the file."""

    chromosome: str
    position: int
    name: str
    reference: str
    alternative: str
    line: str


@dataclass(frozen=True, slots=True)
class Context:
    """A variant with `before` and `after`: the same window of the reference without and with the change."""

    variant: Variant
    before: str
    after: str


def read_vcf(source: Source, quarantine: Quarantine) -> Iterator[Variant]:
    """The alternatives of a VCF file (VCF 4.3, section 1.6.1: columns CHROM, POS, ID, REF, ALT), one by one.

    Lines with fewer columns, a POS that is not a number from 1, and alleles that are not bases (<DEL>, `*`) are
    quarantined. Raises InputError where the file has no `#CHROM` header.
    """
    with source.open() as raw:
        header = False
        for number, line in enumerate(io.TextIOWrapper(raw, "utf-8-sig", errors="surrogateescape"), start=1):
            text = line.rstrip("\r\n")
            header = header or text.startswith("#CHROM")
            if not text.strip() or text.startswith("#"):
                continue
            if not header:
                raise InputError(f"{source.name}, line {number}: data before the #CHROM header; is this a VCF file?")
            yield from _alternatives(text, f"line {number}", source, quarantine)
        if not header:
            raise InputError(f"{source.name}: there is no #CHROM header; is this a VCF file?")


def _alternatives(text: str, line: str, source: Source, quarantine: Quarantine) -> Iterator[Variant]:
    columns = text.split("\t")
    if len(columns) < 5:
        quarantine.add(source.name, line, f"expected 5 or more tab-separated columns, found {len(columns)}")
        return
    chromosome, position, name, reference, alternatives = columns[:5]
    if not position.isdecimal() or int(position) < 1:
        quarantine.add(source.name, line, f"POS is {position!r}, no number from 1")
        return
    for alternative in alternatives.split(","):
        try:
            yield Variant(chromosome, int(position), name, normalised(reference), normalised(alternative), line)
        except InputError:
            reason = f"{reference} > {alternative} is not a change of one sequence into another, so it is not scored"
            quarantine.add(source.name, line, reason)


def contexts(
    variants: list[Variant], names: tuple[str, str], reference: Source, flank: int, quarantine: Quarantine
) -> list[Context]:
    """Each variant with `flank` bases on both sides, fewer at the ends of a chromosome; in the order of `variants`.

    names   of the variants' file and of the reference, for messages

    The reference is read once and one chromosome is held at a time. Variants on a chromosome that it lacks ("chr1" and "1"
    are taken as one), beyond its end, or whose REF is not what stands there, go to the quarantine.
    """
    numbers_of: dict[str, list[int]] = {}
    for number, variant in enumerate(variants):
        numbers_of.setdefault(_bare(variant.chromosome), []).append(number)
    context_of: dict[int, Context] = {}
    for record in read_fasta(reference, quarantine):
        for number in numbers_of.pop(_bare(record.name), ()):
            variant = variants[number]
            start, end = variant.position - 1, variant.position - 1 + len(variant.reference)
            stands = record.sequence[start:end]
            if len(stands) < len(variant.reference):
                reason = f"{record.name} has only {len(record.sequence)} bases, the variant ends at {end}"
                quarantine.add(names[0], variant.line, reason)
            elif any(a != b and "N" not in (a, b) for a, b in zip(stands, variant.reference, strict=True)):
                reason = f"REF is {variant.reference}, but {names[1]} has {stands} there; is it the same assembly?"
                quarantine.add(names[0], variant.line, reason)
            else:
                left, right = record.sequence[max(0, start - flank) : start], record.sequence[end : end + flank]
                context_of[number] = Context(
                    variant, left + variant.reference + right, left + variant.alternative + right
                )
    for name, numbers in numbers_of.items():
        for number in numbers:
            quarantine.add(names[0], variants[number].line, f"{names[1]} has no sequence {name}")
    return [context_of[number] for number in sorted(context_of)]


def _bare(name: str) -> str:
    """A chromosome's name without "chr", and "M" for "MT"."""
    bare = name[3:] if name.lower().startswith("chr") else name
    return "M" if bare == "MT" else bare
