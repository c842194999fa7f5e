"""Corpora on disk: what was written is read, and what is damaged is named."""

from __future__ import annotations

import errno
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from textome.corpus.store import Corpus, is_corpus, write_description, write_shard
from textome.errors import InputError
from textome.text.tokenization import Tokenizer
from tiny import make_base, make_texts


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory) -> Tokenizer:
    return Tokenizer.load(make_base(tmp_path_factory.mktemp("base") / "base"))


def build(folder: Path, tokenizer: Tokenizer, *shards: list[list[str]]) -> Path:
    rows = [write_shard(folder, number, documents, tokenizer) for number, documents in enumerate(shards)]
    write_description(folder, tokenizer, rows, {"made": "by a test"})
    return folder


def test_documents_come_back_by_number_from_any_shard(tmp_path, tokenizer):
    first, second = make_texts(5, 0), make_texts(7, 1)
    corpus = Corpus.open(build(tmp_path / "c", tokenizer, first, second), tokenizer)
    assert corpus.num_documents == 12
    assert list(corpus.texts()) == first + second
    for number, document in enumerate(first + second):
        expected = [tokens.ids for tokens in tokenizer.encode(document)]
        found = corpus.document(number)
        assert all(np.array_equal(one, other) for one, other in zip(found, expected, strict=True))
    assert corpus.num_tokens == sum(len(ids) for number in range(12) for ids in corpus.document(number))
    with pytest.raises(IndexError, match="12 documents"):
        corpus.document(12)
    corpus.verify()


def test_arrays_are_mapped_and_not_read(tmp_path, tokenizer):
    corpus = Corpus.open(build(tmp_path / "c", tokenizer, make_texts(3)))
    assert isinstance(corpus.shards[0].tokens, np.memmap)
    assert corpus.shards[0].tokens.dtype == np.uint16


@settings(max_examples=40, deadline=None)
@given(documents=st.lists(st.lists(st.text(st.characters(exclude_categories=["Cs"]))), max_size=4))
def test_any_text_keeps_its_documents_apart(tmp_path_factory, tokenizer, documents):
    folder = build(tmp_path_factory.mktemp("c"), tokenizer, documents)
    squeezed = [[" ".join(item.split()) for item in document if item.split()] for document in documents]
    corpus = Corpus.open(folder, tokenizer)
    assert list(corpus.texts()) == [document for document in squeezed if document]
    assert corpus.num_documents == len(list(corpus.texts()))


def test_an_unfinished_corpus_is_refused(tmp_path, tokenizer):
    write_shard(tmp_path / "half", 0, make_texts(3), tokenizer)
    assert not is_corpus(tmp_path / "half")
    with pytest.raises(InputError, match="not finished"):
        Corpus.open(tmp_path / "half")
    with pytest.raises(InputError, match="not a corpus"):
        Corpus.open(tmp_path / "nothing")


def test_another_tokenizer_is_refused(tmp_path, tokenizer):
    folder = build(tmp_path / "c", tokenizer, make_texts(3))
    other = make_base(tmp_path / "other")
    path = other / "tokenizer.json"
    path.write_text(path.read_text().replace('"##9"', '"##@"'))
    with pytest.raises(InputError, match="another tokenizer"):
        Corpus.open(folder, Tokenizer.load(other))


@pytest.mark.parametrize("part", ["tokens", "sentences", "documents"])
def test_a_cut_shard_is_named(tmp_path, tokenizer, part):
    folder = build(tmp_path / "c", tokenizer, make_texts(30))
    path = folder / f"shard-00000.{part}.npy"
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(InputError, match=f"shard-00000.{part}"):
        Corpus.open(folder)


def test_a_changed_file_is_found_by_its_hash(tmp_path, tokenizer):
    folder = build(tmp_path / "c", tokenizer, make_texts(3))
    path = folder / "shard-00000.tokens.npy"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"tokens\.npy: the file is not what was written"):
        Corpus.open(folder).verify()


def test_a_full_disk_leaves_nothing_of_the_shard(tmp_path, tokenizer, monkeypatch):
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("textome.corpus.store.gzip.GzipFile", full)
    with pytest.raises(InputError, match=r"No space left on device\); make room"):
        write_shard(tmp_path / "c", 0, make_texts(3), tokenizer)
    assert list((tmp_path / "c").iterdir()) == []


def test_the_same_documents_give_the_same_bytes(tmp_path, tokenizer):
    one, two = (build(tmp_path / name, tokenizer, make_texts(9)) for name in ("one", "two"))
    for path in one.iterdir():
        assert path.read_bytes() == (two / path.name).read_bytes()
