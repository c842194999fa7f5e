"""Building a corpus: nothing is lost uncounted, and neither stops nor the number of processes change the outcome."""

from __future__ import annotations

import gzip
import io
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from corpus_texts import make_tokenizer, text
from textome.corpus import build as building
from textome.corpus import parts
from textome.corpus.build import Settings, build
from textome.corpus.ledger import UnfinishedError
from textome.corpus.parts import Reading
from textome.corpus.pipeline import Steps
from textome.corpus.store import Corpus
from textome.errors import InputError
from textome.formats.reading import compression
from textome.text.tokenization import Tokenizer


@pytest.fixture(scope="module")
def vocabulary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tokenizer(tmp_path_factory.mktemp("model"))


@pytest.fixture(autouse=True)
def _no_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def jsonl(path: Path, texts: Mapping[str, str] | list[str]) -> Path:
    named = texts if isinstance(texts, Mapping) else {f"d{number}": text for number, text in enumerate(texts)}
    path.write_text("".join(json.dumps({"id": id, "text": text}) + "\n" for id, text in named.items()))
    return path


def tar(path: Path, members: Mapping[str, bytes], mode: str = "w:gz") -> Path:
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def sentences_of(folder: Path) -> list[list[str]]:
    return list(Corpus.open(folder).texts())


