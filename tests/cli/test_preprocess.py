"""`textome preprocess` as a user runs it."""

from __future__ import annotations

import builtins
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from corpus_texts import make_tokenizer, text
from textome.cli.main import main
from textome.corpus.store import Corpus


def run(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *arguments: object
) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "argv", ["textome", "preprocess", *map(str, arguments)])
    code = 0
    try:
        main()
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else 0
    captured = capsys.readouterr()
    return code, captured.out, captured.err


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    folder.mkdir()
    for seed in range(8):
        (folder / f"{seed}.txt").write_text(text(seed))
    (folder / "9.txt").write_text("short")
    return folder


def test_a_corpus_and_its_report(
    texts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = make_tokenizer(tmp_path / "model")
    test_set = tmp_path / "test.txt"
    test_set.write_text(text(3))
    options = ("--tokenizer", model, "--workers", 1, "--exclude", test_set, "--language", "en")
    code, out, _ = run(capsys, monkeypatch, texts, "--output", tmp_path / "a", *options)
    assert code == 0
    for line in (
        "documents read",
        "dropped: too short",
        "dropped: leakage",
        f"{tmp_path.name}/test.txt",
        "documents/s",
    ):
        assert line in out
    code, out, err = run(
        capsys,
        monkeypatch,
        texts,
        "-o",
        tmp_path / "b",
        "--json",
        *options,
        "--bag-of-words",
        tmp_path / "w",
        "--resume",
    )
    assert err.startswith(f"{tmp_path}/b: no build to resume; it starts from the beginning\n")
    report = json.loads(out)
    assert (code, report["read"], report["kept"], report["dropped"]) == (0, 9, 7, {"leakage": 1, "too short": 1})
    assert report["documents_per_second"] > 0
    assert Corpus.open(tmp_path / "b").num_tokens == report["tokens"]
    assert len((tmp_path / "w").read_text().splitlines()) == 7


def test_bad_records_are_told_and_change_the_exit_code(
    texts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (texts / "latin.txt").write_bytes("naïve".encode("latin-1"))
    model = make_tokenizer(tmp_path / "model")
    code, out, err = run(capsys, monkeypatch, texts, "-o", tmp_path / "a", "--tokenizer", model, "--workers", 1)
    assert code == 1
    assert "latin.txt: not UTF-8" in err
    assert "records quarantined" in out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--drop-stop-words",), "--drop-stop-words is for --bag-of-words FILE only: a language model reads"),
        (("--dedup", "some"), "choose one of none, exact, near"),
        (("--from", "docx"), "choose one of pubmed-xml, jats"),
        (("--replace", "x"), "write it as OLD=NEW"),
        (("--exclude", "none.tsv"), "none.tsv: no such file"),
        (("--tokenizer", "no/such/model"), "no/such/model"),
    ],
)
def test_wrong_usage_is_one_sentence_and_leaves_nothing(
    options: tuple[str, ...],
    message: str,
    texts: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    code, out, err = run(capsys, monkeypatch, texts, "-o", tmp_path / "a", "--workers", 1, *options)
    assert (code, out) == (2, "")
    assert message in err
    assert "Traceback" not in err
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize(
    ("package", "options"), [("datasketch", ()), ("ftfy", ()), ("py3langid", ("--language", "en"))]
)
def test_a_missing_package_is_named_with_its_extra(
    package: str,
    options: tuple[str, ...],
    texts: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any, **named: Any) -> Any:
        if name.partition(".")[0] == package:
            raise ImportError(name)
        return real(name, *rest, **named)

    monkeypatch.setattr(builtins, "__import__", without)
    code, _, err = run(capsys, monkeypatch, texts, "-o", tmp_path / "a", "--workers", 1, *options)
    assert code == 3
    assert "pip install 'textome[corpus]'" in err
    assert not (tmp_path / "a").exists()


def test_standard_input_is_read_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import io

    model = make_tokenizer(tmp_path / "model")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(f"{text(1)}\n\n{text(2)}".encode())))
    options = ("--tokenizer", model, "--workers", 1, "--blank-lines", "--json")
    code, out, _ = run(capsys, monkeypatch, "-", "-o", tmp_path / "a", *options)
    assert (code, json.loads(out)["kept"]) == (0, 2)
    code, _, err = run(capsys, monkeypatch, "-", "-o", tmp_path / "b", *options, "--resume")
    assert code == 2
    assert "standard input" in err
