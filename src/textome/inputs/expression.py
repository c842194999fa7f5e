"""How strongly the genes of a sample are expressed: a matrix of samples and genes, one token for each gene."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from textome.errors import InputError
from textome.formats.reading.rows import Row, check_decoded, read_rows
from textome.formats.reading.sources import Quarantine, Source
from textome.inputs.records import Modality, Record, Segment, Segments, Shape

Levels = Mapping[str, float]
_GAPS = ("", "na", "nan", "null")


class Expression(Modality):
    """Matrices of gene expression, CSV or TSV, with a header. A record is a sample; its content is the level of each gene.

    A gene that is missing in a sample has no token there. Genes are chosen, and levels scaled, by the training samples
    alone: in a cross-validation nothing of the samples that are left out is seen.

    genes_in    "rows", with a column for each sample, or "columns", with a row for each sample
    name        the column with the name of the gene (or, with genes in columns, of the sample); empty: the first one
    skip        columns that are neither samples nor genes, as "call"; a name that stands many times is skipped each time
    outcomes    a table beside the matrix that has the label of each sample; empty: the label stands in the matrix itself,
                in the column `label`, which needs genes in columns
    sample      the column of `outcomes` with the names of samples
    label       the column with the class
    floor       the lowest level: what is below it, as noise is, counts as much
    log2        whether the logarithm of a level is read
    max_genes   so many genes are read, those that tell the classes of the training samples apart best (by the F statistic
                of an analysis of variance), or without classes those that vary most
    reading     "number": a gene's token is its standardised level times learnt weights of the gene. "bin": a gene, and in
                which of `bins` equal shares of the training samples its level lies (Yang et al. 2022, scBERT, with bins by
                gene). "rank": genes in the order of their level over the gene's median (Theodoris et al. 2023, Geneformer)
    bins        for "bin"
    hidden      while training: the share of genes that are taken away, drawn anew for each reading
    genes       of the training data: mean, standard deviation and median of each chosen gene
    edges       of the training data, for "bin": the levels between the bins of each chosen gene
    """

    kind: Literal["expression"] = "expression"
    genes_in: Literal["rows", "columns"] = "rows"
    name: str = ""
    skip: tuple[str, ...] = ()
    outcomes: str = ""
    sample: str = "sample"
    label: str = ""
    floor: float = 1.0
    log2: bool = True
    max_genes: int = Field(256, ge=1)
    reading: Literal["number", "bin", "rank"] = "number"
    bins: int = Field(8, ge=2)
    hidden: float = Field(0.0, ge=0, lt=1)
    genes: dict[str, tuple[float, float, float]] = Field(default_factory=dict)
    edges: dict[str, tuple[float, ...]] = Field(default_factory=dict)

    def read(self, path: str, quarantine: Quarantine) -> Iterator[Record]:
        source = Source.of(path)
        if self.log2 and self.floor <= 0:
            raise InputError(f"input.floor is {self.floor:g}, but only levels above 0 have a logarithm")
        rows = read_rows(source, quarantine)
        header = [name.strip() for name in next(rows, Row(1, [])).cells]
        name = self.name or (header[0] if header else "")
        if name not in header:
            raise InputError(f"{source.name}: there is no column {name!r}; the columns are {', '.join(header[:20])}")
        left_out = {name, *self.skip, *([self.label] if self.genes_in == "columns" else [])}
        columns = [number for number, title in enumerate(header) if title and title not in left_out]
        twice = [title for title, count in Counter(header[number] for number in columns).items() if count > 1]
        if twice:
            raise InputError(
                f"{source.name}: the column {twice[0]!r} stands twice; name it in input.skip if it is not data"
            )
        outcomes = self._outcomes(source, quarantine)
        lines = _lines(rows, header, name, source.name, quarantine)
        if self.genes_in == "columns":
            samples = self._by_row(lines, header, columns, source.name, quarantine)
        else:
            samples = self._by_column(lines, header, columns, source.name, quarantine)
        for sample, levels, label in samples:
            if not levels:
                quarantine.add(source.name, f"sample {sample}", "no gene has a level")
                continue
            target = outcomes.get(sample) if self.outcomes else label
            yield Record(sample, content=levels, target=target or None)

    def fitted(self, records: Sequence[Record]) -> Self:
        names = list(dict.fromkeys(gene for record in records for gene in record.content))
        levels = np.array([[record.content.get(gene, np.nan) for gene in names] for record in records], np.float64)
        levels = levels[:, np.isfinite(levels).any(0)]
        names = [gene for gene in names if any(gene in record.content for record in records)]
        classes = [str(record.target) for record in records]
        known = self._scaled(levels)
        merit = _f_statistic(known, classes) if len(set(classes)) > 1 else np.nanvar(known, 0)
        chosen = np.argsort(-merit, kind="stable")[: self.max_genes]
        genes, edges = {}, {}
        for number in chosen:
            own = known[np.isfinite(known[:, number]), number]
            genes[names[number]] = (float(own.mean()), float(own.std()) or 1.0, float(np.median(own)))
            if self.reading == "bin":
                cuts = np.quantile(own, np.arange(1, self.bins) / self.bins)
                edges[names[number]] = tuple(float(cut) for cut in cuts)
        return self.model_copy(update={"genes": genes, "edges": edges})

    def shapes(self) -> dict[str, Shape]:
        count = len(self.genes)
        if self.reading == "number":
            return {"expression": Shape("vectors", count, (count,))}
        return {"expression": Shape("tokens", count, (self.bins if self.reading == "bin" else count,))}

    def features(self, content: Levels) -> Segments:
        """A token for each gene that the model reads and the sample has.

        Raises InputError for a sample with none of the genes.
        """
        there = [(number, gene) for number, gene in enumerate(self.genes) if gene in content]
        if not there:
            some = ", ".join(list(self.genes)[:5])
            raise InputError(f"the sample has none of the {len(self.genes)} genes that the model reads, as {some}")
        numbers = np.array([number for number, _ in there], np.int64)
        levels = self._scaled(np.array([content[gene] for _, gene in there], np.float64))
        if self.reading == "bin":
            bins = [np.searchsorted(self.edges[gene], level) for (_, gene), level in zip(there, levels, strict=True)]
            return {"expression": Segment(numbers, np.array(bins, np.int64)[:, None])}
        means, deviations, medians = np.array([self.genes[gene] for _, gene in there]).T
        if self.reading == "rank":
            order = np.argsort(-(levels - medians) / deviations, kind="stable")
            return {"expression": Segment(numbers[order], np.arange(len(order))[:, None])}
        vectors = np.zeros((len(there), len(self.genes)), np.float32)
        vectors[np.arange(len(there)), numbers] = (levels - means) / deviations
        return {"expression": Segment(vectors, numbers[:, None])}

    def without(self, content: Levels) -> Iterator[tuple[str, Levels]]:
        """Each gene that the model reads, at the level that tells nothing: its median in the training samples."""
        for gene, (_, _, median) in self.genes.items():
            if gene in content:
                yield gene, {**content, gene: float(2**median) if self.log2 else median}

    def augmented(self, content: Levels, generator: np.random.Generator) -> Levels:
        if not self.hidden:
            return content
        kept = {gene: level for gene, level in content.items() if generator.random() >= self.hidden}
        return kept if any(gene in kept for gene in self.genes) else content

    def _scaled(self, levels: NDArray[np.float64]) -> NDArray[np.float64]:
        raised = np.maximum(levels, self.floor)
        return np.log2(raised) if self.log2 else raised

    def _outcomes(self, source: Source, quarantine: Quarantine) -> dict[str, str]:
        if not self.outcomes:
            return {}
        if source.path is None:
            raise InputError(
                f"{source.name}: input.outcomes names a file beside the matrix, which must lie in a folder"
            )
        table = Source.of(Path(source.path).parent / self.outcomes)
        rows = read_rows(table, quarantine)
        header = [name.strip() for name in next(rows, Row(1, [])).cells]
        if missing := [name for name in (self.sample, self.label) if name not in header]:
            raise InputError(f"{table.name}: there is no column {missing[0]!r}; the columns are {', '.join(header)}")
        at, label = header.index(self.sample), header.index(self.label)
        labels = {}
        for line, cells in rows:
            if len(cells) != len(header):
                quarantine.add(table.name, f"line {line}", f"expected {len(header)} cells, found {len(cells)}")
            else:
                labels[cells[at].strip()] = cells[label].strip()
        return labels

    def _by_row(
        self, lines: Iterator[_Line], header: Sequence[str], columns: Sequence[int], file: str, quarantine: Quarantine
    ) -> Iterator[tuple[str, Levels, str]]:
        column = header.index(self.label) if self.label in header else None
        for line, sample, cells in lines:
            try:
                levels = {header[number]: level for number in columns if (level := _level(cells[number])) is not None}
            except InputError as error:
                quarantine.add(file, f"line {line}", error)
            else:
                yield sample, levels, "" if column is None else cells[column].strip()

    def _by_column(
        self, lines: Iterator[_Line], header: Sequence[str], columns: Sequence[int], file: str, quarantine: Quarantine
    ) -> Iterator[tuple[str, Levels, str]]:
        samples: dict[int, dict[str, float]] = {number: {} for number in columns}
        for line, gene, cells in lines:
            try:
                levels = {number: _level(cells[number]) for number in columns}
            except InputError as error:
                quarantine.add(file, f"line {line}", error)
                continue
            for number, level in levels.items():
                if level is not None:
                    samples[number][gene] = level
        for number, own in samples.items():
            yield header[number], own, ""


_Line = tuple[int, str, list[str]]


def _lines(rows: Iterator[Row], header: Sequence[str], name: str, file: str, quarantine: Quarantine) -> Iterator[_Line]:
    """The line, the name and the cells of each row that is as wide as the header; a second row of a name is quarantined."""
    column, seen = header.index(name), set[str]()
    for line, cells in rows:
        own = cells[column].strip() if column < len(cells) else ""
        try:
            check_decoded(cells)
            if len(cells) != len(header):
                raise InputError(f"expected {len(header)} cells, found {len(cells)}")
            if not own:
                raise InputError(f"the cell in column {name!r} is empty")
            if own in seen:
                raise InputError(f"{own!r} stands twice; the second row is left out")
        except InputError as error:
            quarantine.add(file, f"line {line}", error)
            continue
        seen.add(own)
        yield line, own, cells


def _level(cell: str) -> float | None:
    """The number in a cell, or None for a gap. Raises InputError for anything else."""
    if cell.strip().casefold() in _GAPS:
        return None
    try:
        level = float(cell)
    except ValueError:
        level = float("nan")
    if not np.isfinite(level):
        raise InputError(f"{cell.strip()[:40]!r} is not a level of a gene; leave a gap empty")
    return level


def _f_statistic(levels: NDArray[np.float64], classes: Sequence[str]) -> NDArray[np.float64]:
    """Of each column of (samples, genes), gaps left out: the variance between classes over that within (Fisher 1925)."""
    labels = np.array(classes)
    groups = [levels[labels == name] for name in sorted(set(classes))]
    counts = np.array([np.isfinite(group).sum(0) for group in groups])
    means = np.array([np.nansum(group, 0) for group in groups]) / np.maximum(counts, 1)
    total = np.nansum(levels, 0) / np.maximum(counts.sum(0), 1)
    between = (counts * (means - total) ** 2).sum(0) / max(1, len(groups) - 1)
    within = sum(np.nansum((group - mean) ** 2, 0) for group, mean in zip(groups, means, strict=True))
    return between / np.maximum(within / np.maximum(counts.sum(0) - len(groups), 1), 1e-9)  # type: ignore[no-any-return]
