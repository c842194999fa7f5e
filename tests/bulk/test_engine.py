"""Runs as a whole: exactly once whatever happens, bad records set aside, changed inputs done again."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import signal
import sqlite3
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from bulk.conftest import Command, article, ids, pubmed, quarantined, rows
from textome.bulk.engine import run
from textome.bulk.ledger import Totals
from textome.bulk.output import write_chunk
from textome.bulk.query import Results
from textome.bulk.work import Options
from textome.documents import Document, Relation
from textome.errors import InputError
from textome.evidence.statements import read_statements
from textome.formats import read_documents
from textome.pipeline import choose_pipeline
from tiny import DISEASES, DRUGS, with_twin_heads


@pytest.fixture
def bulk(tiny_bundle: Path, tmp_path: Path) -> Any:
    """Run into `tmp_path/out` (or `to`) with the tiny model."""

    def call(*inputs: Path, out: str = "out", chunk: int = 4, workers: int = 1, **options: Any) -> Totals:
        mix = options.pop("mix", False)
        model = options.pop("model", str(tiny_bundle))
        chosen = {key: options.pop(key) for key in ("types", "min_confidence", "flat", "early_exit") if key in options}
        steps = {key: options.pop(key) for key in ("leave_out",) if key in options}
        settings = {"model": chosen} | options.pop("settings", {})
        pipeline = choose_pipeline(models=[model], settings=settings, **steps)
        return run(
            [str(item) for item in inputs],
            tmp_path / out,
            Options(pipeline, **options),
            workers=workers,
            chunk_documents=chunk,
            mix=mix,
        )

    return call


def test_every_document_comes_once_with_its_entities(bulk: Any, tmp_path: Path) -> None:
    pubmed(tmp_path / "in" / "a.xml.gz", map(article, range(1, 11)))
    pubmed(tmp_path / "in" / "b.xml", map(article, range(11, 14)))
    totals = bulk(tmp_path / "in", workers=2)
    assert (totals.documents, totals.quarantined, totals.finished) == (13, 0, True)
    assert ids(tmp_path / "out") == sorted(map(str, range(1, 14)))
    assert totals.entities == sum('["entities"' in row for row in rows(tmp_path / "out")) > 26
    first = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("*/part-*")}
    assert bulk(tmp_path / "in") == totals
    assert first == {path: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("*/part-*")}


@pytest.mark.parametrize("format", ["jsonl", "bioc-json", "bioc-xml", "pubtator"])
def test_other_formats_hold_what_annotate_gives(bulk: Any, tmp_path: Path, tiny_bundle: Path, format: str) -> None:
    from one_model import entities_of
    from textome.formats import read_documents

    source = pubmed(tmp_path / "a.xml", map(article, range(1, 8)))
    bulk(source, to=format, chunk=100)
    (path,) = (tmp_path / "out" / "documents").iterdir()
    expected = entities_of(tiny_bundle, threads=1).annotate(read_documents(source))
    found = list(read_documents(path, format))
    assert [[(e.start, e.end, e.type) for e in d.entities] for d in found] == [
        [(e.start, e.end, e.type) for e in d.entities] for d in expected
    ]


def test_bad_records_are_set_aside_with_their_place(bulk: Any, tmp_path: Path) -> None:
    """1 % of the records are damaged: the others all come, and the bad ones are counted and listed."""
    lines = [json.dumps({"id": str(number), "text": "no gout was seen"}) for number in range(300)]
    for number in (7, 120, 299):
        lines[number] = lines[number][: 10 + number % 7]
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    articles = [
        article(number) if number % 100 else article(number).replace("</PMID>", "&x;</PMID>")
        for number in range(1, 201)
    ]
    broken = pubmed(tmp_path / "b.xml", articles)
    (tmp_path / "empty.txt").write_text("")
    totals = bulk(tmp_path / "a.jsonl", broken, tmp_path / "empty.txt", chunk=50)
    bad = quarantined(tmp_path / "out")
    assert totals.quarantined == len(bad) >= 5
    assert [(item["source"].rsplit("/")[-1], item["position"]) for item in bad][:3] == [
        ("a.jsonl", "line 8"), ("a.jsonl", "line 121"), ("a.jsonl", "line 300")
    ]  # fmt: skip
    assert "empty" in bad[-1]["reason"]
    assert {str(number) for number in range(300) if number not in (7, 120, 299)} <= set(ids(tmp_path / "out"))
    assert totals.documents == len(ids(tmp_path / "out"))


def test_a_changed_file_is_noticed_and_done_again(bulk: Any, tmp_path: Path) -> None:
    source = pubmed(tmp_path / "a.xml", map(article, range(1, 11)))
    bulk(source)
    before = source.stat()
    pubmed(source, [article(number) for number in (1, 2, 3, 4, 77)])
    os.utime(source, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert bulk(source).documents == 5
    assert ids(tmp_path / "out") == ["1", "2", "3", "4", "77"]
    assert bulk(source, out="fresh").documents == 5
    assert rows(tmp_path / "out") == rows(tmp_path / "fresh")


def test_a_file_that_changes_while_it_is_read_is_refused(
    bulk: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from textome.bulk import chunks

    source = pubmed(tmp_path / "a.xml", map(article, range(1, 11)))
    monkeypatch.setattr(chunks, "stamp_of", lambda address: "another")
    with pytest.raises(InputError, match="changed while it was read"):
        bulk(source)
    monkeypatch.undo()
    assert bulk(source).documents == 10


def test_the_newest_version_of_a_citation_counts(bulk: Any, tmp_path: Path) -> None:
    folder = tmp_path / "pubmed"
    pubmed(folder / "pubmed24n0001.xml.gz", [*map(article, range(1, 9)), article(3, 2, "no asthma was seen")])
    pubmed(folder / "pubmed24n0002.xml.gz", map(article, range(9, 13)))
    update = pubmed(folder / "pubmed24n0003.xml.gz", [article(5, 1, "no gout was seen")], deleted=[2, 10])
    totals = bulk(folder, chunk=3)
    expected = sorted(str(number) for number in range(1, 13) if number not in (2, 10))
    assert ids(tmp_path / "out") == expected
    assert totals.left_out == 4
    text = "\n".join(row for row in rows(tmp_path / "out") if '["documents"' in row)
    assert text.count("no gout was seen") == text.count("no asthma was seen") == 1
    # The update comes after the baseline is done: the same documents, and nothing of the others is done again.
    update.rename(tmp_path / "pubmed24n0003.xml.gz")
    bulk(folder, out="later", chunk=3)
    assert len(ids(tmp_path / "later")) == 12
    (tmp_path / "pubmed24n0003.xml.gz").rename(update)
    assert bulk(folder, out="later", chunk=3).documents == totals.documents
    assert ids(tmp_path / "later") == expected
    # It is replaced by one that deletes nothing: the older versions come back.
    pubmed(update, [article(99)])
    bulk(folder, out="later", chunk=3)
    assert ids(tmp_path / "later") == sorted(map(str, [*range(1, 13), 99]))


def test_an_update_or_a_deletion_withdraws_the_relations_of_an_article(bulk: Any, tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    folder, out = tmp_path / "pubmed", tmp_path / "out"
    baseline = pubmed(folder / "pubmed24n0001.xml.gz", map(article, range(1, 6)))
    bulk(folder, chunk=10)
    # The tiny model finds no relations: the results are given one of each title's drug and disease, as a model would.
    (path,) = out.glob("documents/part-*")
    part, number = map(int, re.findall(r"\d+", path.name))
    rows_of = zip(pq.read_table(path).to_pylist(), read_documents(baseline), strict=True)
    write_chunk(out, "parquet", part, number, ((row["source"], row["record"], related(item)) for row, item in rows_of))

    def stated() -> set[str]:
        return {item.document_id for item in read_statements(Results(out))}

    assert stated() == {"1", "2", "3", "4", "5"}
    pubmed(folder / "pubmed24n0002.xml.gz", [article(3, 2)], deleted=[2])
    bulk(folder, chunk=10)
    assert stated() == {"1", "4", "5"}
    assert ids(out) == ["1", "3", "4", "5"]


def related(document: Document) -> Document:
    """The document with a relation between its drug and its disease."""
    entities = []
    for type, names in (("Chemical", DRUGS), ("Disease", DISEASES)):
        match = re.search("|".join(names), document.text)
        assert match is not None
        entities.append(document.entity([match.span()], type, id=type))
    return document.with_annotations(
        entities, [Relation("Negative_Correlation", (("head", "Chemical"), ("tail", "Disease")))]
    )


def test_other_settings_are_refused_unless_told(bulk: Any, tmp_path: Path, tiny_bundle: Path) -> None:
    source = pubmed(tmp_path / "a.xml", map(article, range(1, 6)))
    bulk(source)
    with pytest.raises(InputError, match=r"--min-confidence was not given and is 0\.5.*--mix"):
        bulk(source, min_confidence=0.5)
    with pytest.raises(InputError, match=r"--flat was"):
        bulk(source, flat=True)
    with pytest.raises(InputError, match=r"\(--text-column was not given and is 'body'\)"):
        bulk(source, text_column="body")
    with pytest.raises(InputError, match=r"\(the step context was there and is left out\)"):
        bulk(source, leave_out=["context"])
    with pytest.raises(InputError, match=r"\(context.asserted was False and is True\)"):
        bulk(source, settings={"context": {"asserted": True}})
    with pytest.raises(InputError, match="the model was"):  # words that leave early change what it predicts
        bulk(source, early_exit=False)
    assert bulk(source, flat=True, model=str(with_twin_heads(tiny_bundle, tmp_path / "twins")), out="flat").entities > 0
    twice = bulk(source, model=str(tmp_path / "twins"), out="nested").entities
    assert twice == 2 * bulk(source, flat=True, model=str(tmp_path / "twins"), out="flat").entities
    model = tmp_path / "model"
    shutil.copytree(tiny_bundle, model)
    assert bulk(source, model=str(model)).documents == 5  # the same content elsewhere is the same model
    (model / "textome.json").write_text((model / "textome.json").read_text() + "\n")
    with pytest.raises(InputError, match="the model was"):
        bulk(source, model=str(model))
    more = pubmed(tmp_path / "b.xml", map(article, range(6, 8)))
    assert bulk(source, more, model=str(model), mix=True).documents == 7
    with pytest.raises(InputError, match="--to was 'parquet'"):
        bulk(source, to="jsonl", mix=True)
    with pytest.raises(InputError, match="does not know the type 'Planet'"):
        bulk(source, types=("Planet",), mix=True)


def test_two_runs_do_not_write_to_one_folder(bulk: Any, tmp_path: Path) -> None:
    import fcntl

    source = pubmed(tmp_path / "a.xml", map(article, range(1, 6)))
    (tmp_path / "out").mkdir()
    with (tmp_path / "out" / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(InputError, match="another run is writing here"):
            bulk(source)
    assert bulk(source).documents == 5


def test_results_that_were_deleted_are_made_again(bulk: Any, tmp_path: Path) -> None:
    source = pubmed(tmp_path / "a.xml", map(article, range(1, 6)))
    bulk(source)
    before = ids(tmp_path / "out")
    gone, *_ = sorted((tmp_path / "out" / "entities").glob("*.parquet"))
    gone.unlink()
    assert bulk(source).documents == 5
    assert gone.is_file()
    assert ids(tmp_path / "out") == before


@pytest.mark.parametrize("noticed", [True, False], ids=["before a chunk is given to it", "at any time"])
def test_a_worker_that_dies_is_replaced(
    bulk: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, noticed: bool
) -> None:
    from textome import workers

    source = pubmed(tmp_path / "a.xml", map(article, range(1, 21)))
    begin = workers._pool
    killed: list[int] = []

    def start(*arguments: Any) -> Any:
        made = begin(*arguments)
        if len(killed) < 2:
            killed.append(made.submit(os.getpid).result())
            os.kill(killed[-1], signal.SIGKILL)
            while noticed and not made._broken:
                time.sleep(0.01)
        return made

    monkeypatch.setattr(workers, "_pool", start)
    assert bulk(source).documents == 20
    assert len(killed) == 2
    assert len(set(ids(tmp_path / "out"))) == 20


def kill(process: subprocess.Popen[str], output: Path, generator: random.Random) -> None:
    """Kill a run at a random moment: now and then while it starts or plans, else in the midst of its work."""
    if generator.random() < 0.25:
        time.sleep(generator.uniform(0.2, 1.5))
    else:
        before = written(output)
        while process.poll() is None and written(output) <= before:
            time.sleep(0.005)
        time.sleep(generator.uniform(0, 0.1))
    # Only the main process: its workers must see by themselves that it has gone.
    process.kill()
    process.communicate()


def written(output: Path) -> set[int]:
    """When each file was written last; a draft may be renamed at any moment, also between two system calls."""
    times = set()
    for path in output.glob("*/*"):
        with suppress(FileNotFoundError):
            times.add(path.stat().st_mtime_ns)
    return times


def _killed_run_equals_an_undisturbed_one(command: Command, tmp_path: Path, kills: int, to: str) -> None:
    folder = tmp_path / "in"
    size = 150 * kills
    pubmed(folder / "pubmed24n0001.xml.gz", map(article, range(1, size)))
    pubmed(folder / "pubmed24n0002.xml.gz", [article(number, 2) for number in range(size - 9, size + 9)], deleted=[3])
    (folder / "z.jsonl").write_text(
        "".join(json.dumps({"id": f"z{n}", "text": "no gout"}) + "\n" for n in range(30)) + "{"
    )
    arguments: list[object] = [folder, "--chunk", 7, "--workers", 1, "--to", to, "--output"]
    generator = random.Random(len(to))
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    unfinished = 0
    for _ in range(kills):
        kill(command(*arguments, killed), killed, generator)
        unfinished += not (killed / "ledger.sqlite").exists() or not finished(killed)
    assert unfinished > 0.8 * kills
    for output in (killed, whole):
        last = command(*arguments, output)
        _, errors = last.communicate(timeout=300)
        assert last.returncode == 1, errors  # one record is bad
    assert rows(killed) == rows(whole)
    assert quarantined(killed) == quarantined(whole) != []
    assert {path.relative_to(killed) for path in killed.rglob("*")} == {
        path.relative_to(whole) for path in whole.rglob("*")
    }


def finished(output: Path) -> bool:
    try:
        with sqlite3.connect(output / "ledger.sqlite") as db:
            parts = db.execute("SELECT COUNT(*), COUNT(chunks), SUM(chunks) FROM parts").fetchone()
            return parts[0] == parts[1] > 0 and db.execute("SELECT COUNT(*) FROM chunks").fetchone()[0] == parts[2]
    except sqlite3.OperationalError:
        return False  # killed before it made the tables


def test_a_run_killed_three_times_gives_what_an_undisturbed_one_gives(command: Command, tmp_path: Path) -> None:
    _killed_run_equals_an_undisturbed_one(command, tmp_path, 3, "parquet")


@pytest.mark.slow
@pytest.mark.parametrize("to", ["parquet", "jsonl"])
def test_a_run_killed_twenty_times_gives_what_an_undisturbed_one_gives(
    command: Command, tmp_path: Path, to: str
) -> None:
    _killed_run_equals_an_undisturbed_one(command, tmp_path, 20, to)
