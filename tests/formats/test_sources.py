"""Archives that would climb out or fill the disk are refused; files are written whole or not at all."""

from __future__ import annotations

import io
import tarfile
import zipfile
from pathlib import Path

import pytest

from textome.errors import InputError
from textome.formats import Source
from textome.formats.reading import archives
from textome.formats.reading.sources import atomic_file


def tar_of(path: Path, **members: bytes) -> Path:
    with tarfile.open(path, "w:xz") as archive:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def zip_of(path: Path, **members: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


@pytest.mark.parametrize("make", [tar_of, zip_of])
def test_a_place_inside_an_archive_is_read(make, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    archive = make(tmp_path / "corpus", **{"a/b/one.txt": b"gout"})
    with Source.of(f"{archive}!a/b/one.txt").open() as stream:
        assert stream.read() == b"gout"
    assert Source.of(f"{archive}!a/b").is_directory
    with pytest.raises(InputError, match=r"corpus!a/c: no such file"):
        Source.of(f"{archive}!a/c")


@pytest.mark.parametrize("make", [tar_of, zip_of])
@pytest.mark.parametrize("name", ["../out.txt", "a/../../out.txt"])
def test_members_that_climb_out_are_refused(make, name: str, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    archive = make(tmp_path / "bad", **{name: b"x"})
    with pytest.raises(InputError, match="bad: "):
        Source.of(f"{archive}!a")
    assert not (tmp_path / "out.txt").exists()


def test_links_out_of_a_tar_are_refused(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "bad.tar", "w") as archive:
        member = tarfile.TarInfo("link")
        member.type = tarfile.SYMTYPE
        member.linkname = "/etc/passwd"
        archive.addfile(member)
    with pytest.raises(InputError, match="cannot be unpacked"):
        Source.of(f"{tmp_path / 'bad.tar'}!link")


@pytest.mark.parametrize("make", [tar_of, zip_of])
def test_archives_that_unpack_to_too_much_are_refused(  # type: ignore[no-untyped-def]
    make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archives, "MAX_UNPACKED", 100_000)
    archive = make(tmp_path / "bomb", **{"zeros.txt": bytes(200_000)})
    assert archive.stat().st_size < 2_000
    with pytest.raises(InputError, match="unpacks to more than"):
        Source.of(f"{archive}!zeros.txt")


@pytest.mark.parametrize("make", [tar_of, zip_of])
def test_members_are_read_one_by_one(make, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    contents = {"b/two.txt": b"2" * 70_000, "a/one.txt": b"1", "bb/three.txt": b"3"}
    archive = make(tmp_path / "archive", **contents)
    found = {member.name: member.stream.read() for member in archives.members(archive)}
    assert list(found.items()) == list(contents.items()), "in the order of the archive"
    assert [member.name for member in archives.members(archive, "b")] == ["b/two.txt"]
    assert [member.name for member in archives.members(archive, "a/one.txt")] == ["a/one.txt"]
    assert list(archives.members(archive, "c")) == []
    positions = [member.packed_position for member in archives.members(archive)]
    assert positions == sorted(positions)
    assert 0 < positions[-1] <= archive.stat().st_size
    assert archives.is_archive(archive, Source.of(archive).head())


def test_a_text_is_no_archive(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("PK and ustar")
    assert not archives.is_archive(tmp_path / "a.txt", b"PK and ustar")


def test_a_file_that_is_no_archive_and_a_damaged_one_are_named(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("text")
    with pytest.raises(InputError, match="not a tar or zip archive"):
        Source.of(f"{tmp_path / 'a.txt'}!b")
    whole = tar_of(tmp_path / "b.tar.xz", a=bytes(range(256)) * 2000).read_bytes()
    (tmp_path / "c.tar.xz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=r"c\.tar\.xz"):
        Source.of(f"{tmp_path / 'c.tar.xz'}!a")


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with atomic_file(path) as stream:
        stream.write(b"old")

    def fail() -> None:
        with atomic_file(path) as stream:
            stream.write(b"new")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]
