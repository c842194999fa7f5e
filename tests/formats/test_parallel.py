"""Parallel texts: what belongs together stays together, and a pair that is not whole is told."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from textome.datasets.parallel import Pair, read_pairs
from textome.errors import InputError
from textome.formats.reading.sources import Quarantine

TMX = """<?xml version="1.0" encoding="UTF-8"?>
<tmx version="1.4"><header/><body>
<tu tuid="a:1"><tuv xml:lang="en"><seg>The <bpt i="1">&lt;b&gt;</bpt>fever
 fell.</seg></tuv><tuv xml:lang="pt-BR"><seg>A febre caiu.</seg></tuv></tu>
<tu tuid="a:2"><tuv xml:lang="en"><seg>Rest.</seg></tuv></tu>
<tu tuid="a:3"><tuv xml:lang="en"><seg>Drink.</seg></tuv><tuv xml:lang="PT"><seg>Beba.</seg></tuv></tu>
</body></tmx>"""


def test_lines_of_two_files(tmp_path: Path) -> None:
    (tmp_path / "a.en.gz").write_bytes(gzip.compress("one\u2028two\n three \n\n".encode()))
    (tmp_path / "a.de.gz").write_bytes(gzip.compress(b"eins\r\ndrei\nvier\n"))
    quarantine = Quarantine()
    pairs = list(read_pairs(str(tmp_path / "a.{}.gz"), "en", "de", quarantine))
    assert pairs == [Pair("1", "one\u2028two", "eins"), Pair("2", "three", "drei")]
    assert "pair 3" in str(quarantine.records[0])
    (tmp_path / "b.en").write_text("one\ntwo\n")
    (tmp_path / "b.de").write_text("eins\n")
    with pytest.raises(InputError, match="differ in their number of lines; one ends after 1"):
        list(read_pairs(str(tmp_path / "b.{}"), "en", "de", Quarantine()))
    with pytest.raises(InputError, match=r"expected a \.tmx file, or two files"):
        list(read_pairs(str(tmp_path / "b.en"), "en", "de", Quarantine()))


def test_a_translation_memory(tmp_path: Path) -> None:
    path = tmp_path / "a.tmx"
    path.write_text(TMX)
    quarantine = Quarantine()
    assert list(read_pairs(str(path), "en", "pt", quarantine)) == [
        Pair("a:1", "The <b>fever fell.", "A febre caiu."),
        Pair("a:3", "Drink.", "Beba."),
    ]
    assert "there is no text in pt" in str(quarantine.records[0])
    both = [item.id for part in ("0-50%", "50-100%") for item in read_pairs(f"{path}#{part}", "pt", "en", Quarantine())]
    assert sorted(both) == ["a:1", "a:3"]
    with pytest.raises(InputError, match="there is no text in 'de'"):
        list(read_pairs(str(path), "en", "de", Quarantine()))


def test_entities_of_a_file_are_not_read(tmp_path: Path) -> None:
    path = tmp_path / "a.tmx"
    path.write_text(TMX.replace("<tmx ", '<!DOCTYPE tmx [<!ENTITY x SYSTEM "file:///etc/passwd">]><tmx '))
    quarantine = Quarantine()
    with pytest.raises(InputError, match="there is no text in 'en'"):
        list(read_pairs(str(path), "en", "pt", quarantine))
    assert "declares the entity" in str(quarantine.records[0])


def test_medical_sentences(shared_data: Path) -> None:
    path = shared_data / "mt" / "TICO-19" / "all.en-fr.tmx"
    quarantine = Quarantine()
    pairs = list(read_pairs(str(path), "en", "fr", quarantine))
    assert len(pairs) + quarantine.count == 3071
    assert pairs[0].source == "about how long have these symptoms been going on?"
