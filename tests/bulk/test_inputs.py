"""Inputs: what is found, in which order, and how it is read."""

from __future__ import annotations

import io
import json
import tarfile
import zipfile
from pathlib import Path

import pytest

from bulk.conftest import article, pubmed
from textome.bulk.inputs import InputFile, content_hash, documents_of, find_files, format_of, stamp_of
from textome.bulk.ledger import Totals
from textome.bulk.plan import Plan
from textome.bulk.progress import plan_line
from textome.bulk.stored import StoredSource
from textome.errors import InputError
from textome.formats import Quarantine
from textome.formats.reading.folders import num_beside


def read(file: InputFile, quarantine: Quarantine | None = None) -> list[str]:
    source = StoredSource.at(file.address, file.name)
    found = documents_of(source, format_of(file, None), None, quarantine or Quarantine())
    return [f"{record}:{document.id}" for record, document in found]


def test_files_folders_globs_and_lists_are_found_once_in_order(tmp_path: Path) -> None:
    for name in ("b/2.txt", "b/10.txt", "b/.hidden", "b/2.txt.md5", "a.txt", "out/part.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("gout")
    (tmp_path / "list").write_text(f"# a list\n{tmp_path}/a.txt\n\n{tmp_path}/b\n")
    names = [Path(file.name).name for file in find_files([f"@{tmp_path}/list", f"{tmp_path}/b/*.txt"])]
    assert names == ["a.txt", "10.txt", "2.txt"]
    assert {Path(file.name).parent.name for file in find_files([str(tmp_path)], tmp_path / "out")} == {
        "b",
        tmp_path.name,
    }
    for wrong, message in (("none.txt", "no such file"), ("*.pdf", "no files are there"), ("-", "saved|save it")):
        with pytest.raises(InputError, match=message):
            find_files([wrong if wrong == "-" else f"{tmp_path}/{wrong}"])


def test_archives_are_read_member_by_member(tmp_path: Path) -> None:
    members = {
        "x/a.jsonl": b'{"id": "1", "text": "gout"}\n{',
        "x/b.txt": b"asthma",
        "x/.c.txt": b"no",
        "d.bin": b"\0\1",
    }
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as tar:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as zip:
        for name, data in members.items():
            zip.writestr(name, data)
    for name in ("a.tar.gz", "a.zip"):
        quarantine = Quarantine()
        (file,) = find_files([str(tmp_path / name)])
        assert read(file, quarantine) == ["1:1", "2:b"], quarantine.records
        assert [item.source.split("!")[1] for item in quarantine.records] == ["x/a.jsonl", "d.bin"]
    (tmp_path / "a.tar.gz").write_bytes((tmp_path / "a.tar.gz").read_bytes()[:-60])
    quarantine = Quarantine()
    read(find_files([str(tmp_path / "a.tar.gz")])[0], quarantine)
    assert "damaged" in quarantine.records[-1].reason


def test_addresses_are_read_like_files(tmp_path: Path) -> None:
    fsspec = pytest.importorskip("fsspec")
    files = fsspec.filesystem("memory")
    path = pubmed(tmp_path / "pubmed24n0001.xml.gz", map(article, (5, 6)))
    files.pipe({"/bulk/pubmed24n0001.xml.gz": path.read_bytes(), "/bulk/b.jsonl": json.dumps("gout").encode()})
    found = find_files(["memory://bulk"])
    assert [file.address for file in found] == ["memory:///bulk/b.jsonl", "memory:///bulk/pubmed24n0001.xml.gz"]
    assert [read(file) for file in found] == [["1:1"], ["1:5", "2:6"]]
    assert content_hash(found[1]) == content_hash(find_files([str(path)])[0])
    assert stamp_of(found[1].address) == found[1].stamp
    assert len(find_files(["memory://bulk/*.gz"])) == 1
    with pytest.raises(InputError):
        find_files(["nosuchkind://bucket/a.xml"])


def test_a_brat_folder_is_one_input_and_its_hash_sees_every_file(tmp_path: Path) -> None:
    (tmp_path / "1.txt").write_text("gout")
    (tmp_path / "1.ann").write_text("T1\tDisease 0 4\tgout\n")
    (file,) = find_files([str(tmp_path)])
    assert read(file) == ["1:1"]
    before = content_hash(file)
    (tmp_path / "1.ann").write_text("T1\tChemical 0 4\tgout\n")
    assert content_hash(file) != before


def test_files_beside_data_are_counted(tmp_path: Path) -> None:
    for name in ("a.txt", "a.txt.md5", "_SUCCESS", ".hidden", "out/.lock", "b/_temporary/c"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("No gout was seen.")
    assert num_beside([str(tmp_path), str(tmp_path), str(tmp_path / "a.txt")], tmp_path / "out") == 4
    assert "1 files, 4 passed over (hidden, checksums, markers)" in plan_line(Plan(new=1, beside=4), Totals())