def inputs(folder: Path) -> list[str]:
    """Files of several kinds, doubles, short texts, and bad records among them."""
    folder.mkdir(parents=True)
    jsonl(folder / "a.jsonl", [text(seed) for seed in range(30)] + ["too short"] + [text(3), text(4)])
    with (folder / "a.jsonl").open("a") as stream:
        stream.write("{broken\n")
    for seed in range(30, 50):
        (folder / f"{seed}.txt").write_text(text(seed))
    members = {f"in/{seed}.txt": text(seed).encode() for seed in range(45, 70)} | {"in/image.png": b"\x89PNG\x00\x00"}
    return [str(folder), str(tar(folder.parent / "more.tar.xz", members, "w:xz"))]


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many small parts and chunks, as large inputs have them."""
    monkeypatch.setattr("textome.corpus.inputs.PART_FILES", 7)
    monkeypatch.setattr(parts, "CHUNK_DOCUMENTS", 4)


SMALL = Settings(shard_words=400)


@pytest.mark.usefixtures("small_pieces")
def test_every_document_is_kept_or_counted(tmp_path: Path, vocabulary: Path) -> None:
    report = build(inputs(tmp_path / "in"), tmp_path / "corpus", vocabulary, SMALL)
    counts = report.counts
    assert counts.read == 33 + 20 + 25
    assert counts.dropped == {"too short": 1, "exact double": 2 + 5}
    assert counts.kept == counts.read - sum(counts.dropped.values()) == 70
    assert (report.quarantine.count, report.skipped_files) == (1, 1)
    assert "a.jsonl" in str(report.quarantine.records[0])
    corpus = Corpus.open(tmp_path / "corpus", Tokenizer.load(vocabulary))
    corpus.verify()
    assert corpus.num_documents == 70
    assert len(corpus.shards) == report.shards > 3
    assert corpus.num_tokens == report.tokens
    assert not (tmp_path / "corpus" / ".work").exists()
    found = sentences_of(tmp_path / "corpus")
    # In the order of the inputs: the folder's files by name, then the archive; of doubles the first.
    assert [" ".join(document) for document in found] == [text(s) for s in [*range(30, 50), *range(30), *range(50, 70)]]
    assert sum(len(document) for document in found) == report.sentences
    assert corpus.described["settings"]["report"]["dropped"] == counts.dropped
    tokens = Tokenizer.load(vocabulary).encode(found[17])
    for mapped, expected in zip(corpus.document(17), tokens, strict=True):
        assert mapped.tolist() == expected.ids.tolist()


class Killed(BaseException):
    """Stands for a kill: nothing in the code may catch it."""


def stopped_after(events: int) -> Callable[[dict[str, Any]], None]:
    left = [events]

    def tell(event: dict[str, Any]) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise Killed

    return tell


@pytest.mark.usefixtures("small_pieces")
@pytest.mark.parametrize("bag", [False, True])
def test_a_stopped_build_ends_in_the_same_corpus(tmp_path: Path, vocabulary: Path, bag: bool) -> None:
    given_inputs = inputs(tmp_path / "in")
    chosen = Settings(shard_words=400, bag_of_words=bag)
    words = tmp_path / "words.jsonl" if bag else None
    expected = build(given_inputs, tmp_path / "whole", vocabulary, chosen, bag_of_words=words)
    whole_words = words.read_bytes() if words else b""
    stops = 0
    while True:
        try:
            report = build(
                given_inputs,
                tmp_path / "stopped",
                vocabulary,
                chosen,
                bag_of_words=words,
                resume=stops > 0,
                tell=stopped_after(stops),
            )
            break
        except Killed:
            stops += 1
            assert not (tmp_path / "stopped" / "corpus.json").exists()
            # What a kill in the middle of a write leaves must not matter.
            (tmp_path / "stopped" / ".work" / ".part-00000-000.words.npy.partial").write_bytes(b"half")
            (tmp_path / "stopped" / ".shard-00000.tokens.npy.partial").write_bytes(b"half")
    assert stops > 10
    assert files_of(tmp_path / "stopped") == files_of(tmp_path / "whole")
    assert report.as_dict() == expected.as_dict()
    assert (words.read_bytes() if words else b"") == whole_words


@pytest.mark.usefixtures("small_pieces")
def test_a_part_that_was_half_done_goes_on_at_its_last_chunk(tmp_path: Path, vocabulary: Path) -> None:
    source = jsonl(tmp_path / "a.jsonl", [text(seed) for seed in range(40)])
    build([str(source)], tmp_path / "whole", vocabulary, SMALL)
    with pytest.raises(Killed):
        build([str(source)], tmp_path / "half", vocabulary, SMALL, tell=stopped_after(1))
    work = tmp_path / "half" / ".work"
    (work / "part-00000.json").unlink()
    for path in work.glob("part-00000-00[3-9]*"):
        path.unlink()
    before = (work / "part-00000-002.jsonl.gz").stat().st_mtime_ns
    with pytest.raises(Killed):
        build([str(source)], tmp_path / "half", vocabulary, SMALL, resume=True, tell=stopped_after(1))
    assert (work / "part-00000-002.jsonl.gz").stat().st_mtime_ns == before
    build([str(source)], tmp_path / "half", vocabulary, SMALL, resume=True)
    assert files_of(tmp_path / "half") == files_of(tmp_path / "whole")


def test_two_processes_make_what_one_makes(tmp_path: Path, vocabulary: Path) -> None:
    given_inputs = inputs(tmp_path / "in")
    test_set = jsonl(tmp_path / "test.jsonl", [text(9), text(33)])
    one = build(given_inputs, tmp_path / "one", vocabulary, SMALL, [str(test_set)], workers=1)
    two = build(given_inputs, tmp_path / "two", vocabulary, SMALL, [str(test_set)], workers=2)
    assert one.as_dict() == two.as_dict()
    assert one.counts.leaked == {f"{tmp_path.name}/test.jsonl": one.counts.dropped["leakage"]}
    assert one.counts.dropped["leakage"] >= 2
    assert files_of(tmp_path / "one") == files_of(tmp_path / "two")


PROGRAM = """
import sys
from pathlib import Path
from textome.corpus import inputs as reading
from textome.corpus.build import Settings, build
reading.PART_FILES = 2
if __name__ == "__main__":
    inputs, output, vocabulary, workers, resume = sys.argv[1:]
    chosen = Settings(shard_words=40000)
    build([inputs], Path(output), Path(vocabulary), chosen, workers=int(workers), resume=bool(int(resume)))
