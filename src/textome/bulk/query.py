"""Asking the Parquet results of a bulk run with SQL (DuckDB), with ready views for what is asked most.

    documents, entities, relations, identifiers, labels
                                       the tables themselves (columns: docs/guides/bulk.md)
    counts_by_type_and_year            type, year, mentions, documents
    frequent_entities                  type, entity, mentions, documents
    frequent_concepts                  curie, label, mentions, documents, of the most probable identifier of each entity
    frequent_labels                    task, name, labels, documents
    sentence_texts                     sentence, start, text: the sentences of the documents, by their index from 0
    co_mentions                        any two entities of different types in one sentence, with that sentence
    chemical_disease                   of these the chemicals with diseases
    co_mention_pairs                   of any two types, in the order of the alphabet: first_type, first, first_label,
                                       second_type, second, second_label, sentences, documents, ids of up to 20 documents
    chemical_disease_pairs             of these the chemicals with diseases
    relation_ends                      of each relation the two entities: those that it names, or, of a relation between
                                       concepts as PubTator has it, the two mentions of them that stand closest together
    stated_relations                   each relation: type, both concepts, the sentences of its mentions, the section
    related_pairs                      relation, both concepts, relations, documents, ids of up to 20 documents; what
                                       the texts deny counts too: `textome evidence` tells it apart
    broader                            curie, broader, broader_label, steps: each concept with itself and all above it, by
                                       the trees of a vocabulary; made when it is first asked for

An entity is named by its first identifier where it has one, else by its text in lower case.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from textome.bulk.hierarchy import broader_table
from textome.bulk.ledger import NAME
from textome.bulk.tables import TABLES
from textome.errors import InputError
from textome.escapes import no_formula
from textome.formats.reading.sources import Target
from textome.vocabularies import BUNDLED

_ROWS = 2000
_RUN = 64  # sentences
_ENTITY = "coalesce({0}.identifiers[1], lower({0}.text))"
# One end of a relation: an entity of the table {0} with its identifiers {0}_name, in columns that begin with {1}.
_END = (
    "{0}.type AS {1}_type, "
    + _ENTITY
    + """ AS {1}, coalesce(nullif({0}_name.label, ''), {0}.text) AS {1}_label, {0}.start AS {1}_start,
            {0}."end" AS {1}_end, {0}_sentence.start AS {1}_sentence_start,
            {0}_sentence.text AS {1}_sentence, {0}.attributes AS {1}_attributes"""
)
_END_TABLES = """
        LEFT JOIN sentence_texts {0}_sentence ON {0}_sentence.source = {0}.source AND {0}_sentence.record = {0}.record
            AND {0}_sentence.sentence = {0}.sentence
        LEFT JOIN identifiers {0}_name ON {0}_name.source = {0}.source AND {0}_name.record = {0}.record
            AND {0}_name.entity = {0}.number AND {0}_name.rank = 0"""
# A concept that a relation of PubTator names, without the prefix that only some of its files write, and the concepts of an
# entity in the same way. Its service writes them as JSON.
_CONCEPT = (
    "regexp_replace(coalesce(metadata['entity{0}'], "
    """regexp_extract(metadata['role{0}'], '"identifier": *"([^"]*)"', 1)), '^[^:]*:', '')"""
)
_LOCAL_NAMES = "list_transform({0}.identifiers, lambda curie: regexp_replace(curie, '^[^:]*:', ''))"
VIEWS = {
    "counts_by_type_and_year": """
        SELECT e.type, d.year, count(*) AS mentions, count(DISTINCT (e.source, e.record)) AS documents
        FROM entities e JOIN documents d USING (source, record) GROUP BY e.type, d.year ORDER BY e.type, d.year""",
    "frequent_entities": f"""
        SELECT type, {_ENTITY.format("entities")} AS entity, count(*) AS mentions,
            count(DISTINCT (source, record)) AS documents
        FROM entities GROUP BY 1, 2 ORDER BY documents DESC, mentions DESC, type, entity""",
    "frequent_concepts": """
        SELECT curie, max(label) AS label, count(*) AS mentions, count(DISTINCT (source, record)) AS documents
        FROM identifiers WHERE rank = 0 GROUP BY curie ORDER BY documents DESC, mentions DESC, curie""",
    "frequent_labels": """
        SELECT task, name, count(*) AS labels, count(DISTINCT (source, record)) AS documents
        FROM labels GROUP BY task, name ORDER BY documents DESC, labels DESC, task, name""",
    # No join carries a whole text: of a book it would be copied for each of its entities. A substring counts code points
    # from the beginning of its text, so that runs of sentences are cut out first, and the sentences from those.
    "sentence_texts": f"""
        SELECT source, record, (first + number)::INTEGER AS sentence, run[number + 1].start AS start,
            substring(piece, run[number + 1].start - run[1].start + 1,
                run[number + 1]."end" - run[number + 1].start) AS text
        FROM (SELECT *, unnest(range(len(run))) AS number FROM (
            SELECT source, record, first, run, substring(text, run[1].start + 1, run[-1]."end" - run[1].start) AS piece
            FROM (SELECT *, list_slice(sentences, first + 1, first + {_RUN}) AS run FROM (
                SELECT source, record, text, sentences, unnest(range(0, len(sentences), {_RUN})) AS first
                FROM documents))))""",
    "co_mentions": f"""
        SELECT d.document_id, d.year, a.type AS first_type, {_ENTITY.format("a")} AS first_entity,
            a.text AS first_text, b.type AS second_type, {_ENTITY.format("b")} AS second_entity, b.text AS second_text,
            least(a.confidence, b.confidence) AS confidence, s.text AS sentence,
            d.source, d.record, s.sentence AS sentence_number
        FROM entities a JOIN entities b USING (source, record, sentence)
        JOIN sentence_texts s USING (source, record, sentence) JOIN documents d USING (source, record)
        WHERE a.type <> b.type""",
    "chemical_disease": """
        SELECT document_id, year, first_entity AS chemical, first_text AS chemical_text, second_entity AS disease,
            second_text AS disease_text, confidence, sentence, source, record, sentence_number
        FROM co_mentions WHERE first_type = 'Chemical' AND second_type = 'Disease'""",
    "co_mention_pairs": f"""
        SELECT first_type, p.first, coalesce(nullif(a.label, ''), p.first) AS first_label, second_type, p.second,
            coalesce(nullif(b.label, ''), p.second) AS second_label, sentences, p.documents, document_ids
        FROM (
            SELECT a.type AS first_type, {_ENTITY.format("a")} AS first, b.type AS second_type,
                {_ENTITY.format("b")} AS second, count(DISTINCT (source, record, sentence)) AS sentences,
                count(DISTINCT (source, record)) AS documents,
                list_slice(list_sort(list(DISTINCT a.document_id)), 1, 20) AS document_ids
            FROM entities a JOIN entities b USING (source, record, sentence)
            WHERE a.type < b.type GROUP BY 1, 2, 3, 4) p
        LEFT JOIN frequent_concepts a ON a.curie = p.first LEFT JOIN frequent_concepts b ON b.curie = p.second
        ORDER BY p.documents DESC, sentences DESC, first_type, p.first, second_type, p.second""",
    "chemical_disease_pairs": """
        SELECT first AS chemical, first_label AS chemical_label, second AS disease, second_label AS disease_label,
            sentences, documents, document_ids
        FROM co_mention_pairs WHERE first_type = 'Chemical' AND second_type = 'Disease'
        ORDER BY documents DESC, sentences DESC, chemical, disease""",
    "relation_ends": f"""
        SELECT r.source, r.record, r.type, r.confidence, r.metadata, a.number AS head, b.number AS tail
        FROM relations r
        JOIN entities a ON a.source = r.source AND a.record = r.record AND a.entity_id = r.arguments[1].target
        JOIN entities b ON b.source = r.source AND b.record = r.record AND b.entity_id = r.arguments[2].target
        WHERE len(r.arguments) >= 2
        UNION ALL
        SELECT source, record, type, confidence, metadata, head, tail FROM (
            SELECT r.source, r.record, r.type, r.confidence, r.metadata, a.number AS head, b.number AS tail,
                row_number() OVER (PARTITION BY r.source, r.record, r.type, r.one, r.two
                    ORDER BY a.sentence <> b.sentence, abs(a.start - b.start), a.number, b.number) AS nearness
            FROM (SELECT *, {_CONCEPT.format("1")} AS one, {_CONCEPT.format("2")} AS two FROM relations
                WHERE len(arguments) = 0) r
            JOIN entities a ON a.source = r.source AND a.record = r.record
                AND list_contains({_LOCAL_NAMES.format("a")}, r.one)
            JOIN entities b ON b.source = r.source AND b.record = r.record AND b.number <> a.number
                AND list_contains({_LOCAL_NAMES.format("b")}, r.two)
        ) WHERE nearness = 1""",
    "stated_relations": f"""
        SELECT d.document_id, d.year, r.type AS relation, r.confidence, r.metadata['novel'] AS novel,
            {_END.format("a", "head")}, {_END.format("b", "tail")},
            list_filter(d.passages, lambda p: p.start <= a.start AND a.start < p."end")[1].section AS section,
            d.metadata['publication_types'] AS publication_types, d.source, d.record
        FROM relation_ends r
        JOIN entities a ON a.source = r.source AND a.record = r.record AND a.number = r.head
        JOIN entities b ON b.source = r.source AND b.record = r.record AND b.number = r.tail
        JOIN documents d ON d.source = r.source AND d.record = r.record
        {_END_TABLES.format("a")} {_END_TABLES.format("b")}""",
    "related_pairs": """
        SELECT relation, head_type, head, max(head_label) AS head_label, tail_type, tail, max(tail_label) AS tail_label,
            count(*) AS relations, count(DISTINCT document_id) AS documents,
            list_slice(list_sort(list(DISTINCT document_id)), 1, 20) AS document_ids
        FROM stated_relations GROUP BY ALL ORDER BY documents DESC, relations DESC, relation, head, tail""",
}


@dataclass
class Answer:
    """The names of the columns, and the rows, fetched as they are asked for: as tuples, or all as an Arrow stream."""

    columns: tuple[str, ...]
    rows: Iterator[tuple[Any, ...]]
    arrow: Callable[[], Any]


class Results:
    """The results of a bulk run in `folder`, opened for questions. Nothing is written there.

    external_access   whether statements may read and write other files than the results, and load extensions
    vocabularies      whose trees the table `broader` is made from, when a statement first names it

    Raises InputError where the folder holds no Parquet results, or damaged ones.
    """

    def __init__(self, folder: Path, external_access: bool = False, vocabularies: Sequence[str] = (BUNDLED,)) -> None:
        self._connection, self._vocabularies = duckdb.connect(), vocabularies
        self._asked = self._connection
        self._has_broader = False
        if not external_access:
            # In this order: the first two cannot be set any more after the third.
            self._connection.execute(f"SET allowed_directories = [{_quoted(str(folder.resolve()))}]")
            self._connection.execute("SET allow_community_extensions = false")
            self._connection.execute("SET enable_external_access = false")
            self._connection.execute("SET lock_configuration = true")
        for table, schema in TABLES.items():
            # A view cannot have parameters, and a folder's name may hold signs that a glob or SQL would understand.
            files = ", ".join(_quoted(str(path)) for path in sorted((folder.resolve() / table).glob("part-*.parquet")))
            if files:
                query = f"SELECT * FROM read_parquet([{files}], union_by_name = true)"
                try:
                    self._connection.execute(f"CREATE VIEW {table} AS {query}")
                except duckdb.Error as error:
                    raise InputError(
                        f"{folder / table}: a table is damaged ({_first_line(error)[:300]}); delete that "
                        "file and run the same `textome bulk` again, which makes it anew"
                    ) from error
            elif table in ("documents", "entities", "relations"):
                hint = (
                    "results in another format can be read again" if (folder / NAME).exists() else "name the --output"
                )
                raise InputError(f"{folder}: there are no Parquet tables of a bulk run ({hint} of `textome bulk`)")
            else:
                self._connection.register(table, schema.empty_table())  # younger than these results
        for name, query in VIEWS.items():
            self._connection.execute(f"CREATE VIEW {name} AS {query}")

    def ask(self, sql: str) -> Answer:
        """Run one statement. Raises InputError with what DuckDB says where it cannot."""
        if not self._has_broader and re.search(r"\bbroader\b", sql):
            curies = self._connection.execute("SELECT DISTINCT curie FROM identifiers").fetchall()
            broader = broader_table((row[0] for row in curies), self._vocabularies)
            self._connection.register("broader_rows", broader)
            self._connection.execute("CREATE TABLE broader AS SELECT * FROM broader_rows")
            self._has_broader = True
        try:
            self._asked = self._connection.cursor()
            cursor = self._asked.execute(sql)
        except duckdb.Error as error:
            raise InputError(_cannot_be_run(error)) from error
        if cursor is None:
            raise InputError("the query cannot be run: it holds no statement")
        columns = tuple(str(item[0]) for item in cursor.description or ())

        def rows() -> Iterator[tuple[Any, ...]]:
            try:
                while several := cursor.fetchmany(_ROWS):
                    yield from several
            except duckdb.Error as error:
                raise InputError(_cannot_be_run(error)) from error

        return Answer(columns, rows(), lambda: self._connection.cursor().sql(sql).to_arrow_reader(_ROWS))

    def interrupt(self) -> None:
        """End the statement that was asked last, from another thread; whoever asked it gets InputError."""
        self._asked.interrupt()

    def columns(self, name: str) -> list[tuple[str, str]]:
        """Name and type of the columns of a table or view."""
        return [(row[0], row[1]) for row in self.ask(f"DESCRIBE {name}").rows]


def write_answer(answer: Answer, path: str | Path, format: str, formulas: bool = True) -> int:
    """Write rows as `csv`, `jsonl` or `parquet` to a file or "-", as they come; returns their number.

    formulas   whether cells of CSV may begin as a formula of a spreadsheet
    """
    writers = {"csv": _write_csv, "jsonl": _write_jsonl, "parquet": _write_parquet}
    if format not in writers:
        raise InputError(f"results of a query are written as {', '.join(writers)}, not as {format!r}")
    return writers[format](answer, Target.of(path, formulas))


def _write_csv(answer: Answer, target: Target) -> int:
    number = 0
    with target.open() as stream:
        text = io.TextIOWrapper(stream, "utf-8", newline="", write_through=True)
        writer = csv.writer(text)
        writer.writerow(answer.columns)
        for number, row in enumerate(answer.rows, 1):
            cells = [";".join(map(str, item)) if isinstance(item, list) else item for item in row]
            writer.writerow(cells if target.formulas else map(no_formula, cells))
        text.flush()
        text.detach()
    return number


def _write_jsonl(answer: Answer, target: Target) -> int:
    number = 0
    with target.open() as stream:
        for number, row in enumerate(answer.rows, 1):
            line = json.dumps(dict(zip(answer.columns, row, strict=True)), ensure_ascii=False, default=str)
            stream.write(line.encode("utf-8") + b"\n")
    return number


def _write_parquet(answer: Answer, target: Target) -> int:
    import pyarrow.parquet as pq

    number = 0
    reader = answer.arrow()
    with target.open() as stream, pq.ParquetWriter(stream, reader.schema) as writer:
        for batch in reader:
            writer.write_batch(batch)
            number += len(batch)
    return number


def _cannot_be_run(error: duckdb.Error) -> str:
    message = f"the query cannot be run: {_first_line(error)}"
    refused = isinstance(error, duckdb.PermissionException)
    return message + ("; --external-access allows other files and extensions" if refused else "")


def _first_line(error: duckdb.Error) -> str:
    return str(error).strip().splitlines()[0]


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
