"""What is read of folders, archives and lists of names: each text once, and nothing that lies beside data."""

from __future__ import annotations

import io
import json
import tarfile
import zipfile
from pathlib import Path

import pytest
from typer.testing import CliRunner

from textome.bulk.inputs import documents_of, find_files, format_of
from textome.bulk.stored import StoredSource
from textome.cli.main import application
from textome.cli.streams import read_all
from textome.corpus.inputs import Parts
from textome.errors import InputError
from textome.formats import Quarantine, expand_inputs, read_documents, read_inputs
from textome.formats.reading.folders import hash_of, inputs_in, lies_beside, once

ANN = "T1\tDisease 0 4\tGout\nT2\tDisease 9 15\tasthma\nR1\tAssoc Arg1:T1 Arg2:T2\t\n"
TEXT = "Gout and asthma.\n"
A1, A2 = (
    "T1\tProtein 0 3\tp53\nT2\tProtein 10 14\tMDM2\n",
    "T3\tBinding 4 9\tbinds\nE1\tBinding:T3 Theme:T1 Theme2:T2\n",
)
BESIDE = ("_SUCCESS", "a.txt.md5", "a.sha256", ".part.crc", "Thumbs.db", "_committed_12", "_metadata", "desktop.ini")


def make(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def bulk_ids(*inputs: str) -> tuple[list[str], Quarantine]:
    quarantine, found = Quarantine(), []
    for file in find_files(inputs):
        source = StoredSource.at(file.address, file.name)
        found += [item.id for _, item in documents_of(source, format_of(file, None), None, quarantine)]
    return found, quarantine


def corpus_names(folder: Path, *inputs: str) -> list[str]:
    return [Path(file.name).name for part in Parts(inputs, Quarantine(), folder) for file in part.files]


def test_given_and_wanted_annotations_of_the_bionlp_tasks_are_one_document(tmp_path: Path) -> None:
    folder = make(tmp_path, {"a.txt": "p53 binds MDM2 strongly.\n", "a.a1": A1, "a.a2": f"{A2}M1\tNegation E1\n"})
    for place in (folder, folder / "a.a1", folder / "a.a2"):
        (document,) = read_documents(place)
        assert [entity.text for entity in document.entities] == ["p53", "MDM2", "binds"]
        (event,) = document.relations
        assert event.arguments == (("trigger", "T3"), ("Theme", "T1"), ("Theme2", "T2"))
    make(tmp_path, {"a.a2": A2.replace("binds", "bonds")})
    with pytest.raises(InputError, match=r"line 1 of a\.a2: T3 says 'bonds'"):
        list(read_documents(folder))


@pytest.mark.parametrize("files", [{"a.txt": TEXT, "a.ann": ANN}, {"a.txt": TEXT, "a.a1": ANN, "a.a2": "\n"}])
def test_every_entrance_gives_each_text_once(files: dict[str, str], tmp_path: Path) -> None:
    """The folder, all its files by name, and a glob."""
    folder = make(tmp_path / "own", files | {"annotation.conf": "[entities]\nDisease\n"})
    names = sorted(str(path) for path in folder.glob("a.*"))
    for inputs in ([str(folder)], names, names[::-1]):
        documents = list(read_all(inputs, None, Quarantine()))
        assert [(item.id, len(item.entities)) for item in documents] == [("a", 2)]
        assert bulk_ids(*inputs)[0] == ["a"]
    assert bulk_ids(f"{folder}/a.*")[0] == ["a"]
    assert len(corpus_names(tmp_path, *names)) == 1
    assert corpus_names(tmp_path, str(folder)) == ["a.txt"]


def test_other_files_of_a_folder_with_annotations_are_not_lost(tmp_path: Path) -> None:
    make(tmp_path, {"a.txt": TEXT, "a.ann": ANN, "more/b.jsonl": '{"id": "b", "text": "Ague."}\n', "c.txt": "Flu."})
    assert inputs_in(tmp_path) == [tmp_path, tmp_path / "more" / "b.jsonl"]
    expected = ["a", "c", "b"]
    assert [item.id for item in read_all([str(tmp_path)], None, Quarantine())] == expected
    assert bulk_ids(str(tmp_path))[0] == expected


def test_what_lies_beside_data_is_no_input(tmp_path: Path) -> None:
    make(tmp_path, dict.fromkeys(BESIDE, "x") | {"year=2019/part-0.jsonl": '"Gout."\n', "_delta_log/0.json": "{}"})
    assert [Path(place).name for place in expand_inputs([str(tmp_path)])] == ["part-0.jsonl"]
    ids, quarantine = bulk_ids(str(tmp_path))
    assert (ids, quarantine.count) == (["1"], 0)
    assert corpus_names(tmp_path / "none", str(tmp_path)) == ["part-0.jsonl"]
    assert not any(map(lies_beside, ("a/_notes.txt", "md5.txt", "success.txt")))


def archive(path: Path, names: dict[str, str]) -> str:
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w") as packed:
            for name, text in names.items():
                packed.writestr(name, text)
    else:
        with tarfile.open(path, "w:gz") as packed_tar:
            for name, text in names.items():
                about = tarfile.TarInfo(name)
                about.size = len(text)
                packed_tar.addfile(about, io.BytesIO(text.encode()))
    return str(path)


@pytest.mark.parametrize("ending", [".zip", ".tar.gz"])
def test_archives_are_read_alike_and_none_leads_out_of_itself(ending: str, tmp_path: Path) -> None:
    good = archive(tmp_path / f"good{ending}", {"x/a.txt": "Gout.", "b.jsonl": '"Ague."\n', "_SUCCESS": ""})
    assert sorted(item.text for item in read_all([good], None, Quarantine())) == ["Ague.", "Gout."]
    assert len(bulk_ids(good)[0]) == 2
    bad = archive(tmp_path / f"bad{ending}", {"../a.txt": "Gout."})
    with pytest.raises(InputError, match="leaves the archive's folder"):
        list(read_all([bad], None, Quarantine()))
    ids, quarantine = bulk_ids(bad)
    assert ids == []
    assert "leaves the archive's folder" in quarantine.records[0].reason


def test_the_hash_of_a_text_with_annotations_sees_both(tmp_path: Path) -> None:
    make(tmp_path, {"a.txt": TEXT, "a.ann": ANN})
    before = [hash_of(tmp_path), hash_of(tmp_path / "a.ann"), hash_of(tmp_path / "a.txt")]
    make(tmp_path, {"a.ann": ANN.replace("R1", "R2")})
    after = [hash_of(tmp_path), hash_of(tmp_path / "a.ann"), hash_of(tmp_path / "a.txt")]
    assert [a == b for a, b in zip(before, after, strict=True)] == [False, False, True]


def test_names_stay_in_their_order() -> None:
    assert once(["b.txt", "a.txt", "a.ann", "b.txt", "c.ann"]) == ["b.txt", "a.ann", "c.ann"]


def test_a_column_of_texts_is_named_at_every_entrance(tmp_path: Path) -> None:
    path = make(tmp_path, {"a.csv": "nr,story\n1,Gout hurts the big toe of many old men.\n"}) / "a.csv"
    source = StoredSource.at(str(path), "a.csv")
    assert len(list(documents_of(source, "csv", None, Quarantine(), "story"))) == 1
    for verb in ("convert", "preprocess"):
        output = tmp_path / verb
        further = ["--to", "jsonl"] if verb == "convert" else ["--min-words", "1", "--workers", "1"]
        arguments = [verb, str(path), "--output", str(output), *further]
        refused = CliRunner().invoke(application(), arguments)
        assert isinstance(refused.exception, InputError)
        assert "--text-column NAME" in str(refused.exception)
        done = CliRunner().invoke(application(), [*arguments, "--from", "csv", "--text-column", "story"])
        assert done.exit_code == 0, done.output


def test_preprocess_reports_what_it_quarantined_and_passed_over(tmp_path: Path) -> None:
    """A file that no format reads ends no run over a folder; a stray control character makes no file binary."""
    words = "Gout hurts the big toe of many old men."
    folder = make(
        tmp_path / "in",
        {
            "a.jsonl": f'{{"text": "{words}", "answer": "accept"}}\n{{"text": "x", "answer": "reject"}}\n{{"text": 5}}\n',
            "b.bib": "@article{a, title={Gout}}\n",
            "c.txt": "Ague\x00 shakes the bones of many young women.",
            "d.csv": "\rGout",
        },
    )
    done = CliRunner().invoke(
        application(),
        ["preprocess", str(folder), "-o", str(tmp_path / "out"), "--min-words", "1", "--workers", "1", "--json"],
    )
    assert done.exit_code == 1
    assert json.loads(done.stdout)["kept"] == 2
    assert "a.jsonl, line 3: text: expected a text, found the number 5" in done.stderr
    assert "b.bib: this is BibTeX" in done.stderr
    assert "passed over: 1, rejected by the annotator" in done.stderr


def test_texts_beside_a_folder_with_annotations_are_texts_of_their_own(tmp_path: Path) -> None:
    """A folder of many things, of which one is a brat corpus, hides no table and no text."""
    for name, text in (
        ("corpus/a.txt", "No gout was seen."),
        ("corpus/a.ann", "T1\tDisease 3 7\tgout\n"),
        ("corpus/more/b.txt", "No asthma was seen."),
        ("note.txt", "No malaria was seen."),
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "table.txt").write_bytes("id\ttitle\tabstract\n1\tGout\tIt hurts.\n".encode("utf-16"))
    quarantine = Quarantine()
    documents = list(read_inputs(expand_inputs([str(tmp_path)]), None, quarantine))
    assert quarantine.count == 0
    found = [(item.id, len(item.entities)) for item in documents]
    assert found == [("corpus/a", 1), ("corpus/more/b", 0), ("note", 0), ("1", 0)]