"""


def test_a_killed_process_leaves_nobody_behind_and_goes_on(tmp_path: Path, vocabulary: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for number in range(12):
        jsonl(folder / f"{number:02}.jsonl", [text(100 * number + seed, 12) for seed in range(60)])
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    command = [sys.executable, str(program), str(folder), str(tmp_path / "out"), str(vocabulary), "2"]
    with subprocess.Popen([*command, "0"]) as process:
        work = tmp_path / "out" / ".work"
        deadline = time.monotonic() + 60
        while not list(work.glob("part-00000-*")) and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        workers = _children(process.pid)
        process.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 10
    while any(_runs(worker) for worker in workers) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(_runs(worker) for worker in workers)
    if (tmp_path / "out" / "corpus.json").exists():
        pytest.skip("the build was quicker than the kill")
    subprocess.run([*command, "1"], check=True)
    build([str(folder)], tmp_path / "whole", vocabulary, Settings(shard_words=40000))
    assert files_of(tmp_path / "out") == files_of(tmp_path / "whole")


def _children(pid: int) -> list[int]:
    found = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(child) for child in found.read_text().split()] if found.exists() else []


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_full_disk_is_one_sentence_and_what_is_done_is_kept(tmp_path: Path, vocabulary: Path) -> None:
    """A limit on the size of files stands for the disk: the second input does not fit."""
    small = jsonl(tmp_path / "a.jsonl", [text(seed) for seed in range(10)])
    generator = random.Random(5)
    large = tmp_path / "b.txt"
    large.write_text(" ".join(f"{generator.randrange(10**9):x} is the name" for _ in range(10_000)))
    given_inputs = [str(tmp_path / "in"), str(large)]
    shutil.copytree(small.parent, tmp_path / "in", ignore=lambda *_: ["in", "b.txt"])
    steps = Settings(Steps(quality=None))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, before[1]))
    try:
        with pytest.raises(UnfinishedError, match="make room and go on with --resume"):
            build(given_inputs, tmp_path / "out", vocabulary, steps)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    left = [path.name for path in (tmp_path / "out").rglob("*")]
    assert not [name for name in left if "partial" in name]
    with pytest.raises(InputError, match="the corpus was not finished"):
        Corpus.open(tmp_path / "out")
    build(given_inputs, tmp_path / "out", vocabulary, steps, resume=True)
    build(given_inputs, tmp_path / "whole", vocabulary, steps)
    assert files_of(tmp_path / "out") == files_of(tmp_path / "whole")


def test_other_settings_inputs_or_tokenizers_do_not_go_on(tmp_path: Path, vocabulary: Path) -> None:
    source = jsonl(tmp_path / "a.jsonl", [text(seed) for seed in range(10)])
    output = tmp_path / "out"
    with pytest.raises(Killed):
        build([str(source)], output, vocabulary, tell=stopped_after(1))
    with pytest.raises(InputError, match="half-built corpus; go on with --resume"):
        build([str(source)], output, vocabulary)
    with pytest.raises(InputError, match=r"other settings \(steps.lowercase: then False, now True\)"):
        build([str(source)], output, vocabulary, Settings(Steps(lowercase=True)), resume=True)
    with pytest.raises(InputError, match="other tokenizer"):
        build([str(source)], output, make_tokenizer(tmp_path / "other", "abc"), resume=True)
    jsonl(source, [text(seed) for seed in range(11)])
    with pytest.raises(InputError, match="the inputs have changed"):
        build([str(source)], output, vocabulary, resume=True)
    jsonl(source, [text(seed) for seed in range(10)])
    build([str(source)], output, vocabulary, resume=True)
    with pytest.raises(InputError, match="finished corpus already"):
        build([str(source)], output, vocabulary, resume=True)
    with pytest.raises(InputError, match="cut by another tokenizer"):
        Corpus.open(output, Tokenizer.load(tmp_path / "other"))
    with pytest.raises(InputError, match="holds other files"):
        build([str(source)], tmp_path, vocabulary)


def climbing_zip(path: Path) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("../../climbs.txt", text(1))
    return path


def bomb(path: Path) -> Path:
    with tarfile.open(path, "w:xz") as archive:
        info = tarfile.TarInfo("zeros.txt")
        info.size = 3 * 1024**2

        class Zeros(io.RawIOBase):
            def read(self, size: int = -1) -> bytes:
                return bytes(size)

        archive.addfile(info, Zeros())
    return path


def texts_in_tar(path: Path, mode: str) -> Path:
    return tar(path, {f"{seed}.txt": text(seed).encode() for seed in range(20)}, mode)


def cut(path: Path, size: int = 0) -> Path:
    data = path.read_bytes()
    path.write_bytes(data[: size or len(data) // 2])
    return path


HOSTILE: dict[str, tuple[Callable[[Path], Path], str]] = {
    "a path that climbs": (
        lambda p: tar(p, {"a.txt": text(1).encode(), "../b.txt": b"x"}),
        "leaves the archive's folder",
    ),
    "an absolute path": (lambda p: tar(p, {"/etc/b.txt": b"x"}), "leaves the archive's folder"),
    "a zip that climbs": (climbing_zip, "leaves the archive's folder"),
    "a bomb": (bomb, "unpacks to more than 200 times its size"),
    "half an archive": (lambda p: cut(texts_in_tar(p, "w")), "cut short or damaged"),
    "half a compressed archive": (lambda p: cut(texts_in_tar(p, "w:gz")), "cut short or damaged"),
    "an archive without its end": (lambda p: cut(texts_in_tar(p, "w"), 3 * 1024), "its end is missing"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_archive_is_one_sentence_and_leaves_nothing(
    name: str, tmp_path: Path, vocabulary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compression, "RATIO_COUNTS_FROM", 1024**2)
    make, message = HOSTILE[name]
    archive = make(tmp_path / "archive.tar")
    before = files_of(tmp_path)
    with pytest.raises(InputError, match=message) as caught:
        build([str(archive)], tmp_path / "out", vocabulary)
    assert str(archive) in str(caught.value)
    assert files_of(tmp_path) == before
    assert not (tmp_path / "out").exists()
    # Beside a good input it is set aside, and the good one is done.
    good = tmp_path / "good.txt"
    good.write_text(text(500))
    report = build([str(archive), str(good)], tmp_path / "out", vocabulary)
    assert report.quarantine.count == 1
    assert message in str(report.quarantine.records[0])
    assert [text(500)] == [" ".join(document) for document in sentences_of(tmp_path / "out")][-1:]


def test_a_compressed_bomb_is_set_aside(tmp_path: Path, vocabulary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compression, "RATIO_COUNTS_FROM", 1024**2)
    path = tmp_path / "zeros.txt.gz"
    with gzip.open(path, "wb", compresslevel=9) as stream:
        for _ in range(3):
            stream.write(b"a" * 1024**2)
    with pytest.raises(InputError, match="unpacks to more than 200 times its size"):
        build([str(path)], tmp_path / "out", vocabulary)
    assert not (tmp_path / "out").exists()


def test_nothing_left_is_an_error_that_says_why(tmp_path: Path, vocabulary: Path) -> None:
    (tmp_path / "a.txt").write_text("Short.")
    with pytest.raises(InputError, match=r"of 1 documents none is left \(1 too short\)"):
        build([str(tmp_path / "a.txt")], tmp_path / "out", vocabulary)
    with pytest.raises(InputError, match="no such file"):
        build([str(tmp_path / "b.txt")], tmp_path / "out", vocabulary)
    (tmp_path / "c.bin").write_bytes(bytes(range(256)))
    with pytest.raises(InputError, match="no document could be read; 1 quarantined"):
        build([str(tmp_path / "c.bin")], tmp_path / "out", vocabulary)
    assert not (tmp_path / "out").exists()


def test_a_corpus_is_cut_anew_for_another_vocabulary(tmp_path: Path, vocabulary: Path) -> None:
    source = jsonl(tmp_path / "a.jsonl", [text(seed) + " e.g. No. 5 was one. Dr. Who knows." for seed in range(20)])
    build([str(source)], tmp_path / "first", vocabulary, SMALL)
    other = make_tokenizer(tmp_path / "other", "abcdefghijklmnopqrstuvwxyz")
    build([str(tmp_path / "first")], tmp_path / "second", other, SMALL)
    assert sentences_of(tmp_path / "second") == sentences_of(tmp_path / "first")
    Corpus.open(tmp_path / "second", Tokenizer.load(other))


def test_places_in_archives_nested_archives_and_what_is_no_text(tmp_path: Path, vocabulary: Path) -> None:
    inner = tar(tmp_path / "inner.tar.gz", {"x.txt": text(1).encode()})
    members = {
        "LICENSE": b"Nothing to learn from here.",
        "texts/a.txt": text(2).encode(),
        "texts/b.jsonl.gz": gzip.compress(json.dumps({"id": "7", "text": text(3)}).encode()),
        "texts/._a.txt": b"what a system left",
        "texts/a.ann": b"T1\tDrug 0 3\tThe\n",
        "texts/page.pdf": b"%PDF-1.4",
        "texts/inner.tar.gz": inner.read_bytes(),
        "textsandmore/c.txt": text(4).encode(),
    }
    archive = tar(tmp_path / "outer.tar.gz", members)
    inner.unlink()
    report = build([f"{archive}!texts"], tmp_path / "out", vocabulary)
    assert [" ".join(document) for document in sentences_of(tmp_path / "out")] == [text(2), text(3)]
    assert report.skipped_files == 3
    assert "this is an archive" in str(report.quarantine.records[0])


def test_blank_lines_part_documents_of_plain_text(tmp_path: Path, vocabulary: Path) -> None:
    (tmp_path / "a.txt").write_text(f"{text(1)}\n{text(2)}\n\n \n{text(3)}\n")
    chosen = Settings(reading=Reading(blank_lines=True))
    build([str(tmp_path / "a.txt")], tmp_path / "out", vocabulary, chosen)
    assert [" ".join(document) for document in sentences_of(tmp_path / "out")] == [f"{text(1)} {text(2)}", text(3)]


def test_word_counts_without_stop_words(tmp_path: Path, vocabulary: Path) -> None:
    source = jsonl(tmp_path / "a.jsonl", {"one": "The old drug did not lower IL-2 in the mice of the old group. " * 3})
    chosen = Settings(Steps(quality=None), bag_of_words=True, drop_stop_words=True)
    build([str(source)], tmp_path / "out", vocabulary, chosen, bag_of_words=tmp_path / "words.jsonl.gz")
    (line,) = gzip.decompress((tmp_path / "words.jsonl.gz").read_bytes()).decode().splitlines()
    assert json.loads(line) == {
        "id": "one",
        "words": {"drug": 3, "group": 3, "il-2": 3, "lower": 3, "mice": 3, "not": 3, "old": 6},
    }
    assert "the" in " ".join(sentences_of(tmp_path / "out")[0]), "the corpus itself keeps its stop words"


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(st.integers(0, 12), max_size=6), min_size=1, max_size=6), st.integers(1, 5))
def test_in_is_out_and_dropped(vocabulary: Path, documents: list[list[int]], chunk: int) -> None:
    """Whatever the documents are, empty and double ones too."""
    texts = [" ".join(text(seed, 2) for seed in seeds) for seeds in documents]
    texts[0] = text(99)
    with tempfile.TemporaryDirectory() as place, pytest.MonkeyPatch.context() as patch:
        patch.setattr(parts, "CHUNK_DOCUMENTS", chunk)
        source = jsonl(Path(place) / "a.jsonl", texts)
        report = build([str(source)], Path(place) / "out", vocabulary, Settings(Steps(quality=None), shard_words=50))
        counts = report.counts
        assert counts.read + report.quarantine.count == len(texts)
        assert counts.kept + sum(counts.dropped.values()) == counts.read
        found = [" ".join(document) for document in sentences_of(Path(place) / "out")]
        assert len(found) == counts.kept
        distinct = list(dict.fromkeys(text for text in texts if text))
        assert found == [text for text in distinct if text in found]
        assert counts.dropped["exact double"] == sum(map(bool, texts)) - len(distinct)


@pytest.mark.slow
def test_memory_does_not_grow_with_the_input(tmp_path: Path, vocabulary: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM + "    import resource; print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)\n")
    peaks = []
    for number in (4_000, 16_000):
        source = jsonl(tmp_path / f"{number}.jsonl", [text(seed) for seed in range(number)])
        arguments = [str(source), str(tmp_path / f"out-{number}"), str(vocabulary), "1", "0"]
        done = subprocess.run([sys.executable, str(program), *arguments], capture_output=True, text=True, check=True)
        peaks.append(int(done.stdout))
    assert peaks[1] - peaks[0] < 20_000, "in KiB"


def test_the_environment_of_tokenizers_is_left_alone() -> None:
    assert "TOKENIZERS_PARALLELISM" not in os.environ
    assert building.DEDUPLICATION[-1] == Settings().deduplicate
